"""Two gloo processes train what one process trains, with the same global batch and every sampler for images."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphprune.registry import entries

SCRIPT = Path(__file__).parent / "cases.py"
CASES = (
    "random", "one_row_left", "augmented", "accumulated", "infobatch", "es", "eswp", "seta", "rs2", "jest",
    "gstds", "gstds_reference", "score_weighted", "st_prune", "es_smoothed", "adversarial", "adversarial_es",
    "infobatch_resumed", "es_resumed",
)  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folders of the same script run by one process and by two."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    # What a launcher says of precision must not count; the settings say it.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_MIXED_PRECISION": "bf16"}
    started = [
        subprocess.Popen(
            [sys.executable, *prefix, str(SCRIPT), str(folder)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for prefix, folder in zip(([], launch), folders, strict=True)
    ]  # fmt: skip
    for process in started:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output[-3000:]
    return folders


def test_no_sampler_is_left_out(results):
    assert {path.stem for path in results[0].glob("*.npz")} - {"unused"} == set(CASES)
    assert set(entries("sampler")) <= {case.partition("_r")[0] for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_what_one_trains(results, case):
    one, two = (np.load(folder / f"{case}.npz") for folder in results)
    assert (int(one["processes"]), int(two["processes"])) == (1, 2)
    assert one.files == two.files
    for name in set(one.files) - {"processes"}:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_sampler_that_prunes_did_prune(results):
    trained = {case: int(np.load(results[1] / f"{case}.npz")["trained"]) for case in CASES}
    assert trained["random"] == 3 * 53
    assert all(trained[case] < 3 * 53 for case in ("infobatch", "es", "rs2", "gstds", "jest"))


def test_a_resumed_pair_goes_on_as_if_never_killed(results):
    for case in ("infobatch", "es"):
        whole, resumed = (np.load(results[1] / f"{case}{part}.npz") for part in ("", "_resumed"))
        for name in whole.files:
            np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


def test_the_python_entry_writes_once_and_says_how_many_took_part(results):
    one, two = (json.loads((folder / "entry/result.json").read_text()) for folder in results)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["value"] == one["value"]
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
    assert sorted(p.name for p in (results[1] / "entry").iterdir()) == [
        ".lock",
        ".stages",
        "log.jsonl",
        "model.safetensors",
        "result.json",
    ]
