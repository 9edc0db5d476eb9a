"""A run folder holds what graphprune wrote; whatever else lies in a folder is never overwritten or deleted."""

import json
import shutil
from pathlib import Path

import pytest

from experiments.soak.artifacts import artifacts
from graphprune.config.load import load_config
from graphprune.errors import InputError
from graphprune.files import write_json, write_text
from graphprune.jobs import set_aside as replacing
from graphprune.jobs.pipeline import run as run_job
from graphprune.jobs.run_files import FIXED, MARKER, RunFiles
from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.set_aside import ASIDE, DELETED
from graphprune.jobs.stage import Estimate, Stage

TINY = Path(__file__).parent / "tiny.yaml"
QUICK = ["oracle=null", "extrapolators=[{name: knn, k: 3}]", "arms=[]", "graph.k=5", "controls=false", "short_run=null",
         "training.random_states=[0]", "training.epochs=1", "data.limit=120"]  # fmt: skip
SETS = [part for override in QUICK for part in ("--set", override)]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the lock, by relative name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def make(folder: Path, text: str = "old", *, fresh: bool = False) -> None:
    """A run of one stage that also writes `config.yaml`."""
    run = RunFolder(folder)

    def work(_attempt):
        write_text(run / "deep/down/artifact", text)
        return [run / "deep/down/artifact"]

    with run.locked(fresh=fresh):
        with run.begin():
            write_text(run / "config.yaml", text)
        run.ensure(Stage("stage", work, lambda _: Estimate({}), settings=text))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    run_job(load_config(TINY, QUICK), out)
    return out


@pytest.fixture
def finished(whole, tmp_path):
    """A finished run, and a file that the user put into it."""
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    for name in ("notes.txt", "arms/full/notes.txt", "graph/notes.txt", ".stages/notes.txt"):
        (out / name).write_text("mine")
    return out


@pytest.mark.parametrize(
    "files",
    [
        {"config.yaml": "x"},
        {"metrics.json": "{}"},
        {"embeddings.npy": "x"},
        {"notes.txt": "x"},
        {"sub/notes.txt": "x"},
        {".stages/notes.txt": "x"},
        {".stages/graphprune.jsonl": "x"},
        {".stages/stage.json": '{"key": 1, "outputs": {}, "costs": {}}'},
        {".lock": "mine"},
        {".hidden": ""},
    ],
    ids=lambda files: next(iter(files)),
)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path, files, fresh):
    for name, text in files.items():
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text(text)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="not a run folder|not written by graphprune"):
        make(tmp_path / "own", fresh=fresh)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_empty_folder_and_one_with_a_refused_runs_lock_are_taken(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.lock").write_text("")
    make(tmp_path / "run")
    assert (tmp_path / "run" / MARKER).is_file()


@pytest.mark.parametrize("command", ["run", "train", "embed"])
def test_commands_refuse_a_folder_with_other_files(run, tmp_path, monkeypatch, command):
    folder = tmp_path / ("E.npy.run" if command == "embed" else "own")
    (folder / "sub").mkdir(parents=True)
    shutil.copy(TINY, folder / "config.yaml")
    (folder / "sub/thesis.txt").write_text("precious")
    before = contents(folder)
    out = tmp_path / "E.npy" if command == "embed" else folder
    more = ("--sampler", "rs2") if command == "train" else ()
    code, _, err = run(command, TINY, *SETS, *more, "--out", out)
    assert (code, err.count("\n")) == (2, 1)
    assert "is not a run folder of graphprune and holds other files (such as config.yaml)" in err
    if command == "run":
        monkeypatch.chdir(folder)
        for fresh in ((), ("--fresh",)):
            assert run("run", "config.yaml", *SETS, "--out", ".", *fresh)[0] == 2
    assert contents(folder) == before


def test_a_users_file_in_the_way_of_an_artifact_stops_the_run_and_survives(tmp_path):
    make(tmp_path / "run")
    (tmp_path / "run/metrics.json").write_text("mine")
    with pytest.raises(InputError, match="metrics.json was not written by graphprune; move it"):
        make(tmp_path / "run", "new")
    (tmp_path / "run/metrics.json").unlink()
    run = RunFolder(tmp_path / "run")
    with run.locked():
        (run / "embeddings.npy").write_text("mine")
        with pytest.raises(InputError, match="embeddings.npy was not written"):
            write_json(run / "embeddings.npy", 1)
        with pytest.raises(InputError, match="embeddings.npy was not written"):
            run.remove(run / "embeddings.npy")
        assert (run / "embeddings.npy").read_text() == "mine"
        write_text(tmp_path / "elsewhere", "a")
        write_text(tmp_path / "elsewhere", "b")
    write_text(tmp_path / "run/embeddings.npy", "outside of a run")


def test_a_users_files_in_a_run_folder_change_no_stage_and_survive_fresh(run, finished):
    theirs = {name for name, content in contents(finished).items() if content == b"mine"}
    assert len(theirs) == 4
    (finished / "log.jsonl").unlink()
    assert run("run", TINY, *SETS, "--out", finished)[0] == 0
    assert '"started"' not in (finished / "log.jsonl").read_text()
    code, _, err = run("run", TINY, *SETS, "--out", finished, "--fresh")
    assert code == 0, err
    after = contents(finished)
    assert {name for name, content in after.items() if content == b"mine"} == theirs
    assert not [name for name in after if ASIDE in name or DELETED in name]
    events = (finished / "log.jsonl").read_text()
    assert '"event": "kept"' not in events
    assert '"started"' in events


@pytest.mark.parametrize(
    "bad",
    [
        "graph.k=5000",
        "data={kind: npz, path: gone.npz}",
        "training.sampler=jest",
        "seeds.fraction=0.01",
        "model={name: stid}",
        "embedding={source: file, path: gone.npy}",
        f"embedding={{source: file, path: {TINY}}}",
        f"embedding={{source: reference, model: {{name: mlp}}, weights: {TINY}}}",
        "training.optimizer=muon",
        "paradigm={name: unsupervised, embeddings: [gone.npy]}",
        "scores=[{name: aum, x: 1}]",
    ],
)
def test_bad_input_with_fresh_changes_nothing(run, finished, bad):
    before = contents(finished)
    code, _, err = run("run", TINY, *SETS, "--set", bad, "--out", finished, "--fresh")
    assert (code, err.count("\n")) == (2, 1), err
    assert contents(finished) == before


def test_fresh_takes_neither_links_nor_the_current_nor_the_home_folder(tmp_path, monkeypatch):
    make(tmp_path / "place/run")
    (tmp_path / "place/run/inner").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "place/run")
    before = contents(tmp_path / "place/run")
    with pytest.raises(
        InputError, match="is a symbolic link, which --fresh does not follow; pass .*place/run itself"
    ):
        make(tmp_path / "link", "new", fresh=True)
    monkeypatch.setenv("HOME", str(tmp_path / "place/run/inner"))
    with pytest.raises(InputError, match="is or contains the home folder"):
        make(tmp_path / "place/run", "new", fresh=True)
    for here in ("place/run", "place/run/inner"):
        monkeypatch.chdir(tmp_path / here)
        for out in (Path("."), Path(".."), tmp_path / "place/run"):
            if out.resolve() in (tmp_path / "place/run", tmp_path / "place"):
                with pytest.raises(InputError, match="is or contains the current folder"):
                    make(out, "new", fresh=True)
    assert contents(tmp_path / "place/run") == before
    make(tmp_path / "link")  # without --fresh a link is as good as the folder


def test_fresh_does_not_follow_links_inside_the_folder(tmp_path):
    make(tmp_path / "run")
    shutil.move(tmp_path / "run/deep", tmp_path / "moved")
    (tmp_path / "run/deep").symlink_to(tmp_path / "moved")
    before = contents(tmp_path / "run")
    with pytest.raises(InputError, match="run/deep is a symbolic link"):
        make(tmp_path / "run", "new", fresh=True)
    assert contents(tmp_path / "run") == before
    assert (tmp_path / "moved/down/artifact").read_text() == "old"


def test_fresh_on_a_live_run_is_refused(tmp_path):
    make(tmp_path / "run")
    before = contents(tmp_path / "run")
    with RunFolder(tmp_path / "run").locked(), pytest.raises(InputError, match="in use by another run"):
        make(tmp_path / "run", "new", fresh=True)
    assert contents(tmp_path / "run") == before


class Killed(BaseException):
    pass


def test_fresh_killed_at_any_step_leaves_the_old_or_the_new_run(tmp_path, monkeypatch):
    """Each rename and each deletion in turn is the last thing that happens; the next run finds a whole run."""
    found: list[str] = []
    for steps in range(1, 100):
        out = tmp_path / f"{steps}"
        make(out)
        old = contents(out)
        left = iter(range(steps))

        def counted(done, left=left):
            def call(*args, **named):
                if next(left, None) is None:
                    raise Killed
                return done(*args, **named)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(replacing.os, "rename", counted(replacing.os.rename))
            patch.setattr(Path, "unlink", counted(Path.unlink))
            patch.setattr(Path, "rmdir", counted(Path.rmdir))
            patch.setattr(replacing.shutil, "rmtree", counted(replacing.shutil.rmtree))
            # The process is gone: nothing puts anything back.
            patch.setattr("graphprune.jobs.run_folder.restore", lambda _folder: None)
            try:
                make(out, "new", fresh=True)
            except Killed:
                pass
            else:
                assert contents(out)["config.yaml"] == b"new"
                break
        with RunFolder(out).locked():
            found.append((out / "config.yaml").read_text())
        assert not (out / ASIDE).exists()
        assert not (out / DELETED).exists()
        if found[-1] == "old":
            assert contents(out) == old
        else:
            make(out, "new")
            assert contents(out)["deep/down/artifact"] == b"new"
    assert "".join(found).rstrip("new") == "old" * found.count("old")
    assert set(found) == {"old", "new"}


def test_a_run_that_fails_while_it_starts_puts_the_old_one_back(tmp_path):
    make(tmp_path / "run")
    before = contents(tmp_path / "run")
    run = RunFolder(tmp_path / "run")

    def start() -> None:
        with run.begin():
            write_text(run / "config.yaml", "new")
            raise OSError("full")

    with run.locked(fresh=True):
        with pytest.raises(OSError, match="full"):
            start()
        assert contents(tmp_path / "run") == before
        assert not run.ensure(Stage("stage", None, lambda _: Estimate({}), settings="old"))


def test_folders_of_version_0_1_0_resume(finished, run):
    (finished / MARKER).unlink()
    (finished / "log.jsonl").unlink()
    assert run("run", TINY, *SETS, "--out", finished)[0] == 0
    assert '"started"' not in (finished / "log.jsonl").read_text()
    listed = set(RunFiles(finished).existing())
    ours = {name for name, content in contents(finished).items() if content != b"mine"}
    assert listed == ours


@pytest.mark.parametrize("damage", ["first line", "a line", "cut off"])
def test_a_damaged_list_is_made_good_by_the_records(finished, damage, run):
    path = finished / MARKER
    before = set(RunFiles(finished).existing())
    content = bytearray(path.read_bytes())
    if damage == "cut off":
        content = content[:-9]
    else:
        content[20 if damage == "first line" else len(content) - 60] ^= 1
    path.write_bytes(bytes(content))
    code, _, err = run("run", TINY, *SETS, "--out", finished)
    assert code == 0, err
    assert set(RunFiles(finished).existing()) == before


def test_names_in_a_list_never_lead_out_of_the_folder(tmp_path):
    make(tmp_path / "run")
    (tmp_path / "precious").write_text("x")
    files = RunFiles(tmp_path / "run")
    files.mark()
    files._write({"../precious", str(tmp_path / "precious"), "config.yaml", ".."})
    assert set(RunFiles(tmp_path / "run").existing()) == {"config.yaml", ".stages/stage.json", MARKER}


def test_a_folder_of_a_newer_version_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("graphprune.jobs.run_files.SCHEMA", 2)
        make(tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(InputError, match="newer version of graphprune"):
        make(tmp_path / "run", fresh=True)
    assert contents(tmp_path / "run") == before


def test_every_run_lists_the_fixed_names(finished):
    assert set(FIXED) - {"comparison.html"} <= set(RunFiles(finished).existing())


def test_a_report_does_not_overwrite_a_page_of_the_users(run, finished):
    (finished / "comparison.html").write_text("mine")
    code, _, err = run("report", finished, finished)
    assert (code, err.count("\n")) == (2, 1)
    assert "comparison.html was not written by graphprune" in err
    (finished / "comparison.html").unlink()
    for _ in range(2):
        assert run("report", finished, finished)[0] == 0
        assert run("report", finished)[0] == 0
    assert {"comparison.html", "report.html"} <= set(RunFiles(finished).existing())


def test_a_damaged_checkpoint_costs_one_line_on_stderr(run, finished, whole):
    record = finished / ".stages/train/full/0.json"
    key = json.loads(record.read_text())["key"]
    record.unlink()
    checkpoint = finished / f".stages/unfinished/{key}.pt"
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.write_bytes(b"damaged")
    code, _, err = run("run", TINY, *SETS, "--out", finished)
    assert code == 0
    lines = err.splitlines()
    assert lines[0].startswith(f"warning: {checkpoint} cannot be used (")
    assert lines[0].endswith("this training restarts from its beginning")
    assert lines[1:] == [f"report: {finished / 'report.html'}"]
    ours = artifacts(finished)
    assert {name: ours[name] for name in artifacts(whole)} == artifacts(whole)
