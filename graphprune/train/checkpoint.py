"""Checkpoints of a training run: one file, complete or absent, that is read without pickle."""

from __future__ import annotations

import hashlib
import io
import math
import os
import time
import warnings
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from graphprune.errors import InputError
from graphprune.files import must_exist, read_npz, write_atomic
from graphprune.runtime.rng import generator
from graphprune.runtime.version import __version__

_HEADER = f"graphprune checkpoint 1, version {__version__}, blake2b ".encode()
_DIGEST_BYTES = 32
CADENCE = "GRAPHPRUNE_CHECKPOINT_SECONDS"


class Checkpoint:
    """Checkpoint: save the state of a run from time to time, and read it back.

    The first line of the file contains the format, the version of graphprune and the digest of the rest.

    Args:
        path: The file; its folder is created.
        every_seconds: Smallest time between two saves (default: the environment variable
            ``GRAPHPRUNE_CHECKPOINT_SECONDS``, or 30; 0 saves at every opportunity). Results do not depend on it.
    """

    def __init__(self, path: Path, *, every_seconds: float | None = None) -> None:
        self.path = path
        self.every_seconds = _cadence() if every_seconds is None else every_seconds
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last save."""
        return time.monotonic() - self._last >= self.every_seconds

    def save(self, state: dict[str, Any]) -> None:
        """Saves a state: nested dicts and lists of tensors, numbers and strings."""
        if self.path.is_dir() and not self.path.is_symlink():
            _move_away(self.path)

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                file.write(_HEADER + b"0" * 2 * _DIGEST_BYTES + b"\n")
                hashed = _Hashed(file)
                torch.save(state, hashed)  # type: ignore[arg-type]
                file.seek(len(_HEADER))
                file.write(hashed.digest.hexdigest().encode())

        write_atomic(self.path, write)
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, or None if there is no file or, with a warning, if the file is damaged."""
        try:
            return self.read()
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # a damaged file counts as no file
            self.reject(error)
            return None

    def read(self) -> dict[str, Any] | None:
        """The saved state, or None if there is none.

        Raises:
            InputError, OSError: the file is damaged or is not a checkpoint.
        """
        if not os.path.lexists(self.path):
            return None
        with self.path.open("rb") as file:
            header, payload = file.readline(len(_HEADER) + 2 * _DIGEST_BYTES + 1), file.read()
        if not header.startswith(_HEADER):
            raise InputError("it is not a checkpoint of this version")
        digest = hashlib.blake2b(payload, digest_size=_DIGEST_BYTES).hexdigest()
        if header != _HEADER + digest.encode() + b"\n":
            raise InputError("its digest does not match its content")
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise InputError(f"it contains a {type(state).__name__}")
        return state

    def reject(self, error: Exception) -> None:
        """Warns that the training cannot continue from the file."""
        reason = error.strerror if isinstance(error, OSError) else str(error)
        first = next(iter((reason or type(error).__name__).splitlines()), "")
        warnings.warn(
            f"{self.path} cannot be used ({first}); this training restarts from its beginning", stacklevel=3
        )

    def delete(self) -> None:
        """Removes the file once the run's results are written."""
        if not self.path.is_dir():
            self.path.unlink(missing_ok=True)


class _Hashed:
    """A file that hashes everything that is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.blake2b(digest_size=_DIGEST_BYTES)

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()


def _cadence() -> float:
    text = os.environ.get(CADENCE, "30")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise InputError(f"{CADENCE} is {text!r}; set it to seconds of at least 0, or leave it unset")
    return seconds


def _move_away(folder: Path) -> None:
    """Renames a folder at the path of a checkpoint; its files are not graphprune's, so they are not deleted."""
    number = 1
    while os.path.lexists(target := folder.with_name(f"{folder.name}.{number}")):
        number += 1
    os.rename(folder, target)


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes the model's state as safetensors; the same weights give the same bytes."""
    # Cloned, because tied weights share memory, which safetensors rejects.
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    write_atomic(path, lambda p: save_file(state, p))


def load_weights(model: nn.Module, path: Path) -> None:
    """Loads weights from ``.safetensors`` or ``.npz``; the file must contain every parameter with its shape."""
    if path.suffix == ".npz":
        state = {name: torch.from_numpy(array) for name, array in read_npz(path).items()}
    else:
        try:
            state = load_file(must_exist(path))
        except SafetensorError as error:
            raise InputError(
                f"{path} is not a readable safetensors file ({error}); the file is damaged, regenerate it"
            ) from error
    own = model.state_dict()
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, tensor)
        if name not in state:
            raise InputError(
                f"{path} has no weight '{name}'; pass the weights of a {type(model).__name__} of the same size"
            )
        if state[name].shape != tensor.shape:
            raise InputError(
                f"{path}: weight '{name}' has shape {list(state[name].shape)}, the model needs {list(tensor.shape)}"
            )
    model.load_state_dict({name: state[name] for name in own})


def shrink_and_perturb(model: nn.Module, shrink: float, noise: float, *, seed: int) -> None:
    """Perturbs trained weights before further training: ``shrink * w + noise * N(0, 1)``; buffers do not change.

    Reference: Ash & Adams, NeurIPS 2020, arXiv 1910.08475 (they use 0.6 and 0.01).
    """
    draws = generator(seed, "perturb")
    with torch.no_grad():
        for parameter in model.parameters():
            perturbation = torch.randn(parameter.shape, generator=draws).to(parameter)
            parameter.mul_(shrink).add_(perturbation, alpha=noise)
