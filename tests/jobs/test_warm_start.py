"""`init: seed`: training starts from the seed run's weights, and the seed run is paid for once."""

import pytest
import torch
from safetensors.torch import load_file

from graphprune.config.load import parse_config
from graphprune.errors import InputError
from graphprune.jobs.job import Silent
from graphprune.jobs.pipeline import run
from graphprune.jobs.single import train_alone
from graphprune.train.checkpoint import shrink_and_perturb

N, SEEDS, EPOCHS = 240, 72, 2
STILL = {"lr": 1e-12, "weight_decay": 0.0, "epochs": EPOCHS, "random_states": [0], "schedule": "constant"}


def config(**training):
    return parse_config(
        {
            "name": "warm",
            "data": {"kind": "sklearn", "name": "digits", "limit": 300},
            "seeds": {"fraction": 0.3},
            "model": {"name": "mlp", "width": 32, "depth": 1},
            "seed_training": {"epochs": 3, "batch_size": 32, "lr": 0.05},
            "scores": [{"name": "loss"}],
            "graph": {"k": 5},
            "extrapolators": [{"name": "knn", "k": 5}],
            "controls": False,
            "short_run": None,
            "arms": [
                {"name": "pruned", "score": "loss", "keep": 0.5},
                {"name": "drawn", "sampler": {"name": "random", "keep": 0.5}},
                {"name": "cold", "sampler": {"name": "random", "keep": 0.5}, "init": "fresh"},
            ],
            "training": {**STILL, "init": "seed", **training},
        }
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("warm") / "run"
    return out, run(config(), out)


def learned(path):
    return {name: w for name, w in load_file(path).items() if "running" not in name and "num_b" not in name}


def test_warm_arms_start_from_the_seed_run_and_baselines_do_not(finished):
    out, metrics = finished
    seed = learned(out / "checkpoints/seed.safetensors")
    distance = {}
    for arm in metrics["training"]:
        own = learned(out / f"arms/{arm}/0.safetensors")
        distance[arm] = max(float((own[name] - weight).abs().max()) for name, weight in seed.items())
    warm = {arm for arm, gap in distance.items() if gap < 1e-6}
    assert warm == {"pruned", "drawn"}


def test_a_warm_arm_pays_for_the_seed_run_once_and_so_do_its_equal_cost_arms(finished):
    _, metrics = finished
    arms = metrics["training"]
    seed_run = 3 * SEEDS * 3
    half = 3 * N // 2 * EPOCHS
    full = 3 * N * EPOCHS
    # A score is recorded on an evaluation pass after each of the 3 epochs; the graph needs one embedding pass.
    assert arms["pruned"]["cost_passes"] == pytest.approx((seed_run + 3 * SEEDS + N + half) / full)
    assert arms["drawn"]["cost_passes"] == pytest.approx((seed_run + half) / full)
    assert arms["cold"]["cost_passes"] == pytest.approx(half / full)
    for name, arm in arms.items():
        if "equal_cost" in name or name.startswith("full_short"):
            spender = next(a for a in ("pruned", "drawn", "cold") if name in arms[a]["equal_cost"])
            assert arm["cost_passes"] == pytest.approx(arms[spender]["cost_passes"], abs=0.01)


def test_shrink_and_perturb_loosens_the_start(finished, tmp_path):
    out, _ = finished
    loosened = {"shrink": 0.5, "noise": 0.0}
    run(config(shrink_and_perturb=loosened), out)
    seed, own = (learned(out / p) for p in ("checkpoints/seed.safetensors", "arms/drawn/0.safetensors"))
    for name, weight in seed.items():
        torch.testing.assert_close(own[name], weight / 2, atol=1e-6, rtol=1e-5)


def test_noise_has_the_stated_spread_and_depends_on_the_seed_alone():
    models = [torch.nn.Linear(300, 300) for _ in range(2)]
    for model in models:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(2.0)
        shrink_and_perturb(model, 0.6, 0.1, seed=4)
    assert torch.equal(models[0].weight, models[1].weight)
    assert float(models[0].weight.detach().mean()) == pytest.approx(1.2, abs=0.01)
    assert float(models[0].weight.detach().std()) == pytest.approx(0.1, rel=0.05)


def test_without_a_seed_run_there_is_nothing_to_start_from(tmp_path):
    with pytest.raises(InputError, match="init: seed needs .*seed.safetensors"):
        train_alone(config(), tmp_path, selection=None, sampler="random", scores=None, reporter=Silent())


@pytest.mark.parametrize(
    ("sampler", "missing"),
    [
        ({"name": "gstds", "embeddings": "run"}, "embeddings"),
        ({"name": "gstds", "graph": "run"}, "graph"),
        ({"name": "jest", "reference_losses": "run"}, "seed_model"),
    ],
)
def test_what_only_a_whole_job_makes_is_rejected_before_anything_is_written(tmp_path, sampler, missing):
    own = config(init="fresh", sampler=sampler)
    with pytest.raises(InputError, match=f"has no '{missing}', which graphprune run writes"):
        train_alone(
            own, tmp_path / "run", selection=None, sampler=sampler["name"], scores=None, reporter=Silent()
        )
    assert not (tmp_path / "run/config.yaml").exists()


def test_a_sampler_reads_what_a_whole_job_made_in_the_folder(finished):
    out, _ = finished
    for sampler in ({"name": "gstds", "embeddings": "run"}, {"name": "jest", "reference_losses": "run"}):
        own = config(init="fresh", sampler=sampler)
        metrics = train_alone(
            own, out, selection=None, sampler=sampler["name"], scores=None, reporter=Silent()
        )
        assert metrics["training"][sampler["name"]]["cost_passes"] > 0
