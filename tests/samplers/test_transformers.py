"""The Hugging Face Trainer with a sampler: every row, its own columns and collator, exact resume."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphprune.errors import InputError
from graphprune.registry import create
from graphprune.samplers.base import EpochSampler

transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra 'all')")
datasets = pytest.importorskip("datasets", reason="datasets is not installed (extra 'all')")

from graphprune.samplers.adapters.transformers import label_losses, sampler_trainer  # noqa: E402

N, EPOCHS = 100, 4
SCORES = torch.linspace(0, 1, N)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Any:
        return SimpleNamespace(logits=self.net(x))


def data() -> Any:
    x = torch.randn(N, 6, generator=torch.Generator().manual_seed(0))
    columns = {
        "x": x.tolist(),
        "label": (x[:, 0] > 0).long().tolist(),
        "idx": list(range(N)),
        "text": ["a"] * N,
    }
    return datasets.Dataset.from_dict(columns)


def arguments(folder: Path, **options: Any) -> Any:
    plain = {
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": 16,
        "learning_rate": 0.1,
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
    }
    return transformers.TrainingArguments(output_dir=str(folder), **{**plain, **options})


def train(
    folder: Path, name: str, options: dict[str, Any] | None = None, *, resume: Path | None = None, **more: Any
) -> tuple[list[int], list[int], Any]:
    """Rows trained on and rows of the order, by epoch, and the trainer."""
    sampler: EpochSampler = create("sampler", name, n=N, epochs=EPOCHS, **(options or {}))
    updated, orders = [0] * 9, [0] * 9
    update = sampler.update

    def counted(rows: Tensor, *rest: Any) -> None:
        updated[sampler.epoch] += len(rows)
        orders[sampler.epoch] = len(sampler.order)
        update(rows, *rest)

    sampler.update = counted  # type: ignore[method-assign]
    trainer = sampler_trainer(
        sampler, model=Classifier(), train_dataset=data(), args=arguments(folder, **more)
    )
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return updated, orders, trainer


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    ("name", "options", "last"),
    [
        ("infobatch", {"scores": SCORES}, N),
        ("infobatch", {}, N),
        ("rs2", {}, 50),
        ("es", {"scores": SCORES, "anneal": 0.25}, N),
    ],
)
def test_every_row_of_every_epoch_is_trained_on(
    name: str, options: dict[str, Any], last: int, accumulate: int, tmp_path: Path
) -> None:
    updated, orders, trainer = train(tmp_path, name, options, gradient_accumulation_steps=accumulate)
    if name == "es":
        assert updated[:EPOCHS] == [25, 25, 25, N]
        assert orders[:EPOCHS] == [N] * EPOCHS
    else:
        assert updated == orders
        assert updated[EPOCHS - 1] == last
        assert "scores" not in options or updated[0] < N
    assert trainer.state.epoch == EPOCHS
    assert trainer.state.global_step == trainer.state.max_steps
    assert trainer.lr_scheduler.get_last_lr()[0] == pytest.approx(0, abs=1e-12)


def test_the_learning_rate_of_equal_epochs_is_the_trainers_own(tmp_path: Path) -> None:
    rates: dict[str, list[float]] = {}
    for name in ("ours", "theirs"):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
        if name == "theirs":
            scheduler = transformers.get_scheduler(
                "cosine", optimizer, num_warmup_steps=3, num_training_steps=28
            )
            rates[name] = [scheduler.get_last_lr()[0]]
            for _ in range(27):
                optimizer.step()
                scheduler.step()
                rates[name].append(scheduler.get_last_lr()[0])
        else:
            trainer = sampler_trainer(
                create("sampler", "random", n=N, epochs=EPOCHS),
                model=Classifier(),
                train_dataset=data(),
                args=arguments(tmp_path, lr_scheduler_type="cosine", warmup_steps=3),
            )
            rates[name] = seen = []

            class Watch(transformers.TrainerCallback):
                def on_step_begin(self, *_: Any, lr_scheduler: Any, **__: Any) -> None:
                    seen.append(lr_scheduler.get_last_lr()[0])  # noqa: B023

            trainer.add_callback(Watch())
            trainer.train()
    assert rates["ours"] == pytest.approx(rates["theirs"], abs=1e-12)


def test_a_number_of_steps_is_kept_whatever_the_epochs_lengths(tmp_path: Path) -> None:
    """InfoBatch prunes after the first epoch, so 30 steps take more epochs than its length suggests."""
    updated, orders, trainer = train(tmp_path, "infobatch", max_steps=26)
    assert trainer.state.global_step == 26
    assert updated[0] == N
    assert updated[1] == orders[1] < N
    updated, _, trainer = train(tmp_path, "infobatch", {"scores": SCORES}, num_train_epochs=1.5)
    steps = -(-updated[0] // 16)
    assert steps < trainer.state.global_step < 2 * steps


@pytest.mark.parametrize(
    ("name", "options"), [("infobatch", {"scores": SCORES}), ("es", {"anneal": 0.0}), ("rs2", {})]
)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_training_equals_an_uninterrupted_one(
    name: str, options: dict[str, Any], accumulate: int, tmp_path: Path
) -> None:
    saving = {"save_strategy": "steps", "save_steps": 3, "per_device_train_batch_size": 8}
    saving |= {"gradient_accumulation_steps": accumulate}
    whole, _, trainer = train(tmp_path, name, options, **saving)
    expected = trainer.model.state_dict()
    checkpoint = tmp_path / f"checkpoint-{3 * (trainer.state.global_step // 6)}"
    updated, _, resumed = train(tmp_path / "again", name, options, resume=checkpoint, **saving)
    assert 0 < sum(updated) < sum(whole)
    assert updated[EPOCHS - 1] == whole[EPOCHS - 1]
    assert resumed.state.global_step == trainer.state.global_step
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[key])
    (checkpoint / "sampler.pt").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"sampler.pt cannot be read .*; resume from a checkpoint"):
        train(tmp_path / "again", name, options, resume=checkpoint)


def test_columns_and_collator_are_used_as_the_trainer_does(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "the"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    tokenizer = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"))
    sentences = ["the " * (i % 5) + ("good" if i % 2 else "bad") for i in range(33)]
    table = {"sentence": sentences, "idx": list(range(33)), "label": [i % 2 for i in range(33)]}
    text = datasets.Dataset.from_dict(table).add_column("length", [len(s.split()) + 2 for s in sentences])
    text = text.map(lambda rows: tokenizer(rows["sentence"]), batched=True)
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    shapes: list[tuple[int, int]] = []

    class Padding(transformers.DataCollatorWithPadding):
        def __call__(self, features: Any) -> Any:
            assert all(set(f) == {"input_ids", "token_type_ids", "attention_mask", "label"} for f in features)
            batch = super().__call__(features)
            shapes.append(tuple(batch["input_ids"].shape))
            assert batch["input_ids"].shape[1] == max(len(f["input_ids"]) for f in features)
            return batch

    for columns in (text, list(text)):  # a data set of Hugging Face, and one of another kind
        shapes.clear()
        trainer = sampler_trainer(
            create("sampler", "infobatch", n=33, epochs=2),
            model=transformers.BertForSequenceClassification(config),
            args=arguments(tmp_path, num_train_epochs=1, eval_strategy="no"),
            train_dataset=columns,
            eval_dataset=text,
            data_collator=Padding(tokenizer),
        )
        trainer.train()
        assert [rows for rows, _ in shapes] == [16, 17]
        assert trainer.evaluate()["eval_loss"] > 0


def test_the_loading_options_of_the_arguments_are_used(tmp_path: Path) -> None:
    trainer = sampler_trainer(
        create("sampler", "rs2", n=N, epochs=2),
        model=Classifier(),
        train_dataset=data(),
        args=arguments(
            tmp_path,
            dataloader_num_workers=2,
            dataloader_prefetch_factor=3,
            dataloader_persistent_workers=True,
            dataloader_pin_memory=False,
            dataloader_drop_last=True,
        ),
    )
    loader = trainer.get_train_dataloader()
    assert (loader.num_workers, loader.prefetch_factor, loader.persistent_workers) == (2, 3, True)
    assert not loader.pin_memory
    assert len(loader) == 3
    rows = [batch["graphprune_rows"] for batch in loader]
    assert [len(part) for part in rows] == [16, 16, 16]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gstds", {}, "needs features or forecast errors"),
        ("st_prune", {}, "needs features or forecast errors"),
        ("rs2", {"compute_loss_func": print}, "pass sample_losses="),
        ("rs2", {"args": SimpleNamespace(label_smoothing_factor=0.1)}, "pass sample_losses="),
    ],
)
def test_what_would_be_ignored_is_refused_before_training(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sampler_trainer(create("sampler", name, n=N, epochs=2), model=Classifier(), **options)


def test_losses_that_are_not_of_whole_samples_are_refused() -> None:
    for logits, labels in (
        (torch.ones(4, 3, 2), torch.ones(4, 3, dtype=torch.int64)),
        (torch.ones(4, 1), torch.ones(4)),
    ):
        with pytest.raises(InputError, match="pass sample_losses="):
            label_losses(SimpleNamespace(logits=logits), labels)
