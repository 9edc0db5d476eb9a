"""The recorder apart from its scores: ids, shared signals, errors, and no waiting for the device."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from graphprune.errors import InputError
from graphprune.registry import create, entries
from graphprune.scores.recorder import Recorder

CLASS_SCORES = [name for name, entry in entries("score").items() if "errors" not in entry.cls.needs]


class Operations(TorchDispatchMode):
    """Collects the names of the operations."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.name()
        if name.startswith("aten::index.") and any(i is not None and i.dtype == torch.bool for i in args[1]):
            name = "index by a mask"
        self.names.append(name)
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("contiguous", [True, False])
def test_a_step_waits_for_no_result_and_shares_one_softmax(tools, contiguous, monkeypatch):
    run = tools.make_run()
    run.ids = torch.arange(run.n) if contiguous else run.ids
    scores = {name: create("score", name) for name in CLASS_SCORES}
    recorder = Recorder(scores, run.ids, epochs=run.epochs, num_classes=run.classes)
    # Behave as on a device, where results are read only at the end of the epoch.
    monkeypatch.setattr(recorder, "_on_device", True)
    monkeypatch.setattr(recorder, "_refuse_foreign", lambda: None)
    for epoch in range(12):
        with Operations() as operations:
            tools.observe(recorder, run, epoch, torch.arange(4))
    waiting = {
        "aten::_local_scalar_dense",
        "aten::nonzero",
        "aten::masked_select",
        "index by a mask",
        "aten::equal",
    }
    assert not waiting & set(operations.names)
    assert operations.names.count("aten::_log_softmax") == len(recorder.phases)


def test_a_loss_needs_no_logits_and_no_softmax(tools):
    run = tools.make_run()
    recorder = tools.new_recorder("loss", run)
    with Operations() as operations:
        recorder.observe("eval", run.ids, 0, loss=run.loss[0], logits=run.logits[0], targets=run.targets)
    assert "aten::_log_softmax" not in operations.names
    assert torch.equal(recorder.values()["loss"], run.loss[0])
    recorder.observe("eval", run.ids, 1, logits=run.logits[1], targets=run.targets)
    torch.testing.assert_close(recorder.values()["loss"], run.loss[1])


@pytest.mark.parametrize("ids", [[0, 1, 2], [3, 5, 9], [1, 2, 3], [-4, 0, 2]])
def test_ids_find_their_rows_and_unknown_ones_are_refused(ids):
    recorder = Recorder({"loss": create("score", "loss")}, torch.tensor(ids), epochs=2)
    recorder.observe("eval", torch.tensor(ids[::-1]), 0, loss=torch.tensor([3.0, 2.0, 1.0]))
    assert recorder.values()["loss"].tolist() == [1.0, 2.0, 3.0]
    for foreign in (-7, 4, 10**12):
        with pytest.raises(InputError, match=f"1 observed ids are not among the 3.*is {foreign};"):
            recorder.observe("eval", torch.tensor([ids[1], foreign]), 1, loss=torch.zeros(2))
    # The invalid batch changed no other samples than its own.
    assert recorder.values()["loss"].tolist() == [1.0, 2.0, 3.0]


def test_on_a_device_unknown_ids_are_reported_when_the_epoch_ends(monkeypatch):
    recorder = Recorder({"loss": create("score", "loss")}, torch.tensor([2, 4]), epochs=2)
    refuse = recorder._refuse_foreign
    monkeypatch.setattr(recorder, "_refuse_foreign", lambda: None)
    recorder.observe("eval", torch.tensor([7, 2]), 0, loss=torch.ones(2))
    recorder.observe("eval", torch.tensor([3, 4]), 0, loss=torch.ones(2))
    monkeypatch.setattr(recorder, "_refuse_foreign", refuse)
    with pytest.raises(InputError, match=r"2 observed ids .* the lowest is 3"):
        recorder.observe("eval", torch.tensor([2]), 1, loss=torch.ones(1))


def test_only_signals_that_the_scores_read_are_required(tools):
    run = tools.make_run()
    recorder = Recorder(
        {name: create("score", name) for name in ("tdds", "grand", "loss")},
        run.ids,
        epochs=run.epochs,
        num_classes=run.classes,
    )
    assert recorder.phases == ("train", "eval")
    assert recorder.needs("train") == {"log_probs"}
    assert recorder.needs("eval") == {"log_probs", "targets", "features", "loss"}
    recorder.observe("train", run.ids, 0, logits=run.logits[0])
    with pytest.raises(InputError, match="received nothing for features= with 11 ids; grand need"):
        recorder.observe("eval", run.ids, 0, logits=run.logits[0], targets=run.targets)
    with pytest.raises(InputError, match="received 3 values for logits= with 11 ids; tdds need"):
        recorder.observe("train", run.ids, 0, logits=run.logits[0, :3])
    online = tools.new_recorder("tdds", run)
    online.observe("eval", run.ids, 0)
    assert online.phases == ("train",)


def test_phases_count_visits_separately(tools):
    run = tools.make_run()
    both = Recorder(
        {name: create("score", name) for name in ("dynamic_uncertainty", "dynamic_uncertainty_online")},
        run.ids,
        epochs=run.epochs,
        num_classes=run.classes,
    )
    for epoch, rows in tools.batches(run):
        tools.observe(both, run, epoch, rows)
    for name, values in both.values().items():
        assert values.tolist() == tools.record(name, run).tolist()


def test_invalid_ids_and_states_of_other_recorders_are_refused(tools):
    for ids in ([3, 1], [1, 1], []):
        with pytest.raises(InputError, match="ids must be ascending"):
            Recorder({"loss": create("score", "loss")}, torch.tensor(ids), epochs=1)
    run = tools.make_run()
    with pytest.raises(InputError, match="resume with the same scores"):
        tools.new_recorder("aum", run).load_state_dict(tools.new_recorder("loss", run).state_dict())


def test_targets_outside_the_classes_are_refused(tools):
    run = tools.make_run()
    recorder = tools.new_recorder("el2n", run)
    (phase,) = recorder.phases
    wrong = run.targets.clone()
    wrong[3] = -100
    with pytest.raises(InputError, match=r"1 observed targets lie outside 0\.\.3"):
        recorder.observe(phase, run.ids, 0, logits=run.logits[0], targets=wrong)
    with pytest.raises(InputError, match="targets are torch.float32; give class numbers"):
        recorder.observe(phase, run.ids, 0, logits=run.logits[0], targets=run.targets.float())


def test_copies_to_the_cpu_are_synchronous(tools, monkeypatch):
    """An asynchronous copy from a GPU to the CPU returns before its values are complete."""
    asked = []
    to = torch.Tensor.to

    def watched(self, *args, **named):
        asked.append(named.get("non_blocking", False))
        return to(self, *args, **named)

    run = tools.make_run()
    recorder = tools.new_recorder("loss", run)
    monkeypatch.setattr(torch.Tensor, "to", watched)
    recorder.observe("eval", run.ids, 0, loss=run.loss[0])
    assert asked
    assert not any(asked)
