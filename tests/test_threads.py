"""Threads of one process: a second run is refused, and draws from the global generator wait for each other."""

import queue
import threading
from pathlib import Path

import torch

from experiments.soak.artifacts import artifacts, compare
from graphprune.config.load import load_config
from graphprune.errors import InputError
from graphprune.jobs.pipeline import run as run_job
from graphprune.runtime.rng import isolated_rng

TINY = Path(__file__).parent / "tiny.yaml"
QUICK = ["oracle=null", "extrapolators=[{name: knn, k: 3}]", "arms=[]", "graph.k=5", "controls=false", "short_run=null",
         "training.random_states=[0]", "training.epochs=1", "data.limit=120"]  # fmt: skip


def test_two_runs_in_threads_of_one_process(tmp_path):
    """The second is refused, the first is what it would be alone."""
    job, answers = load_config(TINY, QUICK), queue.Queue()

    class Second:
        """Starts another run while the first one trains."""

        def event(self, event, stage, _seconds):
            if (event, stage) == ("started", "train/rs2/0"):
                thread = threading.Thread(target=other)
                thread.start()
                thread.join()

        def progress(self, *_): ...

    def other():
        try:
            run_job(job, tmp_path / "second")
        except InputError as error:
            answers.put(str(error))

    run_job(job, tmp_path / "alone")
    run_job(job, tmp_path / "first", reporter=Second())
    assert "another run is under way in this process" in answers.get_nowait()
    compare(artifacts(tmp_path / "alone"), tmp_path / "first")
    run_job(job, tmp_path / "second")
    compare(artifacts(tmp_path / "alone"), tmp_path / "second")


def test_threads_that_seed_the_global_generator_wait_for_each_other():
    entered, left = threading.Barrier(4), []

    def draw(seed):
        entered.wait()
        for _ in range(20):
            with isolated_rng(seed, "threads"):
                left.append((seed, torch.cat([torch.rand(1) for _ in range(20)])))

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(left) == 80
    for seed, drawn in left:
        with isolated_rng(seed, "threads"):
            assert torch.equal(drawn, torch.cat([torch.rand(1) for _ in range(20)]))
