"""What is trained on: three sets, one small STID, and arms that spend the same number of backward passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Backward passes of an arm as a share of those of full: 30, 50 and 70 % fewer.
BUDGETS = (0.7, 0.5, 0.3)
# How many of the simple windows a dynamic sampler leaves out at each budget; its epochs then follow.
DROPPED = {0.7: 0.5, 0.5: 0.8, 0.3: 0.9}
DELTA = 0.875
SEED_FRACTIONS = (0.1, 0.2)
# The static arms read scores of the larger seed run, which trains for this share of the epochs.
SEED_EPOCHS = 0.5


@dataclass(frozen=True)
class Setting:
    """One data set and how it is trained; all arms of a set train in the same way.

    ``only`` names the jobs that this set is for, ``methods`` the extrapolators that its seed runs try (default: all).
    """

    file: str
    data: dict[str, Any]
    epochs: int
    lr: float
    faults: str
    batch_size: int = 64
    only: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    model: dict[str, Any] = field(default_factory=lambda: {"width": 32, "embedding": 16, "blocks": 2})


SETTINGS = {
    "metr_la_week": Setting(
        "metr_la_week.npz", {}, epochs=20, lr=0.01, faults="one week only; gaps were interpolated upstream"
    ),
    "beijing_air": Setting(
        "beijing_air.npz",
        {"target": "PM2.5", "window": 24, "horizon": 24, "stride": 6},
        epochs=10,
        lr=0.005,
        faults="1.5 to 5 % of the pollutants are missing",
    ),
    "sz_taxi": Setting(
        "sz_taxi.npz", {"missing": 0.0}, epochs=20, lr=0.01, faults="25 % zeros mean 'no taxi seen': masked"
    ),
    # Samples of single sensors: for the picture of which sensors' windows are kept.
    "beijing_air_sensors": Setting(
        "beijing_air.npz",
        {"target": "PM2.5", "window": 24, "horizon": 24, "stride": 6, "granularity": "sensor"},
        epochs=10,
        lr=0.005,
        faults="1.5 to 5 % of the pollutants are missing",
        batch_size=768,
        only=("naive", "full", "full_short@0.30", "seed20", "static_ccs@0.50", "st_prune@0.50"),
        methods=("knn", "ridge", "mean"),
    ),
}


@dataclass(frozen=True)
class Arm:
    """One way to spend a budget.

    Args:
        kind: ``random`` (a fixed subset, or everything), ``rs2``, ``infobatch``, ``st_prune``, ``static``.
        budget: Share of full's backward passes.
        options: Of the sampler; for ``static`` the rule, and whose scores it reads.
    """

    kind: str
    budget: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


def arms() -> dict[str, Arm]:
    """All arms by name; ``@0.50`` is the budget."""
    known = {"full": Arm("random", options={"keep": 1.0})}
    for budget in BUDGETS:
        dropped = {"r": DROPPED[budget], "delta": DELTA}
        for name, arm in {
            "full_short": Arm("random", budget, {"keep": 1.0}),
            "random": Arm("random", budget, {"keep": budget}),
            "rs2": Arm("rs2", budget, {"keep": budget}),
            "infobatch": Arm("infobatch", budget, dropped),
            "st_prune": Arm("st_prune", budget, dropped),
            "static_top": Arm("static", budget, {"rule": "top", "scores": "extrapolated"}),
            "static_ccs": Arm("static", budget, {"rule": "ccs", "scores": "extrapolated"}),
        }.items():
            known[f"{name}@{budget:.2f}"] = arm
    half = {"r": DROPPED[0.5], "delta": DELTA}
    for part, off in {
        "weights": {"weigh": False},
        "rescaling": {"rescale": False},
        "stationarity": {"stationarity": None},
        "annealing": {"anneal": False},
        "spatial": {"a": 0.0},
        "temporal": {"b": 0.0},
    }.items():
        known[f"st_prune_without_{part}@0.50"] = Arm("st_prune", 0.5, {**half, **off})
    # The seed model's own errors on every window instead of what is fitted to its seeds; the cost is the same.
    for rule in ("top", "ccs"):
        known[f"static_{rule}_seed_model@0.50"] = Arm("static", 0.5, {"rule": rule, "scores": "seed_model"})
    # What the score itself is worth: the truth comes from full runs of other random states, at no cost.
    for rule in ("top", "ccs"):
        known[f"truth_{rule}@0.50"] = Arm("static", 0.5, {"rule": rule, "scores": "truth"})
    return known


def dynamic_epochs(budget: float, epochs: float, r: float, simple: float, *, anneal: bool = True) -> float:
    """Epochs after which a sampler that drops ``r`` of a share ``simple`` has spent the budget.

    Everything is trained on in the first epoch and, with annealing, after the share `DELTA` of all epochs.

    >>> round(dynamic_epochs(0.5, 20, 0.8, 0.6), 1)
    16.4
    """
    saved = r * simple
    return (budget * epochs - saved) / (1 - saved * (DELTA if anneal else 1.0))
