"""Every option of every registered method, with edge values: it works on small data, or is refused in one sentence."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from pydantic import Field

from graphprune.data.base import TaskInfo
from graphprune.data.windows import SENSOR, TIME_OF_DAY
from graphprune.errors import InputError
from graphprune.extrapolate.base import Inputs, Looks
from graphprune.graph.knn import KNNGraph
from graphprune.options import Count, check_options, describe, options_of
from graphprune.registry import KINDS, check_method, create, entries, get
from graphprune.registry import describe as describe_methods
from graphprune.runtime.facts import JobFacts
from graphprune.table import ScoreTable

EDGES = [0, -1, 1.5, math.nan, math.inf, 1e308, 10**20, "x", True, None, [], {}, [1]]
N, CLASSES, EPOCHS = 48, 3, 16
METHODS = [(kind, name) for kind in KINDS for name in entries(kind)]
CLASSIFICATION = TaskInfo("classification", (2, 8, 8), num_classes=CLASSES)
FORECASTING = TaskInfo(
    "forecasting",
    (12, 3, 3),
    horizon=4,
    steps_per_day=24,
    channels=("flow", TIME_OF_DAY, SENSOR),
    n_sensors=3,
)


def tiny() -> SimpleNamespace:
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(N, 4, generator=draw)
    labels = torch.arange(N) % CLASSES
    own = torch.rand(4, N, generator=draw) * 0.8 + 0.1
    probs = ((1 - own) / (CLASSES - 1))[:, :, None].repeat(1, 1, CLASSES)
    probs.scatter_(2, labels.expand(4, N)[:, :, None], own[:, :, None])
    graph = KNNGraph.build(points, k=6)
    scores = points[:, 0].numpy()
    inputs = Inputs(
        graph, points, labels=labels, probes=probs, short_run=Looks(p_true=own, el2n=1 - own),
        input_complexity=points[:, 1], seed_errors=points[:, 2],
    )  # fmt: skip
    return SimpleNamespace(
        draw=draw, points=points, labels=labels, probs=probs, graph=graph, scores=scores, inputs=inputs
    )


DATA = tiny()


def finite(*values: Any) -> None:
    for value in values:
        assert bool(torch.as_tensor(value).isfinite().all())


def use_score(name: str, options: dict[str, Any]) -> None:
    score = create("score", name, **options)
    score.check(JobFacts(epochs=EPOCHS, num_classes=CLASSES))
    score.start(N, epochs=EPOCHS, num_classes=CLASSES)
    from graphprune.scores.base import Signals

    rows = torch.arange(N)
    for epoch in range(EPOCHS):
        logits = torch.randn(N, CLASSES, generator=DATA.draw)
        log_probs = logits.log_softmax(1)
        p_true = log_probs.exp().gather(1, DATA.labels[:, None])[:, 0]
        score.update(
            rows,
            Signals(
                loss=-p_true.log(), logits=logits, targets=DATA.labels, log_probs=log_probs, p_true=p_true,
                features=DATA.points, errors=torch.rand(N, 3, 2, generator=DATA.draw),
            ),
            epoch,
        )  # fmt: skip
    assert score.values().shape == (N,)
    finite(score.values())


def use_extrapolator(name: str, options: dict[str, Any]) -> None:
    known = options_of(get("extrapolator", name))
    quick = {"steps": 3, "hidden": (4,)} if "hidden" in known else {}
    quick |= {"members": ("knn", "mean"), "folds": 2} if "members" in known else {}
    method = create("extrapolator", name, **{**quick, **options})
    seeds = np.arange(0, N, dtype=np.int64)[: N - 8]
    facts = JobFacts(n=N, seeds=len(seeds), inputs=DATA.inputs.there, task="classification")
    method.check(facts)
    values, std = method.fit(DATA.inputs, seeds, DATA.scores[seeds]).predict(return_std=True)
    finite(values, std)


def use_selection(name: str, options: dict[str, Any]) -> None:
    rule = create("selection", name, **options)
    table = ScoreTable(np.arange(N), DATA.scores, True)
    kept = rule.select(
        table, 0.5, labels=DATA.labels.numpy(), graph=DATA.graph, embeddings=DATA.points, seed=1
    )
    assert len(kept) == N // 2
    finite(kept.weights)


def use_sampler(name: str, options: dict[str, Any]) -> None:
    arrays = {"scores": torch.rand(N), "reference_losses": torch.rand(N)}
    needed = {key: arrays[key] for key in get("sampler", name).requires}
    given = {"n": N, "epochs": 4, **needed, **options}
    sampler = create("sampler", name, **given)
    sampler.check(JobFacts(n=N, task="forecasting"))
    for epoch in range(2):
        sampler.set_epoch(epoch)
        order = sampler.order
        assert 0 < len(order) <= N
        for rows in sampler.steps(order, 16):
            losses = rows.float() / N + 0.1 * epoch
            if sampler.selects_in_batch:
                chosen = sampler.choose(rows, losses, DATA.points[rows])
                assert len(chosen) == sampler.kept_of(len(rows))
                rows, losses = rows[chosen], losses[chosen]
            weights = sampler.weights(rows)
            finite(torch.ones(1) if weights is None else weights)
            sampler.update(rows, losses, losses[:, None, None].expand(-1, 2, 2))


def use_paradigm(name: str, options: dict[str, Any]) -> None:
    if name == "forecasting":
        paradigm = create("paradigm", name, **{"info": FORECASTING, **options})
        x, y = torch.zeros(4, 2, 3), torch.ones(4, 2, 3)
        finite(paradigm.losses(x, y))
        return
    quick = {"iterations": 3} if name == "unsupervised" else {}
    paradigm = create("paradigm", name, **{**quick, **options})
    paradigm.check(JobFacts(n=N, input_shape=(4,), num_classes=CLASSES))
    if name == "unsupervised":
        labels = paradigm.find_labels([DATA.points], paradigm.classes or CLASSES, seed=0)
        assert labels.max() < (paradigm.classes or CLASSES)
    model = torch.nn.Linear(4, CLASSES)
    outputs = paradigm.outputs(model, DATA.points, DATA.labels, None)
    finite(paradigm.losses(outputs, DATA.labels))


def use_model(name: str, options: dict[str, Any]) -> None:
    from graphprune.config.base import Method
    from graphprune.models.build import build_model

    check_method("model", name, options)
    forecasts = name in ("stid", "staeformer", "graph_wavenet")
    info = FORECASTING if forecasts else CLASSIFICATION
    model = build_model(Method(name=name, **options), info)
    x = torch.rand(3, *info.input_shape, generator=DATA.draw)
    if forecasts:
        x[..., 1], x[..., 2] = 0.5, torch.arange(3)
    finite(model(x))


USES = {
    "score": use_score, "extrapolator": use_extrapolator, "selection": use_selection,
    "sampler": use_sampler, "paradigm": use_paradigm, "model": use_model,
}  # fmt: skip


def refusal(kind: str, name: str, options: dict[str, Any]) -> str:
    """The sentence that refuses the options, empty where the method works with them."""
    try:
        USES[kind](name, options)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("kind", "name"), METHODS, ids=[f"{kind}-{name}" for kind, name in METHODS])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_edge_values_work_or_are_refused_in_one_sentence(kind: str, name: str) -> None:
    known = options_of(get(kind, name))
    for option in (*known, "kind", "name", "self", "cls"):
        for value in EDGES:
            text = refusal(kind, name, {option: value})
            assert len(text) < 300, text
            assert "\n" not in text
            assert not re.search(r"Error\b|Traceback|<class|object at 0x", text), text
            if not text:
                assert option in known, f"{option} is no option of {name}"
                bounded = not known[option].takes.startswith(("a string", "a number of at least"))
                assert not bounded or value not in (10**20, 1e308, "x"), (option, value)


def test_the_default_of_each_option_is_in_its_range() -> None:
    for kind, name in METHODS:
        cls = get(kind, name)
        given = {o.name: o.default for o in options_of(cls).values() if not o.required}
        assert check_options(f"{kind} '{name}'", cls, given) == given


@pytest.mark.parametrize(
    ("kind", "name", "options", "sentence"),
    [
        ("extrapolator", "knn", {"k": 1.5}, "k must be an integer from 1 to 1,000,000,000 (received 1.5)"),
        ("extrapolator", "knn", {"k": True}, "k must be an integer from 1 to 1,000,000,000 (received true)"),
        ("extrapolator", "knn", {"temperature": -1}, "temperature must be a number of at least 1e-09 (received -1)"),
        ("extrapolator", "knn", {"labels": 0}, "labels must be true or false (received 0)"),
        ("extrapolator", "ridge", {"normalize": 1}, "normalize must be true or false (received 1)"),
        ("selection", "window", {"drop_hardest": 2}, "drop_hardest must be a number from 0 to below 1 (received 2)"),
        ("selection", "top", {"k": 3}, "unknown option of selection 'top' 'k'; it takes none"),
        ("selection", "d2", {"kind": 3}, "unknown option of selection 'd2' 'kind'; known are: gamma, k, neighbors"),
        ("score", "loss", {"reduce": None}, "reduce must be 'last' or 'mean' (received null)"),
    ],
)  # fmt: skip
def test_the_sentence(kind: str, name: str, options: dict[str, Any], sentence: str) -> None:
    if not sentence.startswith("unknown"):
        sentence = f"{kind} '{name}': {sentence}"
    for make in (lambda: create(kind, name, **options), lambda: get(kind, name)(**options)):
        with pytest.raises(InputError) as caught:
            make()
        assert str(caught.value) == sentence
    with pytest.raises(InputError) as caught:
        check_method(kind, name, options)
    assert str(caught.value) == sentence


def test_numpy_scalars_and_positions_are_welcome() -> None:
    from graphprune.samplers.infobatch import InfoBatch

    sampler = InfoBatch(np.int64(5), r=np.float32(0.25), scores=np.arange(5.0), epochs=2)
    assert (sampler.n, type(sampler.n), sampler.r) == (5, int, 0.25)
    with pytest.raises(InputError, match="sampler 'infobatch' needs epochs"):
        InfoBatch(5)
    with pytest.raises(InputError, match="give each option once"):
        InfoBatch(5, n=5, epochs=1)


def test_the_temperature_may_be_infinite() -> None:
    assert create("extrapolator", "knn", temperature=math.inf).temperature == math.inf


def test_what_the_job_sets_is_no_option_of_a_config() -> None:
    for kind, name, option in (
        ("sampler", "rs2", "n"), ("sampler", "rs2", "seed"), ("sampler", "es", "epochs"),
        ("model", "mlp", "in_features"), ("paradigm", "forecasting", "info"), ("score", "st_complexity", "links"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"{option} is set by the job"):
            check_method(kind, name, {option: 1})


def test_the_list_of_methods_tells_options_with_ranges_and_defaults() -> None:
    knn = next(m for m in describe_methods()["extrapolators"] if m["name"] == "knn")
    assert knn["options"][0] == {"name": "k", "takes": "an integer from 1 to 1,000,000,000", "default": 20}
    temperature = next(o for o in knn["options"] if o["name"] == "temperature")
    assert temperature == {"name": "temperature", "takes": "a number of at least 1e-09", "default": 1.0}
    rs2 = next(m for m in describe_methods()["samplers"] if m["name"] == "rs2")
    assert [o["name"] for o in rs2["options"]] == ["keep", "replacement"]


def test_ranges_in_words() -> None:
    assert describe(Annotated[float, Field(gt=0, lt=1)]) == "a number above 0 and below 1"
    assert describe(Annotated[float, Field(gt=0)] | None) == "a number above 0 or null"
    assert describe(Count, many=True) == "integers from 1 to 1,000,000,000"


def test_rows_of_tdds_go_to_a_folder_that_exists(tmp_path: Any) -> None:
    score = create("score", "tdds", T=10, rows_folder=str(tmp_path / "new"))
    with pytest.raises(InputError, match="is not a folder"):
        score.check(JobFacts(epochs=10, num_classes=3))
    assert not (tmp_path / "new").exists()
