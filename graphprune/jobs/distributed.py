"""One training in several processes, for Python programs started by torchrun or ``accelerate launch``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphprune.config.base import Method
from graphprune.config.job import Config
from graphprune.data.base import Data
from graphprune.data.load import load_data
from graphprune.files import fingerprint, write_json
from graphprune.jobs.job import Job
from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.stages.windows import window_option, window_options
from graphprune.registry import create
from graphprune.runtime.devices import resolve_device
from graphprune.runtime.rng import derive_seed
from graphprune.samplers.base import EpochSampler
from graphprune.train.checkpoint import Checkpoint, save_weights
from graphprune.train.evaluate import evaluate_model
from graphprune.train.loop import train_model
from graphprune.train.process_group import ProcessGroup, check_whole
from graphprune.train.tracking import JsonlTracker


def train_distributed(
    config: Config,
    out: Path | str,
    *,
    method: Method | None = None,
    sampler: EpochSampler | None = None,
    data: Data | None = None,
) -> dict[str, Any]:
    """Train ``config.model`` with the settings of ``config.training``; each batch is split over all processes.

    A complete ``train.py``, started by ``torchrun --nproc-per-node 2 train.py``::

        from graphprune import load_config
        from graphprune.config.base import Method
        from graphprune.jobs.distributed import train_distributed

        train_distributed(load_config("config.yaml"), "out", method=Method(name="infobatch", r=0.5))

    ``batch_size`` is the size of the global batch, so the same config trains the same model with any number of
    processes (`train_model` states what is equal). The first process writes ``model.safetensors``, ``result.json``,
    ``log.jsonl`` and, during training, ``checkpoint-<key>.pt``, from which the same call resumes. The key depends on
    the config and, for a sampler of your own, on its class, seed and first epoch. The folder is a run folder; a
    folder with other files is refused.
    A whole job needs no Python program: ``torchrun --nproc-per-node 2 -m graphprune run config.yaml``.

    Args:
        config: The config; ``data``, ``model``, ``seed``, ``device`` and ``training`` are used.
        out: Run folder on a file system that all processes share.
        method: Registered sampler and options (default: all the data).
        sampler: A sampler of your own instead, constructed equally in every process and not sharded.
        data: Your own data, equal in every process, instead of ``config.data``.

    Returns:
        ``value`` and ``metric`` on the test part, ``losses`` by epoch, ``cost``, and the number of ``processes``;
        the same in every process.
    """
    group = ProcessGroup.join(config.device)
    folder = RunFolder(Path(out), team=group)
    with folder.locked():
        return _train(config, folder, group, method, sampler, data)


def _train(
    config: Config,
    folder: RunFolder,
    group: ProcessGroup,
    method: Method | None,
    sampler: EpochSampler | None,
    data: Data | None,
) -> dict[str, Any]:
    device = resolve_device(config.device)
    job = Job(config, data if data is not None else load_data(config.data), folder, device)
    state, settings, n = config.training.random_states[0], config.training.optimization(), len(job.data.train)
    if sampler is None:
        chosen = method or Method(name="random")
        seed = derive_seed(state, "sampler", chosen.name)
        computed = {
            each: window_option(job.data.train, each) for each in window_options(job.data.train, chosen)
        }
        options = {**computed, **chosen.options}
        sampler = create("sampler", chosen.name, n=n, epochs=settings.epochs, seed=seed, **options)
        steered = chosen.model_dump()
    else:
        check_whole(sampler)
        steered = {"sampler": type(sampler).__qualname__, "seed": sampler.seed, "state": sampler.state_dict()}
    # The folder may hold a checkpoint of another config, which must not be resumed.
    identity = [job.data.fingerprint, job.model_settings, settings.key(), config.seed, state, steered]
    if group.writes:
        folder.files.claim(folder / "log.jsonl")
    model, paradigm = job.make_model("arm", state), job.paradigm_for(settings)
    checkpoint = Checkpoint(folder / f"checkpoint-{fingerprint(identity)[:12]}.pt")
    trained = train_model(
        model,
        job.data.train,
        paradigm,
        sampler,
        settings,
        seed=derive_seed(config.seed, "arm", state),
        device=device,
        checkpoint=checkpoint,
        tracker=JsonlTracker(folder / "log.jsonl", "train"),
    )
    value = evaluate_model(model, job.data.test, paradigm, device=device, precision=settings.precision)
    result = {
        "value": value,
        "metric": paradigm.metric,
        "losses": trained.losses,
        "cost": trained.cost.to_dict(),
        "processes": group.size,
    }
    if group.writes:
        save_weights(model, folder / "model.safetensors")
        write_json(folder / "result.json", result)
        checkpoint.delete()
    group.wait()
    return result
