"""The contract of every registered score; a new score is covered as soon as it is registered."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from graphprune.errors import InputError
from graphprune.registry import create, entries

NAMES = list(entries("score"))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_values_are_finite_float32_in_the_order_of_the_ids(name, tools):
    run = tools.make_run()
    recorder = tools.new_recorder(name, run)
    for epoch, rows in tools.batches(run):
        tools.observe(recorder, run, epoch, rows)
    values = recorder.values()[name]
    assert values.shape == (run.n,)
    assert values.dtype == torch.float32
    assert values.device.type == "cpu"
    assert torch.isfinite(values).all()
    assert len(values.unique()) > 1
    assert torch.equal(values, recorder.values()[name])
    reversed_run = tools.make_run()
    for field in ("logits", "loss", "features", "errors"):
        setattr(reversed_run, field, getattr(run, field).flip(1))
    reversed_run.targets = run.targets.flip(0)
    np.testing.assert_allclose(tools.record(name, reversed_run)[::-1], values, rtol=1e-5, atol=1e-6)


def test_order_within_an_epoch_and_batch_size_do_not_matter(name, tools):
    run = tools.make_run()
    random = torch.Generator().manual_seed(1)
    shuffled = [
        (epoch, rows)
        for epoch in range(run.epochs)
        for rows in torch.randperm(run.n, generator=random).split(1 + epoch % 5)
    ]
    expected = tools.record(name, run)
    np.testing.assert_allclose(tools.record(name, run, shuffled), expected, rtol=1e-5, atol=1e-6)


def test_only_the_first_visit_in_an_epoch_counts(name, tools):
    run = tools.make_run()
    noise = tools.make_run(seed=9)
    expected = tools.record(name, run)
    recorder = tools.new_recorder(name, run)
    for epoch in range(run.epochs):
        for rows in torch.arange(run.n).split(4):
            # The batch ends with a duplicate sample, and is then observed once more with wrong signals.
            again = torch.cat([rows, rows[:1]])
            for phase in recorder.phases:
                signals = {}
                for field in ("logits", "loss", "features", "errors"):
                    true, wrong = getattr(run, field)[epoch], getattr(noise, field)[epoch]
                    signals[field] = torch.cat([true[rows], wrong[rows[:1]]])
                recorder.observe(phase, run.ids[again], epoch, targets=run.targets[again], **signals)
            noise.ids, noise.targets = run.ids, run.targets
            tools.observe(recorder, noise, epoch, rows)
    np.testing.assert_array_equal(recorder.values()[name].numpy(), expected)


def test_recording_continues_from_a_saved_state_in_the_middle_of_an_epoch(name, tools):
    run = tools.make_run()
    steps = list(tools.batches(run))
    cut = len(steps) // 2 + 1
    assert steps[cut][0] == steps[cut - 1][0]
    recorder = tools.new_recorder(name, run)
    for epoch, rows in steps[:cut]:
        tools.observe(recorder, run, epoch, rows)
    file = io.BytesIO()
    torch.save(recorder.state_dict(), file)
    for epoch, rows in steps[cut:]:
        tools.observe(recorder, run, epoch, rows)
    file.seek(0)
    resumed = tools.new_recorder(name, run)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    # A step that was recorded before the interruption and is repeated after it changes nothing.
    for epoch, rows in steps[cut - 1 :]:
        tools.observe(resumed, run, epoch, rows)
    assert torch.equal(resumed.values()[name], recorder.values()[name])
    with pytest.raises(InputError, match="resume with the same"):
        tools.new_recorder(name, tools.make_run(n=12)).scores[name].load_state_dict(
            resumed.scores[name].state_dict()
        )


def test_missing_visits_and_samples_never_seen_stay_finite(name, tools):
    run = tools.make_run()
    random = np.random.default_rng(2)
    order = [(e, torch.arange(1, run.n)[random.random(run.n - 1) < 0.7]) for e in range(run.epochs)]
    assert np.isfinite(tools.record(name, run, order)).all()
    assert np.isfinite(tools.record(name, run, [])).all()
    assert np.isfinite(tools.record(name, run, [(0, torch.arange(0)), (1, torch.arange(2))])).all()


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_constant_trajectories_are_finite(name, tools, scale):
    run = tools.make_run()
    for field in ("logits", "features", "errors"):
        first = getattr(run, field)[:1] * scale
        setattr(run, field, first.expand_as(getattr(run, field)).contiguous())
    run.loss = torch.nn.functional.cross_entropy(run.logits[0], run.targets, reduction="none").expand(
        run.epochs, -1
    )
    values = tools.record(name, run)
    assert np.isfinite(values).all()
    if "uncertainty" in name or name in ("tdds", "dual"):
        assert (values == 0).all()


def test_hard_samples_score_higher_than_easy_ones(name, tools):
    run = tools.make_run(n=2)
    truth = torch.nn.functional.one_hot(run.targets, run.classes).float()
    flips = torch.where(torch.arange(run.epochs) % 2 == 0, 1.0, -1.0)
    run.logits[:, 0], run.logits[:, 1] = flips[:, None] * truth[0], 12 * truth[1]
    run.loss = torch.stack(
        [torch.nn.functional.cross_entropy(z, run.targets, reduction="none") for z in run.logits]
    )
    run.errors[:, 1] *= 0.01
    hard, easy = tools.record(name, run)
    assert hard > easy


def test_low_precision_signals_are_read_as_float32(name, tools):
    run = tools.make_run()
    rounded = tools.make_run()
    for field in ("logits", "loss", "features", "errors"):
        setattr(run, field, getattr(run, field).bfloat16())
        setattr(rounded, field, getattr(run, field).float())
    np.testing.assert_array_equal(tools.record(name, run), tools.record(name, rounded))


def test_too_few_epochs_are_refused_with_the_number_or_accepted(name):
    score = create("score", name)
    windowed = {"window", "skip"} & score.get_params().keys()
    if windowed:
        with pytest.raises(InputError, match=r"\b2 epochs.*(at most|train at least)"):
            score.start(3, epochs=2, num_classes=4)
    else:
        score.start(3, epochs=2, num_classes=4)


def test_arguments_are_stored_and_shown(name):
    score = create("score", name)
    same = create("score", name, **score.get_params())
    assert repr(same) == repr(score)
    with pytest.raises(InputError, match="unknown option"):
        create("score", name, no_such_option=1)


@pytest.mark.gpu
def test_state_on_a_device_gives_the_same_values_without_waiting(name, tools):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    from graphprune.scores.recorder import Recorder

    run = tools.make_run()
    expected = tools.record(name, run)
    options = {"epochs": run.epochs, "num_classes": run.classes, "device": "cuda"}
    recorder = Recorder({name: create("score", name)}, run.ids, **options)
    for field in ("ids", "targets", "logits", "loss", "features", "errors"):
        setattr(run, field, getattr(run, field).to("cuda"))
    for epoch in range(run.epochs):
        recorder._refuse_foreign()
        recorder._epoch = epoch
        for rows in torch.arange(run.n, device="cuda").split(4):
            torch.cuda.set_sync_debug_mode("error")
            try:
                tools.observe(recorder, run, epoch, rows)
            finally:
                torch.cuda.set_sync_debug_mode("default")
    np.testing.assert_allclose(recorder.values()[name].numpy(), expected, rtol=1e-4, atol=1e-6)
