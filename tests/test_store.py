"""The run folder: what is kept, what is redone, what is never trusted."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from graphprune.errors import InputError
from graphprune.files import fingerprint
from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.stage import Estimate, Stage
from graphprune.runtime.cost import Cost


def ensure(run: RunFolder, text: str = "a", *, inputs: list[Path] | None = None, fail: bool = False) -> bool:
    def work(attempt):
        attempt.costs["stage"] = Cost(seconds=1.5, trained_samples=3)
        (run / "artifact").write_text(text)
        if fail:
            raise RuntimeError("killed")
        return [run / "artifact"]

    return run.ensure(stage("stage", work, text, inputs=inputs or []))


def stage(name: str, work, settings: object, *, inputs: Sequence[Path] = ()) -> Stage:
    return Stage(name, work, lambda _: Estimate({}), settings=settings, inputs=tuple(inputs))


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        yield folder


def test_a_done_stage_is_kept_with_its_costs(run):
    assert ensure(run)
    assert not ensure(run)
    assert run.costs("stage")["stage"] == Cost(seconds=1.5, trained_samples=3)
    assert run.ledger() == {"stage": Cost(seconds=1.5, trained_samples=3)}


def test_changed_settings_inputs_or_artifacts_redo_the_stage(run):
    source = run / "source"
    source.write_text("1")
    ensure(run, inputs=[source])
    assert not ensure(run, inputs=[source])
    source.write_text("2")
    assert ensure(run, inputs=[source])
    (run / "artifact").write_text("b")
    assert ensure(run, inputs=[source])
    (run / "artifact").unlink()
    assert ensure(run, inputs=[source])
    assert ensure(run, "other", inputs=[source])


def test_an_interrupted_stage_is_not_trusted_even_over_an_older_result(run):
    ensure(run)
    with pytest.raises(RuntimeError, match="killed"):
        ensure(run, "b", fail=True)
    assert ensure(run, "b")


@pytest.mark.parametrize("record", ["", "{", "[]", "{}", "null", '{"key": 1}'])
def test_a_damaged_record_counts_as_none(run, record):
    ensure(run)
    (run / ".stages/stage.json").write_text(record)
    assert ensure(run)


def test_leftovers_are_cleared_and_a_second_run_is_refused(tmp_path):
    with RunFolder(tmp_path / "run").locked():
        ensure(RunFolder(tmp_path / "run"))
    leftovers = [tmp_path / "run/.tmp-1-artifact", tmp_path / "run/.stages/.tmp-23-graph.json"]
    theirs = [
        tmp_path / f"run/{name}" for name in (".tmp-notes", ".tmp-1-notes", ".tmp-1-", ".tmp-x-artifact")
    ]
    for path in (*leftovers, *theirs):
        path.write_text("half")
    with RunFolder(tmp_path / "run").locked():
        assert not any(path.exists() for path in leftovers)
        assert all(path.exists() for path in theirs)
        with pytest.raises(InputError, match="in use by another run"), RunFolder(tmp_path / "run").locked():
            pass


def test_unfinished_checkpoints_belong_to_one_key(run):
    seen = []

    def work(attempt):
        seen.append(attempt.checkpoint)
        attempt.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        attempt.checkpoint.write_text("state")
        (run / "artifact").write_text("x")
        return [run / "artifact"]

    run.ensure(stage("train", work, 1))
    run.ensure(stage("train", work, 2))
    assert seen[0] != seen[1]
    assert not seen[0].exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="is a file"), RunFolder(tmp_path / "run").locked():
        pass


def test_only_intact_outputs_of_a_finished_stage_are_read(run):
    assert run.outputs("stage") == []
    ensure(run)
    assert run.outputs("stage") == [run / "artifact"]
    (run / "artifact").write_text("altered")
    assert run.outputs("stage") == []


def test_a_record_without_its_digest_counts_as_none(run):
    ensure(run)
    path = run / ".stages/stage.json"
    record = json.loads(path.read_text())
    del record["digest"]
    path.write_text(json.dumps(record))
    assert ensure(run)


def test_arrays_in_a_key_count_with_dtype_shape_and_content():
    x = np.arange(6000, dtype=np.int64)
    other = x.copy()
    other[3000] = -1
    values = [
        x,
        other,
        x.reshape(60, 100),
        x.astype(np.int32),
        x.view(np.float64),
        torch.from_numpy(x).float(),
        str(x),
    ]
    assert len({fingerprint({"option": value}) for value in values}) == len(values)
    assert fingerprint({"option": x}) == fingerprint({"option": torch.from_numpy(x)})
    assert fingerprint([np.float32(0.5), np.int64(3)]) == fingerprint([0.5, 3])
