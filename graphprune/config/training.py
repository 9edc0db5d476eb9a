"""The training sections of a configuration: how a model is trained, and how the arms are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from graphprune.config.base import Method, Strict
from graphprune.options import Count, Decay, Epochs, Fraction, Keep, NonNegative, Part, Positive, Rate

State = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class OptimizationConfig(Strict):
    """How a model is trained; `training` inherits from `seed_training` what it does not set."""

    epochs: Annotated[
        Epochs, Field(description="Passes over what is trained on; a fraction ends inside the last one.")
    ] = 30
    batch_size: Annotated[Count, Field(description="Samples that are trained on at once.")] = 128
    accumulate: Annotated[
        Count, Field(description="Batches whose gradients one step of the optimizer takes together.")
    ] = 1
    optimizer: Annotated[
        Literal["sgd", "adam", "adamw", "muon"],
        Field(description="muon: Muon for the hidden matrices, AdamW for all other weights."),
    ] = "sgd"
    lr: Annotated[Rate, Field(description="Peak learning rate.")] = 0.1
    momentum: Annotated[Part, Field(description="Of sgd (Nesterov) and muon.")] = 0.9
    weight_decay: Annotated[Decay, Field(description="L2 (sgd, adam) or decoupled (adamw, muon).")] = 5e-4
    schedule: Annotated[
        Literal["onecycle", "cosine", "constant"],
        Field(description="Of the learning rate, over the planned epochs however long they become."),
    ] = "onecycle"
    label_smoothing: Annotated[Part, Field(description="Of the cross-entropy.")] = 0.0
    clip_norm: Annotated[Positive | None, Field(description="Largest norm of a step's gradient.")] = None
    ema: Annotated[
        Fraction | None,
        Field(description="Judge an exponential average of the weights with this decay."),
    ] = None
    patience: Annotated[
        Count | None,
        Field(
            description="Stop when the mean training loss of so many epochs brought no better best (a run that is"
            " scored, on the seeds or for the oracle, always goes to its end).",
        ),
    ] = None
    min_improvement: Annotated[
        NonNegative, Field(description="How far below the best loss counts as better, for patience.")
    ] = 0.0
    augment: Annotated[
        tuple[Literal["crop", "flip", "cutout"], ...],
        Field(description="Of images, drawn anew in each batch."),
    ] = ()
    cutout: Annotated[
        Count | None,
        Field(description="Side of cutout's square in pixels (default: half of the shorter side)."),
    ] = None
    precision: Annotated[
        Literal["float32", "bf16", "fp16"],
        Field(description="Of forward and backward passes; fp16 scales its gradients and needs a GPU."),
    ] = "float32"
    compile: Annotated[
        bool,
        Field(description="torch.compile the model: 20 to 60 s of start-up a training; bytes may differ."),
    ] = False
    workers: Annotated[
        int, Field(ge=0, le=1_024, description="Processes that prepare batches (data sets read lazily).")
    ] = 0

    def key(self) -> dict[str, Any]:
        """What the trained weights depend on, as plain data: all but the number of workers."""
        return self.model_dump(mode="json", exclude={"workers"})


class ShrinkPerturbConfig(Strict):
    """Warm-started weights become ``shrink * weight + noise * N(0, 1)`` (Ash & Adams, NeurIPS 2020)."""

    shrink: Annotated[Keep, Field(description="Factor of every learned weight.")] = 0.6
    noise: Annotated[NonNegative, Field(description="Standard deviation of what is added to it.")] = 0.01


class TrainingConfig(OptimizationConfig):
    """The final trainings: every arm, once per random state."""

    init: Annotated[
        Literal["fresh", "seed"],
        Field(
            description="Where the arms of `arms` and `sampler` start: from fresh weights, or from the seed run's,"
            " whose cost they then carry. The baselines and the equal-cost arms start fresh: they are what one does"
            " without a seed run."
        ),
    ] = "fresh"
    shrink_and_perturb: Annotated[
        ShrinkPerturbConfig | None,
        Field(description="Loosens the weights of init: seed (default: as they are)."),
    ] = None

    random_states: Annotated[
        tuple[State, ...], Field(min_length=1, description="Every arm is trained once with each.")
    ] = (0, 1, 2)
    sampler: Annotated[
        Method | None, Field(description="Adds an arm that trains with this dynamic sampler.")
    ] = None
    budget: Annotated[
        Literal["passes", "seconds"],
        Field(
            description="What the equal-cost arms equal: sample passes (reproducible) or measured seconds."
        ),
    ] = "passes"
    baselines_keep: Annotated[
        Keep | None, Field(description="Keep of random and rs2 (default: of the first arm).")
    ] = None

    @field_validator("random_states")
    @classmethod
    def _distinct(cls, states: tuple[int, ...]) -> tuple[int, ...]:
        for state in states:
            if states.count(state) > 1:
                raise ValueError(
                    f"{state} stands more than once, which would count one training as two; keep one"
                )
        return states

    def optimization(self, *, epochs: float | None = None) -> OptimizationConfig:
        """How the arms are trained, without what is about arms."""
        values = self.model_dump(include=set(OptimizationConfig.model_fields))
        return OptimizationConfig.model_validate({**values, "epochs": epochs or self.epochs})
