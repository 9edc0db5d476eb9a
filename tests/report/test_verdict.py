"""The advice follows from paired differences over random seeds and never favors pruning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from graphprune.errors import InputError
from graphprune.report.arms import arms, equal_cost_arms
from graphprune.report.comparison import compare_arms
from graphprune.report.verdict import verdict


def job(
    values: dict[str, list[float]], *, metric: str = "accuracy", **more: dict[str, Any]
) -> dict[str, Any]:
    """A `metrics.json` whose arms have these values for each random seed; ``more`` adds keys to an arm."""
    common = {"metric": metric, "keep": 0.5, "seconds": 5.0, "total_seconds": 7.0, "cost_passes": 0.7}
    training = {name: {**common, "value": value, **more.get(name, {})} for name, value in values.items()}
    if "full" in training:
        training["full"].update(total_seconds=10.0, cost_passes=1.0)
    return {"training": training}


SIMPLE = {
    "full": [0.95, 0.96, 0.94, 0.95],
    "full_short": [0.93, 0.94, 0.92, 0.93],
    "random_equal_cost": [0.91, 0.92, 0.90, 0.91],
    "rs2_equal_cost": [0.92, 0.93, 0.92, 0.92],
}


def test_prunes_when_an_arm_clearly_beats_everything_of_its_cost() -> None:
    found = verdict(job({**SIMPLE, "mine": [0.945, 0.956, 0.934, 0.949]}))
    assert found.kind == "prune"
    assert found.sentence.startswith("Prune with mine (keep 50 %): it reaches 94.60 %, 1.60 points better")
    assert "(95 % interval +1.26 to +1.94, 4 random seeds)" in found.sentence
    assert "0.70 of the full run's time" in found.sentence
    assert found.sentence.endswith("is 0.40 points worse than the full run.")


def test_says_train_shorter_when_full_short_is_better() -> None:
    found = verdict(job({**SIMPLE, "mine": [0.920, 0.931, 0.911, 0.919]}))
    assert found.kind == "train_shorter"
    assert found.sentence.startswith(
        "Train shorter on all data instead of pruning: full_short reaches 93.00 %"
    )
    assert "no clear difference" not in found.sentence


@pytest.mark.parametrize("mine", [[0.93, 0.94, 0.92, 0.93], [0.95, 0.90, 0.93, 0.92]])
def test_a_tie_goes_to_training_shorter(mine: list[float]) -> None:
    found = verdict(job({**SIMPLE, "random_equal_cost": mine, "rs2_equal_cost": mine, "mine": mine}))
    assert found.kind == "train_shorter"
    assert "Train shorter on all data" in found.sentence
    assert "no clear difference" in found.sentence


def test_a_lead_within_chance_is_no_difference() -> None:
    found = verdict(job({**SIMPLE, "mine": [0.95, 0.93, 0.93, 0.94]}))
    assert found.kind == "no_difference"
    assert found.sentence.startswith(
        "No clear difference with 4 random seeds: mine (keep 50 %) is 0.75 points better"
    )
    assert any(line.startswith("mine against random_equal_cost") for line in found.evidence)


def test_beating_full_short_is_not_enough_when_rs2_is_as_good() -> None:
    mine = [0.945, 0.956, 0.934, 0.949]
    found = verdict(job({**SIMPLE, "rs2_equal_cost": [v + 0.01 for v in mine], "mine": mine}))
    assert found.kind == "train_shorter"
    assert found.sentence.startswith(
        "Train on a new random subset in every epoch (RS2): rs2_equal_cost reaches 95.60 %"
    )


def test_a_smaller_mae_is_better() -> None:
    low, high = [20.1, 20.3, 20.2], [21.2, 21.3, 21.1]
    simple = {"full": low, "full_short": high, "random_equal_cost": high, "rs2_equal_cost": high}
    assert verdict(job({**simple, "mine": low}, metric="mae")).kind == "prune"
    assert verdict(job({**simple, "full_short": low, "mine": high}, metric="mae")).kind == "train_shorter"


def test_an_arm_that_costs_more_than_the_full_run_must_beat_it_too() -> None:
    values = {**SIMPLE, "mine": [0.945, 0.956, 0.934, 0.949]}
    found = verdict(job(values, mine={"total_seconds": 12.0}))
    assert found.kind == "train_shorter"
    assert found.sentence.startswith("Train on all data instead of pruning: full reaches 95.00 %")
    assert any("it saves nothing" in line for line in found.evidence)


@pytest.mark.parametrize("states", [0, 1])
def test_fewer_than_two_random_seeds_allow_no_verdict(states: int) -> None:
    found = verdict(job({name: v[:states] for name, v in {**SIMPLE, "mine": [0.99] * 4}.items()}))
    assert found.kind == "no_difference"
    assert found.sentence.startswith("No verdict is possible")
    assert "training.random_states" in found.sentence


def test_no_verdict_without_pruned_arm_or_full_short() -> None:
    assert "no pruned arm" in verdict(job(SIMPLE)).sentence
    assert "no pruned arm" in verdict({}).sentence
    mine = {"full": SIMPLE["full"], "rs2_equal_cost": SIMPLE["rs2_equal_cost"], "mine": [0.99] * 4}
    assert "no full_short arm" in verdict(job(mine)).sentence


def test_a_model_that_does_not_beat_the_last_value_shows_nothing(forecast: dict[str, Any]) -> None:
    assert verdict(forecast).kind == "train_shorter"
    forecast["training"]["last_value"].update(value=[20.0], mean=20.0)
    found = verdict(forecast)
    assert found.kind == "not_learned"
    assert found.evidence == []
    assert found.sentence == (
        "The models have not learned yet: full has a mean absolute error of 20.23 (95 % interval 19.85 to 20.61), "
        "not clearly better than repeating the last value (20.00). Raise training.epochs or training.lr before "
        "comparing arms."
    )


def test_with_several_budgets_each_arm_meets_its_own() -> None:
    low, high = [0.90, 0.91, 0.90], [0.96, 0.97, 0.96]
    values = {"full": high, "cheap": [0.93, 0.94, 0.93], "dear": [0.93, 0.94, 0.93]}
    values |= {"full_short@0.40": low, "full_short@0.80": high}
    budgets = {name: {"cost_passes": float(name[-4:])} for name in values if "@" in name}
    known = arms(job(values, cheap={"cost_passes": 0.42}, dear={"cost_passes": 0.79}, **budgets))
    assert [arm.name for arm in equal_cost_arms(known["cheap"], known)] == ["full_short@0.40"]
    assert [arm.name for arm in equal_cost_arms(known["dear"], known)] == ["full_short@0.80"]
    found = verdict(job(values, cheap={"cost_passes": 0.42}, dear={"cost_passes": 0.79}, **budgets))
    assert found.kind == "prune"
    assert found.sentence.startswith("Prune with cheap")


def test_stated_equal_cost_arms_come_first() -> None:
    values = {"mine": [0.9, 0.9], "full_short@0.40": [0.8, 0.8], "full_short@0.80": [0.8, 0.8]}
    known = arms(job(values, mine={"equal_cost": ["full_short@0.80", "absent"]}))
    assert [arm.name for arm in equal_cost_arms(known["mine"], known)] == ["full_short@0.80"]


def test_many_arms_do_not_win_by_being_many() -> None:
    rivals = {f"rival_{i}": [0.80, 0.81, 0.80, 0.81] for i in range(9)}
    mine = {"mine": [0.944, 0.962, 0.934, 0.957]}
    alone = verdict(job({**SIMPLE, **mine}))
    among = verdict(job({**SIMPLE, **mine, **rivals}))
    assert (alone.kind, among.kind) == ("prune", "no_difference")
    assert "jointly for the 10 pruned arms" in among.evidence[-1]


def test_warns_where_equal_cost_is_not_equal() -> None:
    found = verdict(
        job({**SIMPLE, "mine": SIMPLE["full"]}, full_short={"cost_passes": 0.9, "total_seconds": 7.1})
    )
    warnings = [line for line in found.evidence if line.startswith("Costs are not equal")]
    assert warnings == ["Costs are not equal: full_short took 1.29 of the sample passes of mine."]


def test_refuses_an_unknown_metric() -> None:
    with pytest.raises(InputError, match="'f1'"):
        verdict(job({**SIMPLE, "mine": [0.9] * 4}, metric="f1"))


@given(
    pairs=st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=2, max_size=8),
    level=st.sampled_from([0.9, 0.95, 0.99]),
)
def test_interval_is_that_of_a_paired_t_test(pairs: list[tuple[float, float]], level: float) -> None:
    a, b = np.array(pairs).T
    known = arms(job({"mine": a.tolist(), "full_short": b.tolist()}))
    found = compare_arms(known["mine"], known["full_short"], level=level)
    assert found is not None
    assert found.n == len(pairs)
    if np.ptp(a - b) > 1e-6:
        low, high = stats.ttest_rel(a, b).confidence_interval(level)
        np.testing.assert_allclose(
            [found.mean, found.low, found.high], [(a - b).mean(), low, high], atol=1e-9
        )


def test_equal_differences_of_whole_test_samples_prove_little() -> None:
    """Two seeds on 60 test samples, each 4 samples better: may be chance, although the differences do not vary."""
    metrics = job({"mine": [22 / 60, 24 / 60], "full_short": [18 / 60, 20 / 60]})
    metrics["dataset"] = {"n_test": 60}
    known = arms(metrics)
    found = compare_arms(known["mine"], known["full_short"])
    assert found is not None
    half = stats.t.ppf(0.975, 1) * np.sqrt(1 / 6 / 2) / 60
    assert (found.low, found.high) == (pytest.approx(4 / 60 - half), pytest.approx(4 / 60 + half))
    errors = job({"mine": [3.0, 4.0], "full_short": [3.5, 4.5]}, metric="mae") | {"dataset": {"n_test": 60}}
    assert arms(errors)["mine"].step == 0.0


def test_pairs_with_missing_values_are_left_out() -> None:
    known = arms(job({"mine": [0.9, None, 0.8, 0.7], "full_short": [0.8, 0.1, None, 0.6]}))  # type: ignore[list-item]
    found = compare_arms(known["mine"], known["full_short"])
    assert found is not None
    assert (found.n, round(found.mean, 12)) == (2, 0.1)


def test_break_even_and_fallbacks() -> None:
    training = {
        "full": {"metric": "accuracy", "value": [0.9, 0.92], "seconds": 10.0},
        "mine": {"metric": "accuracy", "value": [0.9, 0.9], "seconds": 5.0},
        "slow": {"metric": "accuracy", "value": [0.9], "seconds": 11.0, "total_seconds": 20.0},
    }
    saving = {"mine": {"wall_clock_ratio": 0.8, "metric_delta": -0.01}}
    known = arms({"training": training, "saving": saving})
    assert known["mine"].total_seconds == 8.0
    assert known["mine"].break_even == pytest.approx(3.0 / 5.0)
    assert known["slow"].break_even == float("inf")
    assert known["slow"].wall_clock_ratio == 2.0
    assert known["full"].mean == pytest.approx(0.91)
    assert known["full"].std == pytest.approx(np.std([0.9, 0.92], ddof=1))
    assert known["slow"].std is None
