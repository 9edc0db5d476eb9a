"""The configuration of a job, shared by the YAML files, the command line and the Python API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from graphprune.config.base import Method, Name, Runs, Strict
from graphprune.config.data import DataConfig
from graphprune.config.training import OptimizationConfig, TrainingConfig
from graphprune.config.yaml_file import dump_yaml
from graphprune.options import Count, Fraction, Keep, NonNegative, Seed


class SeedsConfig(Strict):
    """The seeds: the samples that the seed run trains on and scores."""

    fraction: Annotated[Fraction, Field(description="Fraction of the training samples that are seeds.")] = 0.2
    draw: Annotated[
        Literal["stratified", "uniform", "time_blocks"] | None,
        Field(description="How the seeds are drawn (default: stratified by class; time_blocks for windows)."),
    ] = None
    heldout: Annotated[
        Fraction, Field(description="Fraction of the seeds held out to evaluate the extrapolators.")
    ] = 0.2
    background: Annotated[
        float,
        Field(
            ge=0,
            le=1_000,
            description="Rotating extra samples: number of other samples per seed that each epoch of the seed run also"
            " trains on, in turn. It needs their labels.",
        ),
    ] = 0.0


class EmbeddingConfig(Strict):
    """The embedding: one vector per sample, from which the graph is built."""

    source: Annotated[
        Literal["seed_model", "reference", "file", "statistics"],
        Field(
            description="Source of the vectors. seed_model: features of the model trained on the seeds; reference:"
            " features of a model whose weights are loaded from a file; file: your own vectors; statistics: summary"
            " statistics of windows, without a model."
        ),
    ] = "seed_model"
    path: Annotated[
        Path | None,
        Field(description="Vectors [N, D] (`.npy`, `.parquet` or `.safetensors`), for source: file."),
    ] = None
    weights: Annotated[
        Path | None, Field(description="Weights (`.safetensors` or `.npz`), for source: reference.")
    ] = None
    model: Annotated[
        Method | None, Field(description="Model for source: reference (default: `model` of the job).")
    ] = None

    @model_validator(mode="after")
    def _complete(self) -> EmbeddingConfig:
        if self.source == "file" and self.path is None:
            raise ValueError("source: file needs path; add embedding.path")
        if self.source == "reference" and self.weights is None:
            raise ValueError("source: reference needs weights; add embedding.weights")
        return self


class GraphConfig(Strict):
    """The kNN graph; for windows also its temporal and spatial links."""

    k: Annotated[Count, Field(description="Number of neighbors of each sample.")] = 20
    metric: Annotated[
        Literal["euclidean", "cosine", "inner"],
        Field(description="Distance between embeddings; inner: the largest inner products are nearest."),
    ] = "cosine"
    backend: Annotated[
        Literal["auto", "exact", "ivf"],
        Field(
            description="Search method. exact: all pairs; ivf: approximate, with FAISS (extra: faiss); auto: exact up"
            " to 200,000 samples, ivf beyond."
        ),
    ] = "auto"
    temporal_weight: Annotated[
        NonNegative,
        Field(description="Weight of the links to the previous and the next window (windows only)."),
    ] = 1.0
    sensor_weight: Annotated[
        NonNegative, Field(description="Weight of the links between connected sensors (windows only).")
    ] = 1.0


class OracleConfig(Strict):
    """Oracle: trainings on all data whose mean score is the ground truth."""

    runs: Annotated[
        Runs,
        Field(
            description="Number of runs with different random seeds; at least two are needed for the noise ceiling."
        ),
    ] = 2


class AuditConfig(Strict):
    """Audit: truncated full runs that estimate the quality of the predictions without an oracle."""

    epochs: Annotated[
        int | None,
        Field(
            ge=3,
            le=1_000_000,
            description="Epochs after which the runs are stopped (default: three fifths of `training.epochs`).",
        ),
    ] = None
    runs: Annotated[Runs, Field(description="Number of runs with different random seeds.")] = 1


class ShortRunConfig(Strict):
    """Short run: a short training on all data with the settings of the arms, a control at the cost of the seed run."""

    epochs: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Epochs of the short run (default: as many sample passes as the seed run).",
        ),
    ] = None


class ArmConfig(Strict):
    """Arm: one pruned training, on samples selected by extrapolated scores or with a dynamic sampler."""

    name: Annotated[Name, Field(description="Name of the arm in tables and file names; you choose it.")]
    score: Annotated[
        str | None, Field(description="Extrapolated score to select by; optional if the arm has a sampler.")
    ] = None
    extrapolator: Annotated[
        str,
        Field(description="Extrapolator whose predictions are used (default: the first of `extrapolators`)."),
    ] = ""
    rule: Annotated[Method, Field(description="Selection rule with its options.")] = Method(name="top")
    second_score: Annotated[
        str | None, Field(description="Second extrapolated score, for rules that use two (ccs, beta).")
    ] = None
    keep: Annotated[Keep, Field(description="Fraction of the training samples that the rule keeps.")] = 0.5
    sampler: Annotated[
        Method | None, Field(description="Train with this dynamic sampler instead of a fixed selection.")
    ] = None
    init: Annotated[
        Literal["fresh", "seed"] | None, Field(description="Initial weights (default: `training.init`).")
    ] = None

    @model_validator(mode="after")
    def _complete(self) -> ArmConfig:
        if self.score is None and self.sampler is None:
            raise ValueError("an arm needs a score to select by or a sampler; add one of the two keys")
        return self


class Config(Strict):
    """A job: data, seeds, scores, extrapolators and the pruned trainings that are compared."""

    name: Annotated[Name, Field(description="Name of the job in tables and in the report.")]
    seed: Annotated[
        Seed, Field(description="Seed of all random draws; the same seed gives byte-identical results.")
    ] = 0
    device: Annotated[
        str,
        Field(
            pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$",
            description="Device: cpu, cuda or cuda:N; auto: CUDA if available, otherwise the CPU.",
        ),
    ] = "auto"
    data: Annotated[DataConfig, Field(description="Data to train and test on.")]
    track: Annotated[
        tuple[Literal["tensorboard", "mlflow"], ...],
        Field(
            description="Experiment trackers that receive the training metrics in addition to log.jsonl (extra: track)."
        ),
    ] = ()
    seeds: Annotated[
        SeedsConfig, Field(description="The samples that the seed run trains on and scores.")
    ] = SeedsConfig()
    model: Annotated[
        Method,
        Field(description="Model to train, with its options; also `timm:NAME` and `torchvision:NAME`."),
    ] = Method(name="small_cnn")
    paradigm: Annotated[
        Method | None,
        Field(
            description="Training paradigm with its options: supervised, adversarial, unsupervised or forecasting"
            " (default: chosen by the task)."
        ),
    ] = None
    seed_training: Annotated[OptimizationConfig, Field(description="Training of the seed run.")] = (
        OptimizationConfig()
    )
    scores: Annotated[
        tuple[Method, ...],
        Field(min_length=1, description="Scores to record for the seeds, with their options."),
    ] = (Method(name="dynamic_uncertainty"),)
    embedding: Annotated[
        EmbeddingConfig, Field(description="Vectors of all samples, from which the graph is built.")
    ] = EmbeddingConfig()
    graph: Annotated[GraphConfig, Field(description="Graph of the nearest neighbors of every sample.")] = (
        GraphConfig()
    )
    extrapolators: Annotated[
        tuple[Method, ...],
        Field(
            min_length=1,
            description="Methods that predict the scores of all samples from those of the seeds. All of them are"
            " evaluated; each arm uses one.",
        ),
    ] = tuple(Method(name=name) for name in ("auto", "knn", "gcn", "mean", "class_mean", "ridge", "mlp"))
    controls: Annotated[
        bool,
        Field(
            description="Also evaluate the controls that need no fit, as a comparison for the extrapolators."
        ),
    ] = True
    short_run: Annotated[
        ShortRunConfig | None, Field(description="Control: a short run on all data; null: none.")
    ] = ShortRunConfig()
    oracle: Annotated[
        OracleConfig | None,
        Field(description="Full runs that measure the true scores, the most expensive part; null: none."),
    ] = None
    audit: Annotated[
        AuditConfig | None,
        Field(description="Truncated full runs, as a cheaper substitute for the oracle; null: none."),
    ] = None
    arms: Annotated[
        tuple[ArmConfig, ...], Field(description="Pruned trainings to compare with the baselines.")
    ] = ()
    training: Annotated[
        TrainingConfig,
        Field(
            description="Trainings of all arms; inherits every key that it does not set from `seed_training`."
        ),
    ] = TrainingConfig()

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("seed_training"), dict):
            training = value.get("training") or {}
            if isinstance(training, dict):
                value = {**value, "training": {**value["seed_training"], **training}}
        return value

    @field_validator("scores", "extrapolators", "arms")
    @classmethod
    def _distinct(cls, value: Sequence[Any]) -> Sequence[Any]:
        names = [item.name for item in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"duplicate entry '{name}'; keep one")
        return value

    @field_validator("arms")
    @classmethod
    def _default_extrapolator(
        cls, arms: tuple[ArmConfig, ...], info: ValidationInfo
    ) -> tuple[ArmConfig, ...]:
        made = info.data.get("extrapolators")
        if not made:
            return arms
        first = {"extrapolator": made[0].name}
        return tuple(arm if arm.extrapolator else arm.model_copy(update=first) for arm in arms)

    @model_validator(mode="after")
    def _seed_run_fits(self) -> Config:
        unlabelled = self.paradigm is not None and self.paradigm.name == "unsupervised"
        if unlabelled and any(self.starts_warm(arm) for arm in (None, *self.arms)):
            raise ValueError(
                "training.init: seed cannot be combined with paradigm unsupervised, whose seed run uses other labels "
                "than the arms; set init: fresh"
            )
        samplers = (self.training.sampler, *(arm.sampler for arm in self.arms))
        if unlabelled and any(each and each.options.get("reference_losses") == "run" for each in samplers):
            raise ValueError(
                "reference_losses: run cannot be combined with paradigm unsupervised, because the seed run is trained "
                "on other labels; give the weights of a reference model"
            )
        return self

    @model_validator(mode="after")
    def _audit_is_shorter(self) -> Config:
        if self.audit and (self.audit.epochs or 3) > self.training.epochs:
            raise ValueError(
                f"audit.epochs is {self.audit.epochs or 3} but training.epochs is {self.training.epochs:g}; "
                "lower audit.epochs"
            )
        return self

    @model_validator(mode="after")
    def _arms_are_computed(self) -> Config:
        reserved = ("full", "random", "rs2", "full_short", "last_value", "historical_average")
        own = self.training.sampler
        if own is not None and own.name in (*reserved, *(arm.name for arm in self.arms)):
            raise ValueError(
                f"training.sampler: an arm or a baseline is already called '{own.name}'; use the sampler in an arm "
                f"with another name (arms: [{{name: my_{own.name}, sampler: ...}}])"
            )
        for index, arm in enumerate(self.arms):
            if arm.name in reserved or "@" in arm.name or arm.name.endswith("_equal_cost"):
                raise ValueError(
                    f"arms.{index}.name: '{arm.name}' is reserved for a baseline; choose another name"
                )
            if arm.score is None:
                continue
            for key, wanted, made in (
                ("score", arm.score, [s.name for s in self.scores]),
                ("second_score", arm.second_score or arm.score, [s.name for s in self.scores]),
                ("extrapolator", arm.extrapolator, [e.name for e in self.extrapolators]),
            ):
                if wanted not in made:
                    raise ValueError(
                        f"arms.{index}.{key}: '{wanted}' is not computed; "
                        f"add it to {key.removeprefix('second_')}s or use one of {', '.join(made)}"
                    )
        return self

    def samplers(self) -> list[Method]:
        """The samplers of all arms."""
        named = (*(arm.sampler for arm in self.arms), self.training.sampler)
        return [sampler for sampler in named if sampler is not None]

    def starts_warm(self, arm: ArmConfig | None = None) -> bool:
        """Whether an arm (None: the arm of `training.sampler`) starts from the weights of the seed run."""
        own = None if arm is None else arm.init
        return (own or self.training.init) == "seed"

    def to_yaml(self) -> str:
        """The resolved configuration as YAML, as stored in the run folder."""
        return dump_yaml(self.model_dump(mode="json"))
