"""The soak test in short: every fault of `experiments/soak/faults.py` once, on a job of a second."""

from pathlib import Path

import pytest

from experiments.soak.faults import Soak
from experiments.soak.saved import kills_after_saves
from graphprune.errors import InputError
from graphprune.files import write_atomic
from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.stage import Estimate, Stage

HERE = Path(__file__).parent
SMALLER = ["data.limit=120", "oracle=null", "extrapolators=[{name: knn, k: 3}]", "arms.0.extrapolator=knn", "graph.k=5",
           "controls=false", "short_run=null", "training.random_states=[0]", "training.epochs=2"]  # fmt: skip


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    return Soak(HERE / "tiny.yaml", SMALLER, tmp_path_factory.mktemp("soak"))


def test_kills_at_random_moments(soak):
    assert soak.kills(2)["signals"] == 2


def test_ctrl_c_stops_cleanly(soak):
    soak.interruption()


def test_a_full_disk(soak):
    soak.full_disk(limits=(4_000,))


def test_a_small_file_system_that_grows(soak):
    found = soak.full_tmpfs(kib=64, factor=8)
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert found["times full"] > 1


def test_a_read_only_place(soak):
    soak.read_only()


def test_two_runs_on_one_folder(soak):
    soak.two_runs()


def test_files_from_the_future(soak):
    soak.future()


def test_fresh_killed(soak):
    found = soak.fresh_kills(2)
    assert sum(found.values()) == 2


def test_kills_after_saves_and_damaged_checkpoints(tmp_path):
    longer = ["training.epochs=6", "arms=[]"]
    found = kills_after_saves(Soak(HERE / "tiny.yaml", [*SMALLER, *longer], tmp_path), 2, cadence=0)
    assert (found["resumed"], found["damaged"]["bit"]) == (1, 1)


def test_a_corrupted_byte(soak):
    assert soak.corruption(3)["files"] == 3


def test_a_record_whose_costs_were_altered_is_not_trusted(tmp_path):
    run = RunFolder(tmp_path)

    def ensure() -> bool:
        def work(attempt):
            (run / "artifact").write_text("a")
            return [run / "artifact"]

        return run.ensure(Stage("stage", work, lambda _: Estimate({})))

    assert ensure()
    assert not ensure()
    record = tmp_path / ".stages/stage.json"
    record.write_text(record.read_text().replace('"costs": {}', '"costs": {"stage": {"seconds": 0}}'))
    assert ensure()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("writer failed")])
def test_a_failed_write_names_the_file_and_leaves_the_old_one(tmp_path, error):
    path = tmp_path / "artifact"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("half")
        raise error

    with pytest.raises(InputError, match="artifact could not be written"):
        write_atomic(path, write)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["artifact"]
