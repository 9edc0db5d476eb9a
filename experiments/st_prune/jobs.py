"""Single jobs: a training of one arm, a seed run with its predictions, and how good these were."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from settings import SEED_EPOCHS, SEED_FRACTIONS, SETTINGS, Arm, arms, dynamic_epochs
from torch import Tensor, nn

from graphprune.config import OptimisationConfig
from graphprune.data.base import Data
from graphprune.data.timesplit import clear_of, draw_time_blocks, heldout_blocks
from graphprune.data.windows import WindowSamples, load_sensors
from graphprune.embed.module import embed_samples
from graphprune.extrapolate.base import Inputs, Looks
from graphprune.extrapolate.evaluate import evaluate, noise_ceiling
from graphprune.graph.knn import KNNGraph
from graphprune.graph.spatiotemporal import linked_windows, spatiotemporal_graph
from graphprune.ledger import Cost, measure
from graphprune.registry import create, get
from graphprune.rng import derive_seed, generator, isolated_rng
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.static import StaticSampler
from graphprune.samplers.stationarity import roughness, stationarity
from graphprune.scores.base import Score, Signals
from graphprune.scores.input_complexity import input_complexity
from graphprune.scores.recorder import Recorder
from graphprune.table import ScoreTable
from graphprune.train.forecast_errors import forecast_errors
from graphprune.train.loop import train_model
from graphprune.train.naive import historical_average, last_value, naive_errors
from graphprune.train.paradigms.forecasting import Forecasting

CPU = torch.device("cpu")
METHODS = ("knn", "gcn", "ridge", "mlp", "sign", "mean", "input_complexity", "short_run")
EXTRAPOLATOR = "knn"
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """Where data are and intermediate results go; ``limit`` steps and ``epochs`` make a smoke test of it."""

    data: Path
    work: Path
    limit: int | None = None
    epochs: int | None = None

    def file(self, name: str, job: str, state: int) -> Path:
        return self.work / f"{name}-{job}-{state}.npz"

    def setting(self, name: str) -> Any:
        setting = SETTINGS[name]
        return setting if self.epochs is None else replace(setting, epochs=self.epochs)

    def load(self, name: str) -> Data:
        setting = SETTINGS[name]
        return load_sensors(self.data / setting.file, limit=self.limit, **setting.data)


class Visits(Score):
    """Not a score: how often each window was trained on, and its loss at the last visit."""

    needs = frozenset({"loss"})
    phase = "train"  # type: ignore[misc]

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        self.count, self.loss = self._full(), self._full()

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        assert signals.loss is not None
        self.count[rows] = self.count[rows] + 1
        self.loss[rows] = self.loss[rows] + signals.loss

    def values(self) -> Tensor:
        return self._finish(self.count)


def run_job(place: Place, name: str, job: str, state: int) -> list[dict[str, Any]]:
    """The result lines of one job; ``job`` is ``naive``, ``seed10``, ``seed20``, ``judge`` or an arm's name."""
    torch.set_num_threads(1)
    place.work.mkdir(parents=True, exist_ok=True)
    data = place.load(name)
    shared = {"set": name, "job": job, "state": state, "load": os.getloadavg()[0]}
    if job == "naive":
        assert isinstance(data.train, WindowSamples)
        assert isinstance(data.test, WindowSamples)
        forecasts = {
            "last_value": last_value(data.test),
            "historical_average": historical_average(data.train, data.test),
        }
        return [
            {**shared, "arm": arm, "errors": naive_errors(data.test, forecast, data.info)}
            for arm, forecast in forecasts.items()
        ]
    if job.startswith("seed"):
        return [{**shared, **_seed_run(place, name, data, float(job[4:]) / 100, state)}]
    if job == "judge":
        return [{**shared, **line} for line in _judge(place, name, data, state)]
    return [{**shared, "arm": job, **_arm(place, name, data, arms()[job], job, state)}]


def _arm(place: Place, name: str, data: Data, arm: Arm, job: str, state: int) -> dict[str, Any]:
    setting, n = place.setting(name), len(data.train)
    seed = derive_seed(state, "sampler", job)
    overhead, options, epochs = Cost(), dict(arm.options), float(setting.epochs)
    sampler: EpochSampler
    if arm.kind == "static":
        scores, overhead = _scores(place, name, options["scores"], state, n)
        rule = create(
            "selection", options["rule"], **({"drop_hardest": 0.0} if options["rule"] == "ccs" else {})
        )
        cost = Cost()
        with measure(cost):
            kept = rule.select(ScoreTable(data.train.ids, scores, False), arm.budget, seed=seed).ids
        overhead += cost
        left = arm.budget * n * epochs - overhead.trained_samples - overhead.forward_samples / 3
        epochs = max(1.0, left / len(kept))
        rows = torch.from_numpy(np.searchsorted(data.train.ids, kept))
        sampler = StaticSampler(n, rows=rows, epochs=epochs, seed=seed)
    else:
        if arm.kind in ("infobatch", "st_prune"):
            simple = float(np.load(place.file(name, "full", 0))[f"simple_{arm.kind}"])
            anneal = options.get("anneal", True)
            epochs = dynamic_epochs(arm.budget, epochs, options["r"], simple, anneal=anneal)
        elif options["keep"] == 1.0:
            epochs *= arm.budget
        if arm.kind == "st_prune":
            cost = Cost()
            with measure(cost):
                options = {"stationarity": _stationarity(data), "links": _links(data), **options}
            overhead += cost
        sampler = create("sampler", arm.kind, n=n, epochs=epochs, seed=seed, **options)
    visits = Visits()
    scores_too = (
        {"st_complexity": create("score", "st_complexity", links=_links(data))} if job == "full" else {}
    )
    model, result, recorder = _train(
        data, setting, sampler, epochs, state, {"visits": visits, **scores_too}, data.train.ids
    )
    loss = (visits.loss[:n] / visits.count[:n].clamp(min=1)).numpy()
    kept_too: dict[str, Any] = {"visits": visits.values().numpy() / max(1, epochs), "loss": loss}
    if job == "full":
        complexity = recorder.values()["st_complexity"].numpy()
        kept_too |= {"st_complexity": complexity, "simple_st_prune": (complexity < 0).mean()}
        kept_too |= {"simple_infobatch": (loss < loss.mean()).mean()}
    np.savez(place.file(name, job, state), **kept_too)
    total = overhead + result.cost
    return {
        "budget": arm.budget,
        "epochs": epochs,
        "backward_share": total.trained_samples / (n * setting.epochs),
        "cost_share": total.passes(n, setting.epochs),
        "seconds": result.cost.seconds,
        "total_seconds": total.seconds,
        "errors": forecast_errors(model, data.test, data.info),
    }


def _train(
    data: Data,
    setting: Any,
    sampler: EpochSampler,
    epochs: float,
    state: int,
    scores: dict[str, Score],
    ids: npt.NDArray[np.int64],
) -> tuple[nn.Module, Any, Recorder]:
    settings = OptimisationConfig(
        epochs=epochs,
        batch_size=setting.batch_size,
        optimizer="adamw",
        lr=setting.lr,
        weight_decay=0.01,
    )
    # All arms of a random state start from the same weights.
    with isolated_rng(state, "init"):
        model = get("model", "stid").for_task(data.info, **setting.model)
    whole = max(1, int(epochs))
    recorder = Recorder(scores, torch.from_numpy(ids), epochs=whole + 1, eval_epochs=(whole - 1, whole))
    result = train_model(
        model,
        data.train,
        Forecasting(info=data.info),
        sampler,
        settings,
        seed=state,
        device=CPU,
        recorder=recorder,
    )
    return model, result, recorder


def _stationarity(data: Data) -> Tensor:
    train = data.train
    assert isinstance(train, WindowSamples)
    return stationarity(torch.cat([roughness(train.readings(rows, past=True)) for rows in train.blocks()]))


def _links(data: Data, ids: npt.NDArray[np.int64] | None = None) -> Tensor | None:
    assert isinstance(data.train, WindowSamples)
    return linked_windows(data.train, ids)


def _seed_run(place: Place, name: str, data: Data, fraction: float, state: int) -> dict[str, Any]:
    """Trains on blocks of time, embeds everybody, predicts with every method; keeps what the others read."""
    setting, train = place.setting(name), data.train
    assert isinstance(train, WindowSamples)
    spans = {"window": train.window, "horizon": train.horizon, "delay": train.delay}
    rows = draw_time_blocks(train.starts, fraction, generator=generator(state, "seeds", fraction), **spans)
    ids = train.ids[rows]
    epochs = max(1, round(SEED_EPOCHS * setting.epochs))
    sampler = StaticSampler(len(train), rows=torch.from_numpy(rows), epochs=epochs, seed=state)
    score = create("score", "st_complexity", links=_links(data, ids))
    model, result, recorder = _train(data, setting, sampler, epochs, state, {"st_complexity": score}, ids)
    measured = recorder.values()["st_complexity"].numpy()
    prepared = Cost(forward_samples=len(train))
    with measure(prepared):
        embeddings, _ = embed_samples(model, train, device=CPU)
        graph = spatiotemporal_graph(
            KNNGraph.build(embeddings, min(20, len(train) - 1), metric="cosine"),
            train.ids,
            granularity=train.granularity,
            n_sensors=train.n_sensors,
            links=train.series.links,
        )
    short = place.file(name, f"full_short@{0.3:.2f}", state)
    inputs = Inputs(
        graph=graph,
        embeddings=embeddings,
        ids=train.ids,
        input_complexity=torch.from_numpy(input_complexity(train)),
        short_run=Looks(loss=torch.from_numpy(np.load(short)["loss"])[None]) if short.exists() else None,
    )
    fit, heldout = heldout_blocks(train.starts[rows], 0.2, generator=generator(state, "held"), **spans)
    found: dict[str, Any] = {"rows": rows, "measured": measured, "heldout": heldout}
    seconds = {}
    for method in METHODS:
        if method == "short_run" and inputs.short_run is None:
            continue
        spent = Cost()
        with measure(spent):
            found[method] = create("extrapolator", method).fit(inputs, ids, measured).predict()
        half = create("extrapolator", method).fit(inputs, ids[fit], measured[fit]).predict()
        found[f"{method}_heldout"] = half[rows[heldout]]
        seconds[method] = spent.seconds
    total = result.cost + result.evaluation_cost + prepared + Cost(seconds=seconds[EXTRAPOLATOR])
    found |= {"seconds": total.seconds, "trained": total.trained_samples, "forward": total.forward_samples}
    np.savez(place.file(name, f"seed{100 * fraction:.0f}", state), **found)
    cost = total.passes(len(train), setting.epochs)
    return {"seeds": len(rows), "cost_share": cost, "seconds": total.seconds, "method_seconds": seconds}


def _scores(place: Place, name: str, whose: str, state: int, n: int) -> tuple[Floats, Cost]:
    """Scores ``[n]`` that a static arm reads, and what they cost."""
    if whose == "truth":
        runs = [np.load(path)["st_complexity"] for path in _full_runs(place, name, but=state)]
        return np.mean(runs, axis=0), Cost()
    run = np.load(place.file(name, f"seed{100 * SEED_FRACTIONS[-1]:.0f}", state))
    cost = Cost(
        seconds=float(run["seconds"]),
        trained_samples=int(run["trained"]),
        forward_samples=int(run["forward"]),
    )
    assert len(run[EXTRAPOLATOR]) == n
    return run[EXTRAPOLATOR], cost


def _full_runs(place: Place, name: str, *, but: int | None = None) -> list[Path]:
    """Traces of full runs; those of other random states, where there are any."""
    every = sorted(place.work.glob(f"{name}-full-*.npz"))
    others = [path for path in every if path != place.file(name, "full", -1 if but is None else but)]
    return others or every


def _judge(place: Place, name: str, data: Data, state: int) -> list[dict[str, Any]]:
    """Predictions against the mean of all full runs, on windows that are no seeds and on those clear of seeds.

    A window within one span of a seed shares readings with it, so that it is half seen; ``clear`` leaves these
    out.
    """
    train = data.train
    assert isinstance(train, WindowSamples)
    runs = [np.load(path)["st_complexity"] for path in _full_runs(place, name)]
    truth = np.mean(runs, axis=0)
    lines = []
    for fraction in SEED_FRACTIONS:
        path = place.file(name, f"seed{100 * fraction:.0f}", state)
        if not path.exists():
            continue
        run = np.load(path)
        rows, unseen = run["rows"], np.ones(len(train), dtype=bool)
        unseen[rows] = False
        clear = clear_of(train.starts, np.unique(train.starts[rows]), train.span)
        ceiling = {
            "seed_vs_full": evaluate(run["measured"], truth[rows], n_bootstrap=0).spearman,
            "full_vs_full": noise_ceiling([r[unseen] for r in runs])["spearman"] if len(runs) > 1 else None,
            "full_runs": len(runs),
        }
        for method in METHODS:
            if method not in run:
                continue
            against = {
                "unseen": (run[method][unseen], truth[unseen]),
                "clear": (run[method][clear], truth[clear]),
                "heldout": (run[f"{method}_heldout"], run["measured"][run["heldout"]]),
            }
            spearman = {
                where: evaluate(predicted, true, n_bootstrap=0).spearman if len(true) > 2 else None
                for where, (predicted, true) in against.items()
            }
            line = {"fraction": fraction, "method": method, "spearman": spearman, "ceiling": ceiling}
            lines.append({**line, "n": {"unseen": int(unseen.sum()), "clear": int(clear.sum())}})
    return lines
