"""What is printed arrives in any locale and with any streams, or the exit code and one sentence say that it did not."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphprune.cli.explain import explain
from graphprune.cli.output import standard_streams
from graphprune.errors import InputError

TINY = Path(__file__).parent / "tiny.yaml"
ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of sh in which ``$G`` is the command; its own streams are those that the line does not redirect."""
    command = f'"{sys.executable}" -m graphprune'
    return subprocess.run(
        ["sh", "-c", line.replace("$G", command)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small run that is done."""
    import graphprune

    folder = tmp_path_factory.mktemp("streams") / "run"
    changes = [
        "oracle=null",
        "short_run=null",
        "controls=false",
        "extrapolators=[knn]",
        "arms.0.extrapolator=knn",
    ]
    config = graphprune.load_config(TINY, changes)
    graphprune.run(config, out=folder)
    return folder


def again(folder: Path, *options: str) -> str:
    return " ".join([f"$G run '{folder}/config.yaml' --out '{folder}'", *options])


def test_a_run_is_shown_in_an_ascii_locale(finished):
    done = shell(again(finished, "--verbose"), **ASCII)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "mean +/- std of 2 random seeds" in done.stdout
    assert "full_short" in done.stdout
    assert done.stderr == f"report: {finished}/report.html\n"


def test_a_finished_run_whose_output_is_lost_stays_finished(finished):
    before = (finished / "metrics.json").read_bytes()
    if FULL.exists():
        done = shell(f"{again(finished)} > /dev/full")
        assert (done.returncode, done.stderr) == (
            1,
            "error: stdout cannot be written: No space left on device\n",
        )
    done = shell(f"{again(finished)} >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (finished / "metrics.json").read_bytes() == before
    assert {path.name for path in finished.iterdir()} >= {"metrics.json", "report.html", "ledger.json"}


@needs_full
@pytest.mark.parametrize("command", ["schema", "--version", "--help", "run --help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_device_behind_stdout_is_named(command, unbuffered):
    done = shell(f"$G {command} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr == "error: stdout cannot be written: No space left on device\n"


@needs_full
def test_a_full_device_behind_stderr_changes_neither_stdout_nor_the_kind_of_error(tmp_path):
    done = shell("$G schema 2> /dev/full")
    assert done.returncode == 0
    assert json.loads(done.stdout)
    done = shell(f"$G run '{tmp_path}/nowhere.yaml' 2> /dev/full")
    assert (done.returncode, done.stdout) == (2, "")
    code = "from graphprune import cli; from graphprune.cli import about, output\n"
    code += "about.print_json = lambda _: output.say('done')\ncli.main()"
    line = f"'{sys.executable}' -c \"{code}\" schema 2> /dev/full"
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b""), "a message that was lost is a failure"


def test_closed_streams_stop_no_command_and_errors_never_land_on_stdout(tmp_path):
    for line in ("$G schema >&-", "$G schema >&- 2>&-", "$G --help <&- >&-"):
        done = shell(line)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), line
    assert json.loads(shell("$G schema 2>&-").stdout)
    done = shell(f"$G run '{tmp_path}/nowhere.yaml' 2>&-")
    assert (done.returncode, done.stdout) == (2, "")
    done = shell(f"$G run '{tmp_path}/nowhere.yaml' >&-")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_no_file_takes_the_place_of_a_closed_stream():
    """Messages of C libraries go to descriptor 2, whatever is open there."""
    code = "import os, graphprune.cli.output as o\nwith o.standard_streams():\n os._exit(os.open('/', os.O_RDONLY))"
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "{code}" <&- >&- 2>&-'], capture_output=True, check=False
    )
    assert done.returncode > 2


def test_a_reader_that_has_enough_is_met_with_silence():
    done = shell("$G schema | head -1")
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_a_name_that_is_no_text_in_this_locale_is_refused_before_anything_is_done(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "graphprune", "run", str(TINY), "--out", os.fsencode(tmp_path) + b"/bad-\xff"],
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "bad-\\udcff' is not valid UTF-8 text" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", "1 +/- 2 -3 \\xe9"), ("latin-1", "1 ± 2 -3 é"), ("utf-8", "1 ± 2 −3 é")],
)
def test_characters_that_an_encoding_lacks_are_written_in_others(monkeypatch, encoding, shown):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    with standard_streams():
        print("1 ± 2 −3 é", flush=True)
    assert raw.getvalue() == f"{shown}\n".encode(encoding)


def no_memory() -> list[Exception]:
    wrapped = ValueError("model 'mlp': too large")
    wrapped.__cause__ = MemoryError()
    return [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10**9,), np.dtype(float)),
        ImportError("libquadmath-96973f99.so.0.0.0: failed to map segment from shared object"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        OSError(errno.ENOMEM, "Cannot allocate memory", "embeddings.npy"),
        wrapped,
    ]


@pytest.mark.parametrize("error", no_memory(), ids=lambda error: type(error).__name__)
def test_memory_that_runs_out_is_told_in_one_sentence_with_the_fix(error, capsys):
    assert explain(error) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: memory ran out; lower training.batch_size")
    assert said.count("\n") == 1


def test_an_error_that_was_raised_from_itself_is_told_like_any_other(capsys):
    error = InputError("keep is 2")
    error.__cause__ = error
    assert explain(error) == 2
    assert capsys.readouterr().err == "error: keep is 2\n"


def test_other_errors_are_not_taken_for_a_lack_of_memory(capsys):
    assert explain(ImportError("No module named 'faiss'")) == 1
    assert "memory" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
def test_a_small_address_space_is_told_as_such():
    done = shell("ulimit -v 600000; $G methods")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: memory ran out;")
    assert done.stderr.count("\n") == 1
