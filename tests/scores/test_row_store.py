"""TDDS with its rows of probabilities in half precision, or in a file instead of memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune.registry import create
from graphprune.scores import row_store

OPTIONS = {"T": 20, "window": 5}

# Growth of resident memory, anonymous and of files, from before the state exists to after three epochs.
MEASURE = """
import sys, torch
from graphprune.scores.base import Signals
from graphprune.scores import row_store
from graphprune.scores.tdds import TDDS

row_store._RESIDENT = 2**24

def resident(kind):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(kind)) / 1024

n, classes = 20_000, 800
log_probs = torch.full((100, classes), 1 / classes).log()
TDDS(T=3, window=3).start(1, epochs=3, num_classes=2)
before, files = resident("RssAnon"), resident("RssFile")
score = TDDS(T=3, window=3, rows_folder=sys.argv[1] or None)
score.start(n, epochs=3, num_classes=classes)
for epoch in range(3):
    for rows in torch.arange(n).split(100):
        score.update(rows, Signals(log_probs=log_probs), epoch)
print(resident("RssAnon") - before, resident("RssFile") - files)
"""


def test_rows_in_a_file_change_nothing_and_survive_a_resume(tools, tmp_path):
    run = tools.make_run()
    folder = tmp_path / "scratch"
    folder.mkdir()
    in_memory = tools.record("tdds", run, **OPTIONS)
    np.testing.assert_array_equal(tools.record("tdds", run, rows_folder=str(folder), **OPTIONS), in_memory)
    assert list(folder.iterdir()) == []

    steps = list(tools.batches(run))
    recorder = tools.new_recorder("tdds", run, rows_folder=str(folder), **OPTIONS)
    for epoch, rows in steps[:20]:
        tools.observe(recorder, run, epoch, rows)
    state = {n: t.clone() for n, t in recorder.state_dict()["scores"]["tdds"].items()}
    visits = {p: v.clone() for p, v in recorder.state_dict()["last_visit"].items()}
    # Another recorder uses the same folder, and the first continues after its state was saved.
    other = tools.new_recorder("tdds", run, rows_folder=str(folder), **OPTIONS)
    for epoch, rows in steps[:3]:
        tools.observe(other, run, epoch, rows)
    for epoch, rows in steps[20:25]:
        tools.observe(recorder, run, epoch, rows)
    resumed = tools.new_recorder("tdds", run, rows_folder=str(folder), **OPTIONS)
    resumed.load_state_dict({"last_visit": visits, "scores": {"tdds": state}})
    for epoch, rows in steps[20:]:
        tools.observe(resumed, run, epoch, rows)
    np.testing.assert_array_equal(resumed.values()["tdds"].numpy(), in_memory)


def test_half_precision_rows_cost_the_stated_error(tools):
    run = tools.make_run(n=200)
    exact = tools.record("tdds", run, **OPTIONS)
    half = tools.record("tdds", run, row_dtype="float16", **OPTIONS)
    error = np.abs(half - exact) / exact
    assert 0 < np.median(error) < 1e-3
    score = create("score", "tdds", row_dtype="float16")
    score.start(5, epochs=10, num_classes=3)
    assert score.previous.element_size() == 2


def test_released_pages_keep_their_contents(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "_RESIDENT", 1)
    run = tools.make_run()
    in_file = tools.record("tdds", run, rows_folder=str(tmp_path), **OPTIONS)
    np.testing.assert_array_equal(in_file, tools.record("tdds", run, **OPTIONS))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_rows_in_a_file_are_not_in_memory(tmp_path):
    def grown(path):
        out = subprocess.run(
            [sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True
        )
        return [float(word) for word in out.stdout.split()]

    rows_mib = 20_000 * 800 * 4 / 2**20
    in_memory, _ = grown("")
    anonymous, mapped = grown(str(tmp_path))
    assert in_memory > rows_mib
    assert anonymous < rows_mib / 2
    assert mapped < rows_mib / 2


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"rows_folder .* cannot store the rows"):
        create("score", "tdds", rows_folder=str(tmp_path / "file")).start(5, epochs=10, num_classes=3)
