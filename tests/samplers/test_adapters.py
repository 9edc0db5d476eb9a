"""A real epoch on digits with every adapter."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from graphprune.errors import InputError
from graphprune.registry import create
from graphprune.samplers.adapters.accelerate import accelerate_loader
from graphprune.samplers.adapters.lightning import lightning_data
from graphprune.samplers.adapters.plain import EpochLoader, Seen, step_loss
from graphprune.samplers.adapters.transformers import sampler_trainer
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.static import StaticSampler

EPOCHS = 4


def digits() -> TensorDataset:
    x, y = load_digits(return_X_y=True)
    return TensorDataset(torch.from_numpy(x[:512]).float() / 16, torch.from_numpy(y[:512]).long())


def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(64, 10)


def count_rows(sampler: EpochSampler) -> list[int]:
    """A list that counts the rows passed to ``update`` in each epoch."""
    updated = [0] * EPOCHS
    update = sampler.update

    def counted(rows: Tensor, *rest: Any) -> None:
        updated[sampler.epoch] += len(rows)
        update(rows, *rest)

    sampler.update = counted  # type: ignore[method-assign]
    return updated


@pytest.mark.parametrize("name", ["infobatch", "es", "rs2"])
@pytest.mark.parametrize("workers", [0, 1])
def test_plain_loop(name: str, workers: int) -> None:
    sampler = create("sampler", name, n=512, epochs=EPOCHS)
    updated = count_rows(sampler)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    loader = EpochLoader(digits(), sampler, 64, num_workers=workers)
    means = []
    for epoch in range(EPOCHS):
        loader.set_epoch(epoch)
        steps = 0
        for rows, (x, y) in loader:
            loss = step_loss(
                sampler,
                rows,
                lambda kept: cross_entropy(model(x[kept]), y[kept], reduction="none"),  # noqa: B023
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        assert steps == len(loader)
        means.append(loss.item())
    expected = {"rs2": [256] * EPOCHS, "es": [128] * EPOCHS, "infobatch": None}[name]
    if expected:
        assert updated == expected
    else:
        assert updated[0] == 512 == updated[-1]
        assert 256 < updated[1] < 512
    assert means[-1] < means[0]


def test_the_step_loss_is_the_weighted_mean_and_passes_on_what_is_seen() -> None:
    told: list[Any] = []
    sampler = SimpleNamespace(
        selects_in_batch=True,
        needs_forward=True,
        choose=lambda rows, losses, features: told.append((losses, features)) or torch.tensor([0, 2]),
        weights=lambda rows: torch.tensor([3.0, 1.0]),
        update=lambda rows, losses, errors: told.append((rows, losses, errors)),
    )
    values = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)

    def forward(kept: Any) -> Seen:
        return Seen(1 * values[kept], features=values[kept] * 10, errors=values[kept] * 100)

    loss = step_loss(sampler, torch.tensor([7, 8, 9]), forward)  # type: ignore[arg-type]
    assert loss.item() == (3 * 1 + 4) / 2
    loss.backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1.5, 0, 0.5]
    assert not told[0][0].requires_grad
    assert told[0][1].tolist() == [10, 20, 40]
    assert told[1][0].tolist() == [7, 9]
    assert told[1][2].tolist() == [100, 400]


def test_a_loader_of_other_data_is_refused() -> None:
    with pytest.raises(InputError, match="512 samples but the sampler has n=10"):
        EpochLoader(digits(), create("sampler", "rs2", n=10), 4)


def test_accelerate() -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    sampler = create("sampler", "infobatch", n=512, epochs=EPOCHS)
    updated = count_rows(sampler)
    model = network()
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=1.0))
    loader = accelerate_loader(accelerator, digits(), sampler, 64, drop_last=True)
    for epoch in range(EPOCHS):
        loader.set_epoch(epoch)
        for rows, (x, y) in loader:
            loss = step_loss(
                sampler,
                rows,
                lambda kept: cross_entropy(model(x[kept]), y[kept], reduction="none"),  # noqa: B023
            )
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
    assert updated[0] == 512
    assert updated[1] % 64 == 0
    assert 192 < updated[1] < 512
    assert loss < 1


def test_lightning_exchanges_what_ranks_learned_before_it_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning", reason="lightning is not installed (extra 'all')")
    sampler, calls = create("sampler", "infobatch", n=512, epochs=EPOCHS), []
    monkeypatch.setattr(type(sampler), "synchronize", lambda self: calls.append("exchanged"))
    monkeypatch.setattr(type(sampler), "state_dict", lambda self: {"after": list(calls)})
    assert lightning_data(digits(), sampler, 64).state_dict() == {"after": ["exchanged"]}


def test_lightning(tmp_path: Path) -> None:
    pytest.importorskip("lightning", reason="lightning is not installed (extra 'all')")
    from lightning.pytorch import LightningModule, Trainer

    class Digits(LightningModule):
        def __init__(self, sampler: EpochSampler) -> None:
            super().__init__()
            self.net, self.sampler = network(), sampler
            self.lengths: list[int] = []

        def training_step(self, batch: Any, _: int) -> Tensor:
            rows, (x, y) = batch
            return step_loss(
                self.sampler, rows, lambda kept: cross_entropy(self.net(x[kept]), y[kept], reduction="none")
            )

        def on_train_epoch_end(self) -> None:
            self.lengths.append(self.trainer.num_training_batches)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=1.0)

    def fit(epochs: int, resume: Path | None = None, reload: int = 1) -> tuple[Digits, list[int], Trainer]:
        sampler = create("sampler", "infobatch", n=512, epochs=EPOCHS)
        updated = count_rows(sampler)
        module = Digits(sampler)
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            reload_dataloaders_every_n_epochs=reload,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        trainer.fit(module, datamodule=lightning_data(digits(), sampler, 64), ckpt_path=resume)
        return module, updated, trainer

    module, updated, _ = fit(EPOCHS)
    assert updated[0] == 512 == updated[-1]
    assert 256 < updated[1] < 512
    assert module.lengths == [-(-count // 64) for count in updated]
    _, first, trainer = fit(2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _, second, _ = fit(EPOCHS, tmp_path / "half.ckpt")
    assert first[:2] + second[2:] == updated
    with pytest.raises(InputError, match="reload_dataloaders_every_n_epochs=1"):
        fit(1, reload=0)


@pytest.mark.parametrize("name", ["infobatch", "es"])
def test_transformers(name: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed (extra 'all')")
    from transformers import TrainingArguments

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, pixels: Tensor) -> Any:
            return SimpleNamespace(logits=self.net(pixels))

    data = [{"pixels": x, "labels": y} for x, y in digits()]
    sampler = create("sampler", name, n=512, epochs=EPOCHS, **({"anneal": 0.25} if name == "es" else {}))
    updated = count_rows(sampler)
    trainer = sampler_trainer(
        sampler,
        model=Classifier(),
        train_dataset=data,
        args=TrainingArguments(
            output_dir=str(tmp_path),
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=64,
            learning_rate=0.1,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        ),
    )
    result = trainer.train()
    assert updated[0] == 512 == updated[-1]
    assert updated[1] == 128 if name == "es" else 256 < updated[1] < 512
    assert result.training_loss < 2


def sizes(loader: EpochLoader) -> list[int]:
    return [len(rows) for rows, _ in loader]


@pytest.mark.parametrize(
    ("n", "options", "expected"),
    [
        (65, {}, [32, 33]),
        (64, {}, [32, 32]),
        (66, {}, [32, 32, 2]),
        (1, {}, [1]),
        (33, {}, [33]),
        (65, {"drop_last": True}, [32, 32]),
        (20, {"drop_last": True}, [20]),
        (32, {"drop_last": True}, [32]),
        (3, {"batch_size": 1}, [1, 1, 1]),
    ],
)
def test_no_batch_of_one_and_no_epoch_without_a_step(
    n: int, options: dict[str, Any], expected: list[int]
) -> None:
    sampler = create("sampler", "random", n=n)
    loader = EpochLoader(list(range(n)), sampler, **{"batch_size": 32, **options})
    assert sizes(loader) == expected
    assert len(loader) == len(expected)


@pytest.mark.parametrize("name", ["es", "eswp", "jest", "gstds"])
def test_what_is_chosen_of_a_batch_is_never_one_sample(name: str) -> None:
    for n in range(65, 90):
        inputs = {"reference_losses": torch.rand(n)} if name == "jest" else {}
        inputs |= {"embeddings": torch.randn(n, 3)} if name == "gstds" else {}
        sampler = create("sampler", name, n=n, epochs=20, **inputs)
        loader = EpochLoader(list(range(n)), sampler, 8)
        for epoch in (0, 1):
            loader.set_epoch(epoch)
            for rows, _ in loader:
                losses = torch.rand(len(rows))
                kept = sampler.choose(rows, losses) if sampler.selects_in_batch else rows
                sampler.update(rows, losses)
                assert len(kept) >= 2


def test_what_a_resumed_epoch_has_left_is_what_it_would_have_had() -> None:
    for drop_last, expected in ((False, [8]), (True, [])):
        sampler = create("sampler", "random", n=40)
        sampler.load_state_dict(create("sampler", "random", n=40).state_dict(consumed=32))
        loader = EpochLoader(list(range(40)), sampler, 16, drop_last=drop_last)
        assert sizes(loader) == expected
        assert len(loader) == len(expected)


@pytest.mark.parametrize(
    ("data", "batch_size", "message"),
    [
        (iter([1]), 4, "without a length; pass a map-style"),
        ([1], 0, "batch_size is 0"),
        ([1], 2.0, "batch_size is 2.0"),
    ],
)
def test_a_loader_that_cannot_work_is_refused(data: Any, batch_size: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EpochLoader(data, create("sampler", "random", n=1), batch_size)


def test_the_weighted_loss_of_a_selection() -> None:
    weights = torch.tensor([1.0, 1, 1, 1, 4, 4, 4, 4])
    sampler = StaticSampler(8, rows=torch.arange(8), loss_weights=weights)
    losses = torch.arange(8.0)
    assert step_loss(sampler, torch.arange(8), lambda kept: losses[kept]).item() == 11.75
    with pytest.raises(InputError, match="forward returned a tuple; return losses"):
        step_loss(sampler, torch.arange(8), lambda kept: (losses[kept], losses[kept]))  # type: ignore[return-value]


def test_lightning_trains_on_epochs_that_are_longer_than_the_first(tmp_path: Path) -> None:
    pytest.importorskip("lightning", reason="lightning is not installed (extra 'all')")
    from lightning.pytorch import LightningModule, Trainer

    class Digits(LightningModule):
        def __init__(self, sampler: EpochSampler) -> None:
            super().__init__()
            self.net, self.sampler = network(), sampler

        def training_step(self, batch: Any, _: int) -> Tensor:
            rows, (x, y) = batch
            return step_loss(
                self.sampler, rows, lambda kept: cross_entropy(self.net(x[kept]), y[kept], reduction="none")
            )

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    sampler = create("sampler", "infobatch", n=512, epochs=EPOCHS, scores=torch.linspace(0, 1, 512))
    updated = count_rows(sampler)
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Digits(sampler), datamodule=lightning_data(digits(), sampler, 64))
    assert updated[0] < 420
    assert updated[-1] == 512
