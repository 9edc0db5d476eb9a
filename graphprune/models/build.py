"""Build models by the name given in a config: graphprune's own models and those of timm and torchvision."""

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
    """Checks the name and the options of a model before any work is done.

    Raises:
        InputError: the name or an option is unknown, or the library is not installed.
    """
    library, _, name = method.name.partition(":")
    if name:
        if library not in _EXTRAS:
            raise InputError(
                f"model '{method.name}': unknown library '{library}'; expected timm:NAME or torchvision:NAME"
            )
        pretrained = method.options.get("pretrained", False)
        if not isinstance(pretrained, bool):
            raise InputError(
                f"model '{method.name}': pretrained must be true or false, received {pretrained!r}"
            )
        _import(library, method.name)
        return
    check_method("model", method.name, method.options)


def build_model(method: Method, info: TaskInfo) -> nn.Module:
    """Builds the model for a task; its weights are random unless ``pretrained: true`` (timm and torchvision).

    ``timm:NAME`` and ``torchvision:NAME`` accept the options of `timm.create_model` and of torchvision's
    builders. The last linear layer gets one output per class of the task.

    Raises:
        InputError: the library is not installed or has no such model, or the model does not fit the data.
    """
    check_model(method)
    library, _, name = method.name.partition(":")
    if not name:
        try:
            model: nn.Module = get("model", method.name).for_task(info, **method.options)
        except (RuntimeError, MemoryError) as error:
            # On the CPU, torch reports a failed allocation as a plain RuntimeError.
            if isinstance(error, RuntimeError) and "alloc" not in str(error):
                raise
            raise InputError(
                f"model '{method.name}' does not fit in memory with these options; make it smaller"
            ) from error
        return model
    if info.kind != "classification" or len(info.input_shape) != 3:
        raise InputError(
            f"model '{method.name}' takes images [C, H, W], but the data has shape {list(info.input_shape)}; "
            "choose a model for this data, such as mlp or stid"
        )
    options = dict(method.options)
    pretrained = options.pop("pretrained", False)
    make = _timm if library == "timm" else _torchvision
    try:
        return make(_import(library, method.name), name, info, pretrained, options)
    except InputError:
        raise
    except Exception as error:  # the type raised for an unknown name or option depends on the library
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"model '{method.name}' could not be created: {first}") from error


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
            f"model 'torchvision:{name}' takes 3 channels, but the data has {info.input_shape[0]}; "
            "use timm:NAME"
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
            f"model 'torchvision:{name}' has no linear layer to adapt to the classes; remove pretrained"
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
