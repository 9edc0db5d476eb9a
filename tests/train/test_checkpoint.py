"""A checkpoint that is damaged or of another training causes a warning and a restart, and never changes the result."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.errors import InputError
from graphprune.registry import create
from graphprune.scores.recorder import Recorder
from graphprune.scores.snapshots import SnapshotRecorder
from graphprune.train.checkpoint import CADENCE, Checkpoint
from graphprune.train.loop import train_model
from graphprune.train.paradigms.supervised import Supervised

N, EPOCHS = 40, 3


class Killed(Exception):
    pass


def train(checkpoint=None, *, kill_at=None, snapshots=False, **settings):
    """A training of 15 steps with everything that a checkpoint may contain."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(N, 4, generator=draws)
    samples = TensorSamples(x, (x[:, 0] > 0).long())
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 2))
    scores = {"aum": create("score", "aum"), "el2n": create("score", "el2n")}
    common = {"epochs": EPOCHS, "num_classes": 2}
    ids = torch.arange(N)
    recorder = (
        SnapshotRecorder(scores, ids, at=[1, 2, 3], **common)
        if snapshots
        else Recorder(scores, ids, **common)
    )
    steps = iter(range(1, kill_at or 10**6))

    def progress(_fraction, _note):
        if next(steps, None) is None:
            raise Killed

    result = train_model(
        model,
        samples,
        Supervised(loss=lambda outputs, y: F.cross_entropy(outputs, y, reduction="none")),
        create("sampler", "infobatch", n=N, epochs=EPOCHS, seed=1),
        OptimizationConfig(**{"epochs": EPOCHS, "batch_size": 8, "lr": 0.05, "ema": 0.9, **settings}),
        seed=5,
        device=torch.device("cpu"),
        recorder=recorder,
        checkpoint=checkpoint,
        progress=progress,
    )
    return model.state_dict(), recorder.values(), result.losses, result.visits


def killed(path, kill_at=7, **more):
    checkpoint = Checkpoint(path, every_seconds=0)
    with pytest.raises(Killed):
        train(checkpoint, kill_at=kill_at, **more)
    return checkpoint


def same(one, other):
    """Whether two trainings ended with the same bits."""
    (weights, scores, losses, visits), (weights2, scores2, losses2, visits2) = one, other
    pairs = [*((weights[k], weights2[k]) for k in weights), *((scores[k], scores2[k]) for k in scores)]
    return losses == losses2 and torch.equal(visits, visits2) and all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def whole():
    return train()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a checkpoint from the middle of the second epoch."""
    path = tmp_path_factory.mktemp("saved") / "c.pt"
    killed(path)
    return path.read_bytes()


def restarts(path, whole, reason=""):
    """One warning that names the file, and the result of a training from the beginning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = train(Checkpoint(path, every_seconds=0))
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 1, messages
    assert messages[0].startswith(f"{path} cannot be used (")
    assert messages[0].endswith("); this training restarts from its beginning")
    assert "\n" not in messages[0]
    assert reason in messages[0]
    assert same(again, whole)


def test_an_intact_checkpoint_is_resumed_without_a_warning(tmp_path, saved, whole):
    (tmp_path / "c.pt").write_bytes(saved)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = Checkpoint(tmp_path / "c.pt").load()
        assert (state["epoch"], state["step_in_epoch"], len(state["losses"])) == (1, 2, 1)
        # The second step from here ends a resumed training, but not a restarted one.
        left = Checkpoint(tmp_path / "c.pt", every_seconds=1e9)
        with pytest.raises(Killed):
            train(left, kill_at=len(range(7, 15)))
        assert same(train(left, kill_at=len(range(7, 15)) + 2), whole)


@pytest.mark.parametrize("place", [0, 20, 36, 50, 90, 116, 117, 130, 0.1, 0.3, 0.5, 0.7, 0.9, -1, -20, -200])
def test_a_flipped_bit_anywhere_restarts_the_training(tmp_path, saved, whole, place):
    content = bytearray(saved)
    content[int(place * len(content)) if isinstance(place, float) else place] ^= 1 << 3
    (tmp_path / "c.pt").write_bytes(bytes(content))
    restarts(tmp_path / "c.pt", whole)


@pytest.mark.parametrize("length", [0, 1, 60, 118, 1000, -1])
def test_a_cut_file_restarts_the_training(tmp_path, saved, whole, length):
    (tmp_path / "c.pt").write_bytes(saved[:length])
    restarts(tmp_path / "c.pt", whole)


@pytest.mark.parametrize("content", [{}, [1, 2], torch.zeros(3), "text", 3, None])
def test_other_content_restarts_the_training(tmp_path, whole, content):
    torch.save(content, tmp_path / "bare.pt")
    restarts(tmp_path / "bare.pt", whole, "not a checkpoint of this version")
    Checkpoint(tmp_path / "c.pt").save(content)
    restarts(tmp_path / "c.pt", whole)


def test_a_state_of_version_0_1_0_restarts_the_training(tmp_path, saved, whole):
    (tmp_path / "c.pt").write_bytes(saved)
    torch.save(Checkpoint(tmp_path / "c.pt").load(), tmp_path / "old.pt")
    restarts(tmp_path / "old.pt", whole, "not a checkpoint of this version")


def test_a_folder_in_its_place_restarts_the_training_and_is_kept(tmp_path, whole):
    (tmp_path / "c.pt").mkdir()
    (tmp_path / "c.pt/notes").write_text("mine")
    restarts(tmp_path / "c.pt", whole, "Is a directory")
    assert (tmp_path / "c.pt.1/notes").read_text() == "mine"
    assert (tmp_path / "c.pt").is_file()


def test_a_link_to_nothing_restarts_the_training(tmp_path, whole):
    (tmp_path / "c.pt").symlink_to(tmp_path / "gone")
    restarts(tmp_path / "c.pt", whole, "No such file")


def put(*keys, value):
    def change(state):
        for key in keys[:-1]:
            state = state[key]
        if value is None:
            del state[keys[-1]]
        else:
            state[keys[-1]] = value(state[keys[-1]]) if callable(value) else value

    return change


NAN = float("nan")
CHANGES = {
    **{f"epoch {v!r}": put("epoch", value=v) for v in (99, 4, -1, 0, 2, "x", 1.0, True, [1])},
    **{f"step {v!r}": put("step_in_epoch", value=v) for v in (99, 5, -1, 0, "x", 1.0)},
    **{
        f"without {k}": put(k, value=None)
        for k in ("losses", "visits", "model", "sampler", "recorder", "epoch", "cost")
    },
    "a further key": lambda state: state.update(further=1),
    "NaN weights": put("model", "0.weight", value=lambda t: t * NAN),
    "infinite statistics": put("model", "1.running_mean", value=lambda t: t / 0),
    "weights of another shape": put("model", "0.weight", value=lambda t: t[:1]),
    "weights of another dtype": put("model", "0.weight", value=lambda t: t.half()),
    "weights as a list": put("model", "0.weight", value=lambda t: t.tolist()),
    "no weights": put("model", value={}),
    "another optimizer": put("stepper", "optimizers", 0, "param_groups", 0, "weight_decay", value=0.3),
    "no optimizer": put("stepper", "optimizers", value=[]),
    "no momentum": put("stepper", "optimizers", 0, "state", value={}),
    "momentum of another shape": put(
        "stepper", "optimizers", 0, "state", 0, "momentum_buffer", value=torch.zeros(3)
    ),
    "NaN momentum": put("stepper", "optimizers", 0, "state", 0, "momentum_buffer", value=lambda t: t * NAN),
    "a foreign parameter": put("stepper", "optimizers", 0, "state", value=lambda s: {**s, 77: s[0]}),
    "no average": put("stepper", "average", value={}),
    "NaN average": put("stepper", "average", "average", "0.bias", value=lambda t: t * NAN),
    "a scaler": put("stepper", "scaler", value={"scale": 2.0}),
    "a recorder of another length": put(
        "recorder", "scores", "aum", value=lambda s: {k: t[:3] for k, t in s.items()}
    ),
    "another score": put("recorder", "scores", value=lambda s: {"aum": s["aum"]}),
    "a recorder as a list": put("recorder", value=[]),
    "rows out of range": put("sampler", "rows", value=lambda t: t + N),
    "no rows": put("sampler", "rows", value=lambda t: t[:0]),
    "rows as text": put("sampler", "rows", value="x"),
    "a sampler of another length": put("sampler", "losses", value=lambda t: t[:3]),
    "a sampler of other data": put("sampler", "n", value=N + 1),
    "a sampler in another epoch": put("sampler", "epoch", value=0),
    "losses as text": put("losses", value=["x"]),
    "too many losses": put("losses", value=lambda values: values * 2),
    "visits that do not add up": put("visits", value=lambda t: t + 1),
    "negative visits": put("visits", value=lambda t: -t),
    "visits of another length": put("visits", value=lambda t: t[:3]),
    "a cost as text": put("cost", "seconds", value="x"),
    "a negative cost": put("cost", "seconds", value=-1.0),
    "a cost without a part": put("cost", "seconds", value=None),
    "a loss sum of another shape": put("loss_sum", value=torch.zeros(2)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_state_that_does_not_fit_restarts_the_training(tmp_path, saved, whole, change):
    (tmp_path / "c.pt").write_bytes(saved)
    checkpoint = Checkpoint(tmp_path / "c.pt")
    state = copy.deepcopy(checkpoint.load())
    change(state)
    checkpoint.save(state)
    restarts(tmp_path / "c.pt", whole)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_optimizer_resumes_from_its_checkpoints(tmp_path, optimizer, momentum):
    settings = {"optimizer": optimizer, "momentum": momentum, "accumulate": 2}
    whole = train(**settings)
    for kill_at in (3, 5, 11):
        path = tmp_path / f"{kill_at}.pt"
        checkpoint = killed(path, kill_at, **settings)
        assert path.exists()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert same(train(checkpoint, **settings), whole)


def test_snapshots_are_validated_too(tmp_path):
    whole = train(snapshots=True)
    checkpoint = killed(tmp_path / "c.pt", 12, snapshots=True)
    state = checkpoint.load()
    assert state["recorder"]["kept"].keys() >= {"1"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(train(Checkpoint(tmp_path / "c.pt", every_seconds=1e9), snapshots=True), whole)
    for kept in ({"9": state["recorder"]["kept"]["1"]}, {"1": {}}, {"1": {"aum": torch.zeros(2)}}, [], "x"):
        state["recorder"]["kept"] = kept
        checkpoint.save(state)
        with pytest.warns(UserWarning, match="restarts from its beginning"):
            again = train(Checkpoint(tmp_path / "c.pt", every_seconds=1e9), snapshots=True)
        assert same(again, whole)


def test_the_cadence_comes_from_the_environment(tmp_path, monkeypatch):
    assert Checkpoint(tmp_path / "c").every_seconds == 30
    monkeypatch.setenv(CADENCE, "0.25")
    assert Checkpoint(tmp_path / "c").every_seconds == 0.25
    assert Checkpoint(tmp_path / "c", every_seconds=2).every_seconds == 2
    for text in ("x", "-1", "nan", "inf", ""):
        monkeypatch.setenv(CADENCE, text)
        with pytest.raises(InputError, match=CADENCE):
            Checkpoint(tmp_path / "c")
