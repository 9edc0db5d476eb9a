"""Snapshots equal the values of shorter runs, also after a resume."""

import torch

from graphprune.registry import create
from graphprune.scores.recorder import Recorder
from graphprune.scores.snapshots import SnapshotRecorder

N, EPOCHS = 20, 6


def batches(epoch):
    g = torch.Generator().manual_seed(epoch)
    for rows in torch.randperm(N, generator=g).split(8):
        yield rows, torch.randn(len(rows), 3, generator=g), rows % 3


def feed(recorder, epochs):
    for epoch in epochs:
        for rows, logits, targets in batches(epoch):
            recorder.observe("train", rows, epoch, logits=logits, targets=targets)


def scores():
    return {"dynamic_uncertainty_online": create("score", "dynamic_uncertainty_online", window=2)}


def test_snapshots_equal_the_values_of_shorter_recordings():
    whole = SnapshotRecorder(scores(), torch.arange(N), at=[3, 4, 6], epochs=EPOCHS, num_classes=3)
    feed(whole, range(4))
    resumed = SnapshotRecorder(scores(), torch.arange(N), at=[3, 4, 6], epochs=EPOCHS, num_classes=3)
    resumed.load_state_dict(whole.state_dict())
    feed(resumed, range(4, 6))
    for length, found in resumed.snapshots.items():
        short = Recorder(scores(), torch.arange(N), epochs=EPOCHS, num_classes=3)
        feed(short, range(length))
        (name,) = found
        assert torch.equal(found[name], short.values()[name])
    assert list(resumed.snapshots) == [3, 4, 6]
    assert not torch.equal(resumed.snapshots[3][name], resumed.snapshots[6][name])
