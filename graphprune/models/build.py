"""From a model's name in a config to the model: graphprune's own, timm's and torchvision's."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from torch import nn

from graphprune.config.base import Method
from graphprune.data.base import TaskInfo
from graphprune.errors import InputError
from graphprune.registry import check_method, get

_EXTRAS = {"timm": "timm", "torchvision": "vision"}


def check_model(method: Method) -> None:
    """Refuses an unknown name, option or missing library before any work is done.

    Raises:
        InputError: in one sentence, which.
    """
    library, _, name = method.name.partition(":")
    if name:
        if library not in _EXTRAS:
            raise InputError(
                f"model '{method.name}': '{library}:' is not known; use timm:NAME or torchvision:NAME"
            )
        if not isinstance(method.options.get("pretrained", False), bool):
            raise InputError(f"model '{method.name}': pretrained must be true or false")
        _import(library, method.name)
        return
    check_method("model", method.name, method.options)


def build_model(method: Method, info: TaskInfo) -> nn.Module:
    """The model for a task, untrained unless ``pretrained: true`` (timm and torchvision).

    ``timm:NAME`` and ``torchvision:NAME`` take the options of `timm.create_model` and of torchvision's
    builders; the last linear layer gets the task's classes.

    Raises:
        InputError: the library is missing or does not know the name, or the model does not fit the data.
    """
    check_model(method)
    library, _, name = method.name.partition(":")
    if not name:
        try:
            model: nn.Module = get("model", method.name).for_task(info, **method.options)
        except (RuntimeError, MemoryError) as error:
            # What torch raises where memory ends has no type of its own.
            if isinstance(error, RuntimeError) and "alloc" not in str(error):
                raise
            raise InputError(
                f"model '{method.name}' does not fit in memory with these options; make it smaller"
            ) from error
        return model
    if info.kind != "classification" or len(info.input_shape) != 3:
        raise InputError(
            f"model '{method.name}' takes images [C, H, W], the data has {list(info.input_shape)}"
        )
    options = dict(method.options)
    pretrained = options.pop("pretrained", False)
    make = _timm if library == "timm" else _torchvision
    try:
        return make(_import(library, method.name), name, info, pretrained, options)
    except InputError:
        raise
    except Exception as error:  # unknown names and options raise a dozen kinds; none of them is ours
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"model '{method.name}' could not be made: {first}") from error


def _timm(timm: Any, name: str, info: TaskInfo, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    model: nn.Module = timm.create_model(
        name, pretrained=pretrained, num_classes=info.num_classes, in_chans=info.input_shape[0], **options
    )
    return model


def _torchvision(
    torchvision: Any, name: str, info: TaskInfo, pretrained: bool, options: dict[str, Any]
) -> nn.Module:
    if info.input_shape[0] != 3:
        raise InputError(
            f"model 'torchvision:{name}' takes 3 channels, the data has {info.input_shape[0]}; use timm:NAME"
        )
    if not pretrained:
        fresh: nn.Module = torchvision.models.get_model(
            name, weights=None, num_classes=info.num_classes, **options
        )
        return fresh
    model: nn.Module = torchvision.models.get_model(name, weights="DEFAULT", **options)
    heads = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if not heads:
        raise InputError(
            f"model 'torchvision:{name}' has no linear layer to fit to the classes; leave pretrained out"
        )
    path, head = heads[-1]
    parent, _, leaf = path.rpartition(".")
    setattr(
        model.get_submodule(parent),
        leaf,
        nn.Linear(head.in_features, info.num_classes or 0, head.bias is not None),
    )
    return model


def _import(library: str, model: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise InputError(
            f"model '{model}' needs {library}; install it with: pip install 'graphprune[{_EXTRAS[library]}]'"
        ) from error
