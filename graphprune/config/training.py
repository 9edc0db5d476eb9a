"""The training sections of a configuration: optimization of one model, and the trainings of all arms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from graphprune.config.base import Method, Strict
from graphprune.options import Count, Decay, Epochs, Fraction, Keep, NonNegative, Part, Positive, Rate

State = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class OptimizationConfig(Strict):
    """Optimization of one model; `training` inherits every key that it does not set from `seed_training`."""

    epochs: Annotated[
        Epochs,
        Field(description="Passes over the training samples; a fractional number ends within the last pass."),
    ] = 30
    batch_size: Annotated[Count, Field(description="Samples per batch.")] = 128
    accumulate: Annotated[
        Count, Field(description="Batches whose gradients are accumulated for one optimizer step.")
    ] = 1
    optimizer: Annotated[
        Literal["sgd", "adam", "adamw", "muon"],
        Field(
            description="Optimizer. muon: Muon for the hidden weight matrices, AdamW for all other weights."
        ),
    ] = "sgd"
    lr: Annotated[Rate, Field(description="Peak learning rate.")] = 0.1
    momentum: Annotated[Part, Field(description="Momentum of sgd (Nesterov) and muon.")] = 0.9
    weight_decay: Annotated[
        Decay, Field(description="Weight decay: an L2 penalty (sgd, adam) or decoupled (adamw, muon).")
    ] = 5e-4
    schedule: Annotated[
        Literal["onecycle", "cosine", "constant"],
        Field(description="Learning-rate schedule over the planned `epochs`, however many steps they have."),
    ] = "onecycle"
    label_smoothing: Annotated[Part, Field(description="Label smoothing of the cross-entropy.")] = 0.0
    clip_norm: Annotated[
        Positive | None,
        Field(description="Clip the gradient of each step to this norm (default: no clipping)."),
    ] = None
    ema: Annotated[
        Fraction | None,
        Field(
            description="Evaluate an exponential moving average of the weights with this decay (default: the weights)."
        ),
    ] = None
    patience: Annotated[
        Count | None,
        Field(
            description="Early stopping: stop when the mean training loss has not improved for this many epochs"
            " (default: never). The seed run and the oracle runs are never stopped early.",
        ),
    ] = None
    min_improvement: Annotated[
        NonNegative,
        Field(description="Decrease of the best training loss that counts as an improvement for `patience`."),
    ] = 0.0
    augment: Annotated[
        tuple[Literal["crop", "flip", "cutout"], ...],
        Field(description="Image augmentations, drawn at random for every batch."),
    ] = ()
    cutout: Annotated[
        Count | None,
        Field(
            description="Side length of the cutout square in pixels (default: half of the shorter image side)."
        ),
    ] = None
    precision: Annotated[
        Literal["float32", "bf16", "fp16"],
        Field(
            description="Precision of the forward and backward passes. fp16 uses gradient scaling and requires a GPU."
        ),
    ] = "float32"
    compile: Annotated[
        bool,
        Field(
            description="Compile the model with torch.compile: adds 20 to 60 s to the start of each training, and"
            " results may differ in the last bits."
        ),
    ] = False
    workers: Annotated[
        int,
        Field(
            ge=0,
            le=1_024,
            description="Worker processes that prepare batches; useful for data sets that are read lazily.",
        ),
    ] = 0

    def key(self) -> dict[str, Any]:
        """The settings that determine the trained weights, as plain data: all except the number of workers."""
        return self.model_dump(mode="json", exclude={"workers"})


class ShrinkPerturbConfig(Strict):
    """Shrink and perturb: weights become ``shrink * weight + noise * N(0, 1)`` (Ash & Adams, NeurIPS 2020)."""

    shrink: Annotated[Keep, Field(description="Factor that multiplies every trained weight.")] = 0.6
    noise: Annotated[
        NonNegative, Field(description="Standard deviation of the noise added to every weight.")
    ] = 0.01


class TrainingConfig(OptimizationConfig):
    """The final trainings: every arm is trained once with each random seed."""

    init: Annotated[
        Literal["fresh", "seed"],
        Field(
            description="Initial weights of the arms in `arms` and of `sampler`. fresh: random weights; seed: the"
            " weights of the seed run, whose cost is then charged to the arm. The baselines and the equal-cost arms"
            " always start from random weights, because they represent training without a seed run."
        ),
    ] = "fresh"
    shrink_and_perturb: Annotated[
        ShrinkPerturbConfig | None,
        Field(
            description="Shrink and perturb the initial weights of init: seed (default: use them unchanged)."
        ),
    ] = None

    random_states: Annotated[
        tuple[State, ...],
        Field(min_length=1, description="Random seeds; every arm is trained once with each of them."),
    ] = (0, 1, 2)
    sampler: Annotated[
        Method | None, Field(description="Add an arm that trains with this dynamic sampler.")
    ] = None
    budget: Annotated[
        Literal["passes", "seconds"],
        Field(
            description="Budget that the equal-cost arms match. passes: number of sample passes, which is"
            " reproducible; seconds: measured time."
        ),
    ] = "passes"
    baselines_keep: Annotated[
        Keep | None,
        Field(
            description="Fraction kept by the baselines random and rs2 (default: `keep` of the first arm)."
        ),
    ] = None

    @field_validator("random_states")
    @classmethod
    def _distinct(cls, states: tuple[int, ...]) -> tuple[int, ...]:
        for state in states:
            if states.count(state) > 1:
                raise ValueError(f"duplicate entry {state} would count one training twice; keep one")
        return states

    def optimization(self, *, epochs: float | None = None) -> OptimizationConfig:
        """The settings that every arm is trained with, optionally with another number of epochs."""
        values = self.model_dump(include=set(OptimizationConfig.model_fields))
        return OptimizationConfig.model_validate({**values, "epochs": epochs or self.epochs})
