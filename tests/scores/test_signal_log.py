"""Whole trajectories against the definitions of their signals."""

import numpy as np
import pytest
import torch

from graphprune.errors import InputError
from graphprune.scores.recorder import Recorder
from graphprune.scores.signal_log import SignalLog, signals_of_probabilities

LABELS = torch.tensor([0, 2, 1])


def probabilities() -> torch.Tensor:
    return torch.softmax(torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0)), dim=2)


def by_hand(p: np.ndarray, label: int) -> dict[str, float]:
    target = np.eye(3)[label]
    return {
        "p_true": p[label],
        "entropy": -sum(x * np.log(x) for x in p),
        "el2n": np.sqrt(sum((x - t) ** 2 for x, t in zip(p, target, strict=True))),
    }


def recorded(probs: torch.Tensor) -> dict[str, torch.Tensor]:
    log = SignalLog()
    recorder = Recorder({"log": log}, torch.arange(3), epochs=2, num_classes=3)
    for epoch, rows in ((0, [2, 0]), (0, [1]), (1, [1, 0])):  # sample 2 is skipped in the last epoch
        recorder.observe(
            "train", torch.tensor(rows), epoch, logits=probs[epoch, rows].log(), targets=LABELS[rows]
        )
    return log.log()


@pytest.mark.parametrize("name", ["p_true", "entropy", "el2n"])
def test_signals_follow_their_definitions(name):
    probs = probabilities()
    live, logged = recorded(probs)[name], signals_of_probabilities(probs, LABELS)[name]
    for epoch in range(2):
        for i in range(3):
            expected = by_hand(probs[epoch, i].double().numpy(), int(LABELS[i]))[name]
            assert logged[epoch, i].item() == pytest.approx(expected, rel=1e-5)
            if (epoch, i) == (1, 2):
                assert live[epoch, i].isnan()
            else:
                assert live[epoch, i].item() == pytest.approx(expected, rel=2**-10)


def test_forecasts_keep_their_loss():
    log = SignalLog()
    recorder = Recorder({"log": log}, torch.arange(2), epochs=1)
    recorder.observe("train", torch.tensor([1, 0]), 0, loss=torch.tensor([0.5, 2.0]))
    assert log.log()["loss"].tolist() == [[2.0, 0.5]]
    assert recorder.values()["log"].tolist() == [2.0, 0.5]


def test_an_unknown_signal_is_named():
    with pytest.raises(InputError, match="unknown signal 'margin'"):
        Recorder({"log": SignalLog(names=("margin",))}, torch.arange(2), epochs=1, num_classes=2)


def test_classes_without_probability_and_huge_losses_stay_finite(tools):
    run = tools.make_run()
    logits = run.logits[0].clone()
    logits[:, 1] = -torch.inf
    log = SignalLog(names=("entropy",))
    recorder = Recorder({"log": log}, run.ids, epochs=1, num_classes=run.classes)
    recorder.observe("train", run.ids, 0, logits=logits, targets=torch.zeros_like(run.targets))
    assert log.log()["entropy"].isfinite().all()
    losses = SignalLog(names=("loss",))
    recorder = Recorder({"log": losses}, run.ids, epochs=1, num_classes=run.classes)
    recorder.observe("train", run.ids, 0, loss=torch.full((run.n,), 1e6))
    assert losses.log()["loss"].float().tolist() == [[65504.0] * run.n]
