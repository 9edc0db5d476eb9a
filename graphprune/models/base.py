"""What a model is to graphprune: any nn.Module; registered ones also build themselves from a task."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from torch import nn

from graphprune.data.base import TaskInfo


class RegisteredModel(nn.Module):
    """A model that configurations can name.

    The penultimate representation is, for these as for any other module, the input of the last
    ``nn.Linear`` that the forward pass calls, averaged over all but its first and last dimension.
    """

    @classmethod
    @abstractmethod
    def for_task(cls, info: TaskInfo, **options: object) -> Self:
        """The model for a task; options are the keys beside ``name`` in the config's ``model``."""
