"""The losses and features of all training samples under a reference model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from graphprune.config.base import Method
from graphprune.embed.module import FeatureTap, evaluation
from graphprune.errors import InputError
from graphprune.files import fingerprint, must_exist, read_npy, write_npy
from graphprune.jobs import paths
from graphprune.jobs.job import FROM_RUN, Job
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.runtime.cost import Cost, measure
from graphprune.runtime.precision import autocast
from graphprune.train.checkpoint import load_weights

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration

_BATCH = 512


def stages(job: Job) -> Iterator[Stage]:
    """Write ``reference/<key>/losses.npy [N]`` and ``features.npy [N, H]`` for each reference model of a sampler.

    They come from one pass without augmentation.
    """
    named = {
        reference_key(spec): spec for method in job.config.samplers() for spec in reference_specs(method)
    }
    for spec in named.values():
        yield reference_stage(job, spec)


def reference_specs(method: Method) -> list[Any]:
    """Return the reference models in a sampler's options.

    Each is ``{weights: FILE, model: NAME}``, or ``"run"`` for the losses of the seed run's model, whose features are
    the embeddings (another stage).
    """
    losses, features = (method.options.get(option) for option in ("reference_losses", "embeddings"))
    found = [losses] if isinstance(losses, dict) or losses == FROM_RUN else []
    return [*found, features] if isinstance(features, dict) else found


def reference_key(spec: Any) -> str:
    """Return the key of a reference model; specs with the same key share a pass."""
    method = (
        None if spec == FROM_RUN or "model" not in spec else Method.model_validate(spec["model"]).model_dump()
    )
    return fingerprint({"method": method, "weights": str(spec)})[:12]


def reference_stage(job: Job, spec: Any) -> Stage:
    """Return the stage that makes the pass of one reference model.

    Args:
        job: The job.
        spec: ``{"weights": FILE, "model": NAME or {"name": NAME, ...}}`` with a ``.safetensors`` or ``.npz`` file
            (``model`` defaults to the job's model), or ``"run"`` for the seed run's model, which was trained on the
            seeds.

    Raises:
        InputError: the weights are missing or do not fit the model.
    """
    if spec != FROM_RUN and (
        not isinstance(spec, dict) or "weights" not in spec or spec.keys() - {"weights", "model"}
    ):
        raise InputError(
            f"a reference model must be 'run' or {{weights: FILE, model: NAME}} (received {spec!r})"
        )
    of_run = spec == FROM_RUN
    weights = job.run / paths.SEED_MODEL if of_run else must_exist(Path(spec["weights"]))
    method = None if of_run or "model" not in spec else Method.model_validate(spec["model"])
    name, n = f"reference/{reference_key(spec)}", len(job.data.train)
    folder = job.run / name

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs[name] = Cost()
        with measure(cost):
            model = job.make_model("reference", method=method)
            load_weights(model, weights)
            losses, features = _look(job, model)
            cost.forward_samples += len(losses)
            write_npy(folder / "losses.npy", losses)
            write_npy(folder / "features.npy", features)
        return [folder / "losses.npy", folder / "features.npy"]

    def estimate(measured: Calibration) -> Estimate:
        cost = measured.passes.references[reference_key(spec)].cost_for(n)
        cost.forward_samples = n
        return Estimate({name: cost}, disk_bytes=4 * n * (1 + measured.passes.embeddings.shape[1]))

    return Stage(
        name,
        work,
        estimate,
        makes=(Product(name, (name,)),),
        needs=("seed_model",) if of_run else (),
        settings={
            "data": job.data.fingerprint,
            "model": None if method is None else method.model_dump(),
            "own": job.model_settings if method is None else None,
            "device": job.device.type,
        },
        inputs=() if of_run else (weights,),
    )


def read_reference(job: Job, spec: Any, kind: Literal["losses", "features"]) -> Tensor:
    """Return the losses ``[N]`` or features ``[N, H]`` of a reference model."""
    return torch.from_numpy(read_npy(job.run / f"reference/{reference_key(spec)}/{kind}.npy"))


def _look(job: Job, model: torch.nn.Module) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    model.to(job.device)
    settings = job.config.training.optimization()
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
