"""The commands as a user types them, and their answers to bad input."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphprune import cli
from graphprune.select.base import Selection
from graphprune.table import ScoreTable

CONFIGS = Path(__file__).parents[1] / "configs"


def test_the_stages_alone_lead_from_logs_to_a_selection(run, files):
    f = files
    steps = [
        ("score", "--trajectories", f / "T.npz", "--score", "tdds", "--set", "T=12", "--out", f / "tdds.parquet"),
        ("graph", "--embeddings", f / "E.npy", "--k", 6, "--metric", "cosine", "--out", f / "G"),
        ("extrapolate", "--graph", f / "G", "--embeddings", f / "E.npy", "--labels", f / "Y.npy",
         "--seeds", f / "S.parquet", "--method", "knn", "--out", f / "P.parquet"),
        ("evaluate", f / "P.parquet", f / "TRUTH.parquet"),
        ("select", f / "P.parquet", "--keep", 0.25, "--rule", "top_per_class", "--labels", f / "Y.npy",
         "--out", f / "K.parquet"),
    ]  # fmt: skip
    for step in steps:
        code, out, err = run(*step, "--json")
        assert code == 0, err
        result = json.loads(out)
    assert result["kept"] == 30
    predicted = ScoreTable.from_parquet(f / "P.parquet")
    assert predicted.ids.tolist() == list(range(120))
    assert predicted.measured.tolist() == [i % 3 == 0 for i in range(120)]
    assert np.bincount(np.load(f / "Y.npy")[Selection.from_parquet(f / "K.parquet").ids]).tolist() == [
        10,
        10,
        10,
    ]
    indices = np.load(f / "G/indices.npy")
    distances = np.load(f / "G/distances.npy")
    assert indices.shape == distances.shape == (120, 6)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert {"components", "recall", "metric"} <= json.loads((f / "G/graph.json").read_text()).keys()


def test_evaluate_prints_the_agreement_keys(run, files):
    f = files
    run("graph", "--embeddings", f / "E.npy", "--k", 6, "--out", f / "G")
    run("extrapolate", "--graph", f / "G", "--embeddings", f / "E.npy", "--seeds", f / "S.parquet",
        "--method", "ridge", "--out", f / "P.parquet")  # fmt: skip
    code, out, _ = run("evaluate", f / "P.parquet", f / "TRUTH.parquet", "--json")
    result = json.loads(out)
    assert code == 0
    assert {"n", "spearman", "spearman_ci95", "pearson", "kendall", "mse", "overlap"} <= result.keys()
    assert set(result["overlap"]) >= {"0.1", "0.3", "0.5", "0.7"}
    assert result["n"] == 80
    assert result["spearman_ci95"][0] < result["spearman"] < result["spearman_ci95"][1]
    assert result["spearman"] > 0.9
    assert "spearman" in run("evaluate", f / "P.parquet", f / "TRUTH.parquet")[1]


def test_methods_lists_every_fixed_name(run):
    code, out, _ = run("methods", "--json")
    known = {kind: {m["name"] for m in listed} for kind, listed in json.loads(out).items()}
    assert code == 0
    assert {"dynamic_uncertainty", "dynamic_uncertainty_online", "tdds", "loss", "st_complexity"} <= known[
        "scores"
    ]
    assert {"knn", "gcn", "mean", "class_mean", "ridge", "mlp"} <= known["extrapolators"]
    assert {"top", "top_per_class", "random", "random_per_class"} <= known["selections"]
    assert {"random", "rs2"} <= known["samplers"]
    assert all(m["direction"] for m in json.loads(out)["scores"])
    assert "tdds" in run("methods")[1]


def test_help_loads_neither_torch_nor_a_method():
    code = (
        "import sys\nsys.argv = ['graphprune', 'run', '--help']\nfrom graphprune.cli import main\n"
        "try:\n main()\nexcept SystemExit: pass\n"
        "assert not {'torch', 'sklearn', 'numpy', 'networkx'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Example:" in done.stdout


def test_scores_feed_training_in_one_command(run, files):
    import pyarrow.parquet as pq

    tiny = Path(__file__).parent / "tiny.yaml"
    from graphprune.config.load import load_config
    from graphprune.data.load import load_data

    ids = load_data(load_config(tiny).data).train.ids
    ScoreTable(ids, np.linspace(0, 1, len(ids)), False).to_parquet(files / "P.parquet")
    run("select", files / "P.parquet", "--keep", 0.5, "--rule", "top", "--out", files / "K.parquet")
    code, out, err = run("train", tiny, "--selection", files / "K.parquet", "--out", files / "a", "--json")
    assert code == 0, err
    arms = json.loads(out)["training"]
    assert list(arms) == ["selection"]
    assert arms["selection"]["backward_samples"] == 6 * pq.read_metadata(files / "K.parquet").num_rows
    code, out, err = run("train", tiny, "--sampler", "score_weighted", "--scores", files / "P.parquet",
                         "--out", files / "b", "--json")  # fmt: skip
    assert code == 0, err
    arm = json.loads((files / "b/metrics.json").read_text())["training"]["score_weighted"]
    assert 0.4 < arm["keep"] < 0.6
    code, _, err = run("train", tiny, "--sampler", "score_weighted", "--out", files / "c")
    assert (code, "needs scores" in err) == (2, True)


def test_extrapolation_and_selection_follow_custom_ids(run, files):
    """With ids 5, 8, 11 and so on the predictions are those of the rows 0, 1, 2 and so on."""
    f, ids = files, np.arange(120) * 3 + 5
    np.save(f / "I.npy", ids)
    seeds = ScoreTable.from_parquet(f / "S.parquet")
    ScoreTable(ids[seeds.ids], seeds.values, True).to_parquet(f / "SI.parquet")
    assert run("graph", "--embeddings", f / "E.npy", "--k", 6, "--backend", "exact", "--out", f / "G")[0] == 0
    common = ("extrapolate", "--graph", f / "G", "--embeddings", f / "E.npy", "--method", "ridge")
    assert run(*common, "--seeds", f / "S.parquet", "--out", f / "P.parquet")[0] == 0
    code, _, err = run(*common, "--seeds", f / "SI.parquet", "--ids", f / "I.npy", "--out", f / "PI.parquet")
    assert code == 0, err
    plain, named = (ScoreTable.from_parquet(f / name) for name in ("P.parquet", "PI.parquet"))
    assert named.ids.tolist() == ids.tolist()
    assert named.values.tolist() == plain.values.tolist()
    rule = ("--keep", 0.25, "--rule", "d2", "--graph", f / "G", "--embeddings", f / "E.npy")
    assert run("select", f / "P.parquet", *rule, "--out", f / "K.parquet")[0] == 0
    code, _, err = run("select", f / "PI.parquet", *rule, "--ids", f / "I.npy", "--out", f / "KI.parquet")
    assert code == 0, err
    kept, kept_named = (Selection.from_parquet(f / name).ids for name in ("K.parquet", "KI.parquet"))
    assert kept_named.tolist() == ids[kept].tolist()


def test_controls_use_class_probabilities_and_a_short_run(run, files):
    f = files
    run("graph", "--embeddings", f / "E.npy", "--k", 6, "--out", f / "G")
    common = ("extrapolate", "--graph", f / "G", "--embeddings", f / "E.npy", "--seeds", f / "S.parquet")
    common += ("--labels", f / "Y.npy", "--out", f / "P.parquet")
    code, _, err = run(*common, "--method", "seed_entropy", "--probes", f / "Q.npz")
    assert code == 0, err
    probs = np.load(f / "Q.npz")["probs"]
    entropy = -(probs * np.log(probs)).sum(-1).mean(0)
    unseen = ~ScoreTable.from_parquet(f / "P.parquet").measured
    found = ScoreTable.from_parquet(f / "P.parquet").values[unseen]
    assert np.corrcoef(np.argsort(np.argsort(found)), np.argsort(np.argsort(entropy[unseen])))[0, 1] > 0.99
    code, _, err = run(*common, "--method", "short_run", "--short-run", f / "T.npz")
    assert code == 0, err
    with np.load(f / "T.npz") as log:
        doubt = 1 - log["probs"][:, np.arange(120), log["labels"]]
    found = ScoreTable.from_parquet(f / "P.parquet").values[unseen]
    ranks = np.argsort(np.argsort(found)), np.argsort(np.argsort(doubt.mean(0)[unseen]))
    assert np.corrcoef(*ranks)[0, 1] > 0.9


def test_pages_of_one_and_of_two_runs_and_a_fresh_start(run, files):
    tiny = Path(__file__).parent / "tiny.yaml"
    quick = ("--set", "oracle=null", "--set", "training.random_states=[0]", "--set", "training.epochs=2")
    for name in ("a", "b"):
        code, out, err = run("run", tiny, "--out", files / name, *quick)
        assert code == 0, err
        assert err == f"report: {files / name / 'report.html'}\n"
        first, *rows = out.splitlines()
        assert first == json.loads((files / name / "metrics.json").read_text())["verdict"]["sentence"]
        shown = ["full", "pruned", "full_short", "random_equal_cost", "rs2_equal_cost"]
        assert [row.split()[0] for row in rows] == shown
    code, out, err = run("run", tiny, "--out", files / "a", *quick, "--verbose")
    assert code == 0, err
    assert {"arm", "knn", "rs2"} <= {line.split()[0] for line in out.splitlines() if line}
    before = (files / "a/metrics.json").read_bytes()
    (files / "a/report.html").unlink()
    assert run("report", files / "a")[0] == 0
    assert "<html" in (files / "a/report.html").read_text()
    code, _, err = run("report", files / "a", files / "b", "--out", files / "both.html")
    assert code == 0, err
    page = (files / "both.html").read_text()
    assert "pruned" in page
    (files / "a/stray").write_text("x")
    code, _, err = run("run", tiny, "--out", files / "a", *quick, "--fresh")
    assert code == 0, err
    assert (files / "a/stray").read_text() == "x"
    assert json.loads((files / "a/metrics.json").read_text()).keys() == json.loads(before).keys()


def made_up_metrics(arms):
    """Metrics of made-up arms: ``{name: (values, keep, cost)}``."""
    training = {
        name: {"metric": "accuracy", "value": values, "mean": sum(values) / len(values),
               "std": float(np.std(values, ddof=1)), "keep": keep, "seconds": 9.0, "total_seconds": 20 * cost,
               "cost_passes": cost, "samples_seen": 1, "backward_samples": 1, "budget": "passes"}
        for name, (values, keep, cost) in arms.items()
    }  # fmt: skip
    return {"dataset": {"n": 100, "n_test": 100, "majority_share": 0.1}, "training": training, "saving": {},
            "extrapolation": {}, "seeds": {"n": 10}}  # fmt: skip


def test_the_first_screen_shows_the_pruned_arm_of_the_verdict_and_its_own_baselines():
    from graphprune.cli.first_screen import first_screen

    simple = ("full_short", "random_equal_cost", "rs2_equal_cost")
    arms = {
        "full": ([0.9, 0.91, 0.92], 1.0, 1.0),
        "a": ([0.80, 0.81, 0.82], 0.5, 0.6),
        "b": ([0.7, 0.71, 0.72], 0.3, 0.4),
    }
    arms |= {f"{name}@0.60": ([0.85, 0.86, 0.87], 1.0, 0.6) for name in simple}
    arms |= {f"{name}@0.40": ([0.60, 0.61, 0.63], 1.0, 0.4) for name in simple}
    verdict, *rows = first_screen(made_up_metrics(arms)).splitlines()
    assert " b " in verdict, "a reaches more, but only b leads the arms of its own cost"
    assert [row.split()[0] for row in rows] == ["full", "b", *(f"{name}@0.40" for name in simple)]
    assert rows[1].split() == [
        "b",
        "keep",
        "0.30",
        "accuracy",
        "0.7100",
        "±",
        "0.0100",
        "cost",
        "0.40",
        "full",
        "runs",
        "8.0",
        "s",
    ]


def test_the_first_screen_of_one_arm_is_its_row():
    from graphprune.cli.first_screen import first_screen

    assert first_screen(made_up_metrics({"selection": ([0.8, 0.81], 0.5, 0.5)})).startswith(
        "selection  keep 0.50"
    )


def test_constant_scores_give_null_correlations_with_a_reason(run, files):
    f = files
    ids = np.arange(120)
    ScoreTable(ids, np.ones(120), False).to_parquet(f / "P.parquet")
    code, out, _ = run("evaluate", f / "P.parquet", f / "TRUTH.parquet", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["spearman"] is None
    assert "constant" in result["reason"]


def test_a_bug_is_one_line_and_exit_code_1_with_the_traceback_on_request(run, monkeypatch):
    def broken(*_):
        raise RuntimeError("boom")

    monkeypatch.setattr("graphprune.registry.describe", broken)
    code, _, err = run("methods")
    assert (code, err.count("\n")) == (1, 1)
    assert "error: RuntimeError: boom (a bug in graphprune, in cli/about.py:" in err
    code, _, err = run("methods", "--debug")
    assert code == 1
    assert err.startswith("Traceback")
    assert "\nerror: RuntimeError: boom (" in err


def test_an_error_without_a_message_still_states_what_and_where(run, monkeypatch):
    def broken(*_):
        raise AssertionError

    monkeypatch.setattr("graphprune.registry.describe", broken)
    assert run("methods")[2].startswith("error: AssertionError (a bug in graphprune, in cli/about.py:")


def test_bad_input_stays_exit_code_2_with_debug(run):
    code, _, err = run("report", "nowhere", "--debug")
    assert code == 2
    assert err.startswith("Traceback")
    assert err.splitlines()[-1] == "error: nowhere has no metrics.json; pass the folder of a finished run"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("rn",), "'run'"),
        (("run", "c.yaml", "--ot", "x"), "--out"),
        (("select", "--kep", "1"), "--keep"),
    ],
)
def test_misspelled_commands_and_options_get_the_nearest_ones_as_hints(run, arguments, hint):
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert hint in err
    assert "--help" in err


COMMANDS = sorted(c.name or c.callback.__name__ for c in cli.app.registered_commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_the_shared_options(run, command):
    code, out, err = run(command, "--help")
    text = " ".join(out.split())
    assert (code, err) == (0, "")
    assert f"Example: graphprune {command}" in text
    assert "--debug" in text
    if command != "schema":
        assert "--json" in text
    if command in ("run", "plan", "embed", "train"):
        assert {"--seed", "--device", "--set"} <= set(text.split())
    if command in ("score", "graph", "extrapolate", "evaluate", "select"):
        assert {"--seed", "--set"} <= set(text.split())


def test_doctor_finds_what_is_installed_and_how_to_install_the_rest(run, monkeypatch):
    import torch

    monkeypatch.setitem(
        __import__("graphprune.cli.doctor", fromlist=["OPTIONAL"]).OPTIONAL,
        "absent_module",
        ("absent", "hf", "a test"),
    )
    code, out, _ = run("doctor", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["versions"]["torch"] == torch.__version__
    assert "cpu" in found["devices"]
    assert found["threads"]["torch"] == torch.get_num_threads()
    assert {"package": "absent", "purpose": "a test", "install": "pip install 'graphprune[hf]'"} in found[
        "missing"
    ]
    assert found["problems"] == []
    assert "pip install 'graphprune[hf]'" in run("doctor")[1]


def test_doctor_and_provenance_cover_every_package_that_the_project_requires(monkeypatch):
    import re
    import tomllib

    from graphprune.cli import doctor
    from graphprune.jobs import provenance
    from graphprune.runtime import packages

    project = tomllib.loads((CONFIGS.parent / "pyproject.toml").read_text())["project"]
    assert set(packages.PACKAGES) == {re.split("[<>=]", line)[0] for line in project["dependencies"]}
    assert provenance.versions is doctor.versions
    assert set(packages.versions()) == {"python", "graphprune", *packages.PACKAGES}
    monkeypatch.setattr(doctor, "PACKAGES", (*packages.PACKAGES, "no-such-package"))
    assert doctor.examine().problems == ["no-such-package is not installed: pip install graphprune"]


def test_the_schema_accepts_every_shipped_config_and_refuses_a_wrong_one(run):
    import yaml

    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(run("schema")[1])
    for path in CONFIGS.glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    digits = yaml.safe_load((CONFIGS / "digits.yaml").read_text())
    for change in ({"extrapolators": ["knm"]}, {"sed": 1}, {"seeds": {"fraction": 2}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**digits, **change}, schema)


def test_no_progress_is_printed_without_a_terminal(files):
    done = subprocess.run(
        [sys.executable, "-c", "from graphprune.cli import main; main()", "embed", str(CONFIGS / "digits.yaml"),
         "--set", "data.limit=100", "--set", "seed_training.epochs=1", "--set", "scores=[{name: loss}]",
         "--set", "arms=[]", "--set", "graph.k=5", "--out", str(files / "E.npy")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == f"wrote {files / 'E.npy'}: 80 x 32\n"


def test_shell_completion_offers_the_commands():
    done = subprocess.run(
        [sys.executable, "-c", "from graphprune.cli import app; app(prog_name='graphprune')"],
        env={"_GRAPHPRUNE_COMPLETE": "complete_bash", "COMP_WORDS": "graphprune ", "COMP_CWORD": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert set(COMMANDS) <= set(done.stdout.split()), done.stderr


def test_no_argument_shows_the_help(run):
    assert run() == run("--help")
    assert run()[0] == 0


def test_version(run):
    assert run("--version")[1].startswith("graphprune ")


@pytest.mark.parametrize("arguments", [("--version",), ("run", "nowhere.yaml")])
def test_the_handler_of_sigterm_is_restored(run, arguments):
    def mine(*_): ...

    before = signal.signal(signal.SIGTERM, mine)
    try:
        run(*arguments)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
