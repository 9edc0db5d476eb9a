"""The commands as a user types them, and what they say to bad input."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphprune import cli
from graphprune.select.base import Selection
from graphprune.table import ScoreTable

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs one command in this process; returns exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["graphprune", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def files(tmp_path):
    """Small but complete inputs of every command, with spaces and umlauts in the path."""
    folder = tmp_path / "eine Mappe ü"
    folder.mkdir()
    draws = np.random.default_rng(0)
    n, classes, epochs = 120, 3, 14
    labels = np.arange(n) % classes
    embeddings = (draws.normal(size=(n, 5)) + labels[:, None]).astype(np.float32)
    logits = (
        draws.normal(size=(epochs, n, classes))
        + np.eye(classes)[labels] * np.arange(epochs)[:, None, None] / 4
    )
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.save(folder / "E.npy", embeddings)
    np.save(folder / "Y.npy", labels)
    np.savez(folder / "T.npz", probs=probs.astype(np.float32), labels=labels)
    np.savez(folder / "Q.npz", probs=probs[-2:].astype(np.float32))
    truth = (embeddings[:, 0] + draws.normal(scale=0.2, size=n)).astype(np.float32)
    ScoreTable(np.arange(n), truth, True).to_parquet(folder / "TRUTH.parquet")
    ScoreTable(np.arange(0, n, 3), truth[::3], True).to_parquet(folder / "S.parquet")
    return folder


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
    from graphprune.config_file import load_config
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


BAD = {
    "no such config": (lambda f: ("run", f / "absent.yaml"), "absent.yaml does not exist"),
    "misspelt key": (lambda f: ("run", CONFIGS / "digits.yaml", "--set", "sed=1"), "did you mean 'seed'"),
    "misspelt method": (
        lambda f: ("run", CONFIGS / "digits.yaml", "--set", "extrapolators=[knm]", "--set", "arms=[]"),
        "did you mean 'knn'",
    ),
    "misspelt option": (
        lambda f: ("run", CONFIGS / "digits.yaml", "--set", "scores.0.windo=3"),
        "did you mean 'window'",
    ),
    "k beyond n": (lambda f: ("graph", "--embeddings", f / "E.npy", "--k", 120, "--out", f / "G"), "120"),
    "graph.k beyond n": (
        lambda f: ("run", CONFIGS / "digits.yaml", "--set", "graph.k=5000", "--out", f / "r"),
        "graph.k is 5000 but there are 1438 samples",
    ),
    "a window beyond the series": (
        lambda f: ("run", CONFIGS / "traffic.yaml", "--set", "data.window=3000", "--out", f / "r"),
        "too short: window 3000",
    ),
    "a sensor that is never read": (
        lambda f: (
            np.savez(f / "dead.npz", values=np.where(np.arange(4) == 2, np.nan, np.ones((500, 4)))[..., None]),
            ("run", CONFIGS / "traffic.yaml", "--set", "data.name=null", "--set", f"data.path={f / 'dead.npz'}",
             "--set", "data.steps_per_day=96", "--out", f / "r"),
        )[1],
        "sensor",
    ),
    "unknown metric": (
        lambda f: ("graph", "--embeddings", f / "E.npy", "--metric", "cosin", "--out", f / "G"),
        "cosin",
    ),
    "NaN embeddings": (
        lambda f: (np.save(f / "N.npy", np.where(np.load(f / "E.npy") > 3.5, np.nan, 1).astype(np.float32)),
                   ("graph", "--embeddings", f / "N.npy", "--out", f / "G"))[1],
        "NaN or infinite values, the first is id",
    ),
    "not npy": (lambda f: ("graph", "--embeddings", f / "S.parquet", "--out", f / "G"), "not a readable .npy"),
    "unknown score": (
        lambda f: ("score", "--trajectories", f / "T.npz", "--score", "tddss", "--out", f / "x"),
        "did you mean 'tdds'",
    ),
    "too few epochs": (
        lambda f: ("score", "--trajectories", f / "T.npz", "--score", "tdds", "--set", "T=30", "--out", f / "x"),
        "14",
    ),
    "keep above 1": (
        lambda f: ("select", f / "TRUTH.parquet", "--keep", 1.5, "--rule", "top", "--out", f / "x"),
        "keep is 1.5",
    ),
    "rule without labels": (
        lambda f: ("select", f / "TRUTH.parquet", "--keep", 0.5, "--rule", "top_per_class", "--out", f / "x"),
        "needs labels",
    ),
    "nothing predicted": (lambda f: ("evaluate", f / "TRUTH.parquet", f / "TRUTH.parquet"), "no row with source"),
    "not parquet": (lambda f: ("evaluate", f / "E.npy", f / "TRUTH.parquet"), "not a readable Parquet"),
    "no arm": (lambda f: ("train", CONFIGS / "digits.yaml", "--out", f / "r"), "either --selection"),
    "foreign selection": (
        lambda f: (Selection(np.array([10**9]), np.ones(1, np.float32)).to_parquet(f / "K.parquet"),
                   ("train", CONFIGS / "digits.yaml", "--selection", f / "K.parquet", "--out", f / "r"))[1],
        "first is 1000000000",
    ),
    "not a run": (lambda f: ("report", f), "no metrics.json"),
    "missing argument": (lambda f: ("graph", "--out", f / "G"), "--embeddings"),
    "fresh on a folder that is no run": (
        lambda f: ("run", CONFIGS / "digits.yaml", "--out", f, "--fresh"),
        "not a run folder",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(run, files, case):
    command, message = BAD[case]
    arguments = command(files)
    before = {path: path.stat().st_mtime_ns for path in files.rglob("*") if path.is_file()}
    code, out, err = run(*arguments)
    assert code == 2, err
    assert message in " ".join(err.split())
    assert out == ""
    assert "Traceback" not in err
    after = {p: p.stat().st_mtime_ns for p in files.rglob("*") if p.is_file() and ".stages" not in p.parts}
    written = {p.name for p in after.keys() - before.keys()} - {
        ".lock",
        "log.jsonl",
        "config.yaml",
        "provenance.json",
    }
    assert not written
    assert all(after[path] == stamp for path, stamp in before.items())


SEED_FAULTS = {
    "outside the data": ([0, 999], [1.0, 2.0], "first is 999"),
    "too few": ([0, 1], [1.0, 2.0], "2 seeds|fewer|20"),
}


@pytest.mark.parametrize("case", SEED_FAULTS)
def test_faulty_seeds_are_refused(run, files, case):
    ids, values, message = SEED_FAULTS[case]
    f = files
    ScoreTable(ids, values, True).to_parquet(f / "B.parquet")
    run("graph", "--embeddings", f / "E.npy", "--k", 6, "--out", f / "G")
    code, _, err = run("extrapolate", "--graph", f / "G", "--embeddings", f / "E.npy", "--seeds", f / "B.parquet",
                       "--method", "knn", "--out", f / "P.parquet")  # fmt: skip
    assert code == 2
    assert re.search(message, " ".join(err.split()))
    assert not (f / "P.parquet").exists()


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
    with pytest.raises(RuntimeError, match="boom"):
        run("methods", "--debug")


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


def test_doctor_finds_what_runs_here_and_says_how_to_install_the_rest(run, monkeypatch):
    import torch

    monkeypatch.setitem(
        __import__("graphprune.doctor", fromlist=["OPTIONAL"]).OPTIONAL,
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


def test_the_schema_takes_every_config_that_is_shipped_and_refuses_a_wrong_one(run):
    import yaml

    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(run("schema")[1])
    for path in CONFIGS.glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    digits = yaml.safe_load((CONFIGS / "digits.yaml").read_text())
    for change in ({"extrapolators": ["knm"]}, {"sed": 1}, {"seeds": {"fraction": 2}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**digits, **change}, schema)


def test_nothing_is_said_on_the_way_when_nobody_watches(files):
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
