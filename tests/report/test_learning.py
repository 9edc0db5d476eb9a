"""Models at chance level are reported first, and only those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from graphprune.cli.console import summary
from graphprune.report.arms import EQUAL_COST
from graphprune.report.html import ReportInput, render
from graphprune.report.learning import judge_seed_run, judge_training
from graphprune.report.verdict import verdict


def job(
    values: list[float], *, majority: float | None, n_test: int | None = 360, seed_run: float | None = None
) -> dict[str, Any]:
    """A `metrics.json` in which a pruned arm clearly leads arms that reach what ``full`` does."""
    common = {"metric": "accuracy", "keep": 0.5, "seconds": 5.0, "total_seconds": 7.0, "cost_passes": 0.7}
    reached = {"full": values, "mine": [v + 0.2 for v in values], **dict.fromkeys(EQUAL_COST, values)}
    training = {
        name: {**common, "value": v, "mean": float(np.mean(v)), "std": None} for name, v in reached.items()
    }
    dataset = {"name": "made up", "n": 1000, "n_test": n_test, "majority_share": majority}
    metrics = {"dataset": dataset, "extrapolation": {}, "training": training, "saving": {}}
    return metrics if seed_run is None else {**metrics, "seed_run": {"metric": "accuracy", "value": seed_run}}


def test_chance_level_is_said_first_in_the_verdict_the_terminal_and_the_page() -> None:
    values = [0.118, 0.106, 0.121]
    metrics = job(values, majority=0.104)
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    expected = (
        f"The models have not learned yet: full reaches 11.50 % (95 % interval {100 * low:.2f} to {100 * high:.2f}), "
        "not clearly better than always predicting the most frequent class (10.40 %). Raise training.epochs or "
        "training.lr before comparing arms."
    )
    found = verdict(metrics)
    assert (found.kind, found.sentence, found.evidence) == ("not_learned", expected, [])
    shown = summary(metrics)
    assert shown.startswith(expected)
    assert "Prune" not in shown
    page = render(ReportInput(metrics))
    assert page.index("The models have not learned yet") < page.index("What did I save")
    assert "Prune with" not in page


def test_models_that_learned_get_the_usual_advice() -> None:
    metrics = job([0.70, 0.71, 0.72], majority=0.104)
    assert verdict(metrics).kind == "prune"
    assert judge_training(metrics).learned  # type: ignore[union-attr]
    assert "not learned" not in summary(metrics) + render(ReportInput(metrics))


@pytest.mark.parametrize(("correct", "learned"), [(36, False), (44, False), (49, True)])
def test_one_training_is_judged_by_the_binomial_interval_of_the_test_part(
    correct: int, learned: bool
) -> None:
    """Of 360 test samples 36 belong to the most frequent class."""
    found = judge_training(job([correct / 360], majority=0.1))
    assert found is not None
    wilson = stats.binomtest(correct, 360).proportion_ci(0.95, method="wilson")
    assert found.interval == (pytest.approx(wilson.low), pytest.approx(wilson.high))
    assert found.learned == learned == (wilson.low > 0.1)


def test_models_that_all_give_one_answer_have_not_learned() -> None:
    """Every training predicts one class, which happens to be a little more frequent in the test part."""
    found = judge_training(job([0.111, 0.111, 0.111], majority=0.1))
    assert found is not None
    assert not found.learned
    assert found.interval is not None
    assert found.interval[0] < 0.1 < found.interval[1]


def test_two_trainings_that_each_beat_chance_have_learned_though_their_t_interval_is_wide() -> None:
    found = judge_training(job([0.30, 0.40], majority=0.1))
    assert found is not None
    assert found.interval is not None
    assert found.interval[0] < 0.1
    assert found.learned


def test_a_rare_class_is_no_achievement() -> None:
    """95 % belong to one class: an accuracy of 95 % shows nothing."""
    assert verdict(job([0.95, 0.951, 0.949], majority=0.95)).kind == "not_learned"


def test_nothing_is_said_where_the_trivial_answer_is_unknown() -> None:
    assert judge_training(job([0.1, 0.1], majority=None)) is None
    assert judge_training({}) is None
    assert judge_seed_run(job([0.5], majority=0.1)) is None


def test_a_run_of_a_single_arm_is_judged_by_that_arm() -> None:
    metrics = job([0.1, 0.12], majority=0.104)
    metrics["training"] = {"selection": metrics["training"]["full"]}
    assert verdict(metrics).sentence.startswith("The models have not learned yet: selection reaches 11.00 %")
    assert summary(metrics).startswith("The models have not learned yet")


def test_a_seed_run_at_chance_is_a_note_beside_the_advice() -> None:
    metrics = job([0.70, 0.71, 0.72], majority=0.104, seed_run=0.11)
    found = verdict(metrics)
    assert found.kind == "prune"
    (note,) = found.notes
    assert note.startswith("The seed run has not learned yet: it reaches 11.00 % (95 % interval 8.")
    assert note.endswith("raise seed_training.epochs, seed_training.lr or seeds.fraction.")
    assert note in summary(metrics)
    assert "The seed run has not learned yet" in render(ReportInput(metrics))
    metrics["seed_run"]["value"] = 0.6
    assert verdict(metrics).notes == ()


def test_forecasts_are_compared_with_the_last_value_and_beside_it_with_the_average(
    forecast: dict[str, Any],
) -> None:
    assert judge_training(forecast).learned  # type: ignore[union-attr]
    assert verdict(forecast).notes == ()
    forecast["training"]["historical_average"].update(value=[19.0], mean=19.0)
    (note,) = verdict(forecast).notes
    assert "a mean absolute error of 19.00, full has 20.23" in note
    forecast["training"]["full"].update(value=[23.5], mean=23.5)
    assert verdict(forecast).kind == "not_learned"
    forecast["training"]["full"].update(value=[22.5], mean=22.5)
    assert judge_training(forecast).learned  # type: ignore[union-attr]
    forecast["seed_run"] = {"metric": "mae", "value": 25.0}
    start = "The seed run has not learned yet: it has a mean absolute error of 25.00, not clearly better than"
    assert verdict(forecast).notes[0].startswith(start)
