"""Base class of registered models. Any nn.Module can be trained; a registered model also builds itself from a task."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from torch import nn

from graphprune.data.base import TaskInfo


class RegisteredModel(nn.Module):
    """A model that configurations can name.

    As for any other module, the penultimate representation is the input of the last ``nn.Linear`` that the
    forward pass calls, averaged over all dimensions except the first and the last.
    """

    @classmethod
    @abstractmethod
    def for_task(cls, info: TaskInfo, **options: object) -> Self:
        """Builds the model for a task; ``options`` are the keys of ``model`` in the config, without ``name``."""
