"""`graphprune report` on folders that somebody edited: the page as before, or one sentence that names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import graphprune
from graphprune.errors import InputError
from graphprune.report.html import ReportInput, render
from graphprune.report.stored import read_ledger, read_metrics, read_provenance

READERS = {"metrics": read_metrics, "ledger": read_ledger, "provenance": read_provenance}
ABSENT = object()
VALUES = [ABSENT, None, [], {}, "x", 1e308, -1, True, [[{"x": [None]}]], "<script>alert(1)</script>"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that is done."""
    folder = tmp_path_factory.mktemp("stored") / "run"
    changes = [
        "short_run=null",
        "controls=false",
        "scores=[{name: tdds, T: 6, window: 4}]",
        "extrapolators=[knn]",
    ]
    changes += ["arms.0.extrapolator=knn", "seed_training.epochs=6"]
    graphprune.run(graphprune.load_config(Path(__file__).parents[1] / "tiny.yaml", changes), out=folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "run", ignore=shutil.ignore_patterns("*.safetensors"))
    return tmp_path / "run"


def test_the_files_of_a_run_are_read_as_they_are(original: Path) -> None:
    for name, read in READERS.items():
        assert read(original) == json.loads((original / f"{name}.json").read_text())


def paths(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested data, the first two items of each list."""
    parts = node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, list) else ()
    for key, part in parts:
        yield (*above, key)
        yield from paths(part, (*above, key))


def shortened(raw: Any) -> Any:
    """Metrics with three of the arms, and without what a page reads from elsewhere; other files as they are."""
    for section in ("training", "saving", "cost"):
        for name in [
            name for name in raw.get(section, {}) if name not in ("full", "pruned", "full_short", "embed")
        ]:
            del raw[section][name]
    for score in raw.get("extrapolation", {}).values():
        for agreement in (
            method[kind] for method in score["methods"].values() for kind in ("heldout", "oracle")
        ):
            for unread in (
                "calibration",
                "class_bias",
                "coverage90",
                "pearson_ci95",
                "block",
            ):
                del agreement[unread]
    return raw


def edited(raw: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(raw))
    node = copy
    for key in path[:-1]:
        node = node[key]
    if value is ABSENT:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return copy


@pytest.mark.parametrize("name", READERS)
def test_any_single_edit_gives_the_page_or_one_sentence_that_names_the_file(
    name: str, original: Path, tmp_path: Path
) -> None:
    raw = shortened(json.loads((original / f"{name}.json").read_text()))
    parts = {which: read(original) for which, read in READERS.items()}
    shown, refused = 0, []
    for number, path in enumerate(paths(raw)):
        for turn, value in enumerate(VALUES):
            (tmp_path / f"{name}.json").write_text(json.dumps(edited(raw, path, value)))
            try:
                content = {**parts, name: READERS[name](tmp_path)}
            except InputError as error:
                refused.append(str(error))
                continue
            # Each place in turn with another of the values that were accepted: a page takes its time.
            if (number + turn) % 20 == 0:
                shown += 1
                page = render(ReportInput(**content))
                assert "<script>alert" not in page
    assert all(said.startswith(f"{tmp_path / name}.json") and "\n" not in said for said in refused)
    assert len(refused) > 5
    assert shown > 5


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("metrics.json", "[]", "must contain a JSON object but contains a list"),
        ("metrics.json", "[" * 100_000, "is not valid JSON"),
        ("metrics.json", '{"a":' * 60 + "1" + "}" * 60, "is nested more than 50 levels deep"),
        ("metrics.json", '{"schema": 2}', "schema is 2 but this version of graphprune reads schema 1"),
        ("metrics.json", '{"schema": 1, "dataset": NaN}', "dataset is not a finite number"),
        (
            "metrics.json",
            '{"schema": 1, "dataset": {"name": "\\ud800"}}',
            "dataset.name contains invalid characters",
        ),
        ("metrics.json", '{"schema": 1%s}' % ("0" * 5000), "is not valid JSON"),
        ("metrics.json", '{"schema": 1%s}' % ("0" * 500), "schema has too many digits"),
        ("ledger.json", '{"embed": {"seconds": "long"}}', "embed.seconds: Input should be a valid number"),
        ("provenance.json", "[]", "must contain a JSON object but contains a list"),
        ("provenance.json", '{"faults": "none"}', "faults: Input should be a valid list"),
    ],
)
def test_damaged_json_is_told_by_file_and_key(
    file: str, text: str, said: str, folder: Path, run: Run
) -> None:
    before = (folder / "report.html").read_bytes()
    (folder / file).write_text(text)
    code, out, err = run("report", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(folder / file) in err
    assert said in err
    assert (folder / "report.html").read_bytes() == before


def test_a_missing_key_is_named(folder: Path, run: Run) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["extrapolation"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    said = f"error: {folder}/metrics.json: the key extrapolation is missing; restore the file or run the job again\n"
    assert run("report", folder) == (2, "", said)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(5, np.float32), "is float32 [5]; it must be floating point [240, D]"),
        (np.zeros((7, 3), np.float32), "is float32 [7, 3]"),
        (np.zeros((240, 3), np.int64), "is int64 [240, 3]"),
        (np.full((240, 3), np.nan, np.float32), "holds NaN or infinite values"),
    ],
)
def test_other_embeddings_are_refused(array: np.ndarray, said: str, folder: Path, run: Run) -> None:
    np.save(folder / "embeddings.npy", array)
    code, _, err = run("report", folder)
    assert code == 2
    assert f"{folder}/embeddings.npy {said}" in err


def test_files_of_different_runs_are_refused(folder: Path, run: Run) -> None:
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(
        config.replace("name: tdds", "name: loss").replace("score: tdds", "score: loss")
    )
    for option in ("  T: 6\n", "  window: 4\n"):
        (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace(option, ""))
    code, _, err = run("report", folder)
    assert (code, err.count("\n")) == (2, 1)
    assert "metrics.json has the scores tdds and config.yaml loss" in err
    (folder / "config.yaml").write_text(config.replace("limit: 300", "limit: 200"))
    code, _, err = run("report", folder)
    assert (code, err.count("\n")) == (2, 1)
    assert "tdds/knn.parquet holds other samples than the run's data" in err


def test_folders_without_a_finished_run_are_refused(folder: Path, tmp_path: Path, run: Run) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        code, _, err = run("report", path)
        assert (code, err) == (2, f"error: {path} has no metrics.json; pass the folder of a finished run\n")
    with FileLock(folder / ".lock"):
        code, _, err = run("report", folder)
    assert (code, err) == (2, f"error: {folder} is in use by a run; wait until it has finished\n")
    assert run("report", folder)[0] == 0


def test_runs_with_different_metrics_never_share_an_axis(folder: Path, tmp_path: Path, run: Run) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    metrics = json.loads((other / "metrics.json").read_text())
    for arm in metrics["training"].values():
        arm["metric"] = "mae"
    (other / "metrics.json").write_text(json.dumps(metrics))
    assert run("report", folder, other, "--out", tmp_path / "both.html")[0] == 0
    page = (tmp_path / "both.html").read_text()
    assert "accuracy, %" in page
    assert "MAE" in page
    assert page.count('data-figure="runs-') == 2
