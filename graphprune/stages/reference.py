"""What a reference model shows of every training sample: its loss, and its features."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from graphprune.config_base import Method
from graphprune.embed.module import FeatureTap, evaluation
from graphprune.errors import InputError
from graphprune.files import fingerprint, must_exist, read_npy, write_npy
from graphprune.ledger import Cost, measure
from graphprune.stages.job import Job
from graphprune.store import Attempt
from graphprune.train.checkpoint import load_weights
from graphprune.train.precision import autocast

_BATCH = 512


def reference_values(job: Job, spec: Any, kind: Literal["losses", "features"]) -> tuple[Tensor, Cost, Path]:
    """The values ``[N]`` or ``[N, H]`` of a reference model, what the pass cost, and the file.

    Writes ``reference/<key>/losses.npy`` and ``features.npy`` in one pass without augmentation.

    Args:
        job: The job.
        spec: ``{"weights": FILE, "model": NAME or {"name": NAME, ...}}`` with a ``.safetensors`` or ``.npz``
            file (``model``: default that of the job), or ``"run"`` for the seed run's model, which has trained
            on the seeds.
        kind: Which of the two.

    Raises:
        InputError: the weights are missing, or belong to another model.
    """
    if spec == "run":
        weights, method = job.run / "checkpoints/seed.safetensors", None
        if not weights.is_file():
            raise InputError(
                f"reference 'run' needs {weights}, which graphprune run makes; name weights instead"
            )
    else:
        if not isinstance(spec, dict) or "weights" not in spec or spec.keys() - {"weights", "model"}:
            raise InputError(
                f"a reference model is {{weights: FILE, model: NAME}} or 'run', not {spec!r}; give its weights"
            )
        weights = must_exist(Path(spec["weights"]))
        method = Method.model_validate(spec["model"]) if "model" in spec else None
    identity = {"method": None if method is None else method.model_dump(), "weights": str(spec)}
    stage = f"reference/{fingerprint(identity)[:12]}"
    folder = job.run / stage

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs[stage] = Cost()
        with measure(cost):
            model = job.make_model("reference", method=method)
            load_weights(model, weights)
            losses, features = _look(job, model)
            cost.forward_samples += len(losses)
            write_npy(folder / "losses.npy", losses)
            write_npy(folder / "features.npy", features)
        return [folder / "losses.npy", folder / "features.npy"]

    settings = {
        "data": job.data.fingerprint,
        "model": identity["method"] or job.model_settings,
        "device": job.device.type,
    }
    job.run.ensure(stage, settings=settings, inputs=[weights], work=work)
    path = folder / f"{kind}.npy"
    return torch.from_numpy(read_npy(path)), job.run.costs(stage)[stage], path


def _look(job: Job, model: torch.nn.Module) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    model.to(job.device)
    settings = job.config.training.optimisation()
    paradigm, precision = (
        job.paradigm_for(settings.model_copy(update={"label_smoothing": 0.0})),
        settings.precision,
    )
    tap, losses, features = FeatureTap(model), [], []
    parts = torch.split(torch.arange(len(job.data.train)), _BATCH)
    with evaluation(model):
        for batch in job.data.train.batches(parts, device=job.device):
            with autocast(job.device, precision):
                outputs = model(batch.x)
            losses.append(paradigm.losses(outputs, batch.y).float().cpu())
            features.append(tap.features.float().cpu())
    tap.detach()
    return torch.cat(losses).numpy(), torch.cat(features).numpy()
