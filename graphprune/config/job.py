"""The configuration of a job: one model that the YAML files, the command line and the API share."""

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
    """Which samples are scored by training on them."""

    fraction: Annotated[Fraction, Field(description="Share of all training samples.")] = 0.2
    draw: Annotated[
        Literal["stratified", "uniform", "time_blocks"] | None,
        Field(description="How they are drawn (default: stratified by class, time_blocks for windows)."),
    ] = None
    heldout: Annotated[Fraction, Field(description="Share of the seeds that judges the extrapolators.")] = 0.2
    background: Annotated[
        float,
        Field(
            ge=0,
            le=1_000,
            description="Other samples that every epoch of the seed run visits in turn, per seed (needs their labels).",
        ),
    ] = 0.0


class EmbeddingConfig(Strict):
    """What the graph is built on."""

    source: Annotated[
        Literal["seed_model", "reference", "file", "statistics"],
        Field(
            description="seed_model: features of the model trained on the seeds; reference: of a model from a file;"
            " file: vectors of yours; statistics: of windows, without a model."
        ),
    ] = "seed_model"
    path: Annotated[Path | None, Field(description="[N, D] .npy of source: file.")] = None
    weights: Annotated[Path | None, Field(description=".safetensors or .npz of source: reference.")] = None
    model: Annotated[Method | None, Field(description="Model of source: reference (default: `model`).")] = (
        None
    )

    @model_validator(mode="after")
    def _complete(self) -> EmbeddingConfig:
        if self.source == "file" and self.path is None:
            raise ValueError("source: file needs path")
        if self.source == "reference" and self.weights is None:
            raise ValueError("source: reference needs weights")
        return self


class GraphConfig(Strict):
    """The kNN graph, and for windows its temporal and sensor links."""

    k: Annotated[Count, Field(description="Neighbours of each sample.")] = 20
    metric: Annotated[
        Literal["euclidean", "cosine", "inner"],
        Field(description="What is near; inner: largest inner product."),
    ] = "cosine"
    backend: Annotated[
        Literal["auto", "exact", "ivf"],
        Field(description="ivf: approximate, by FAISS (extra: faiss); auto: exact up to 200,000 samples."),
    ] = "auto"
    temporal_weight: Annotated[
        NonNegative, Field(description="Weight of links to the windows before and after.")
    ] = 1.0
    sensor_weight: Annotated[NonNegative, Field(description="Weight of links between linked sensors.")] = 1.0


class OracleConfig(Strict):
    """Full-data runs whose mean score is the truth."""

    runs: Annotated[
        Runs, Field(description="With different random seeds; two or more show the noise ceiling.")
    ] = 2


class AuditConfig(Strict):
    """Full runs that are begun and not ended, to tell how near predictions are without an oracle."""

    epochs: Annotated[
        int | None,
        Field(ge=3, le=1_000_000, description="Where they stop (default: three fifths of training.epochs)."),
    ] = None
    runs: Annotated[Runs, Field(description="With different random seeds.")] = 1


class ShortRunConfig(Strict):
    """A short run on all the data, trained as the arms are: the control that costs what the seed run does."""

    epochs: Annotated[
        int | None,
        Field(ge=1, le=1_000_000, description="Its length (default: as many sample passes as the seed run)."),
    ] = None


class ArmConfig(Strict):
    """One pruned training: samples selected by extrapolated scores, or a sampler that chooses while training."""

    name: Annotated[Name, Field(description="Of your choice, for tables and files.")]
    score: Annotated[str | None, Field(description="Extrapolated score; a sampler may do without.")] = None
    extrapolator: Annotated[
        str, Field(description="Whose predictions it goes by (default: the first of `extrapolators`).")
    ] = ""
    rule: Annotated[Method, Field(description="Selection rule, with its options.")] = Method(name="top")
    second_score: Annotated[
        str | None, Field(description="Another extrapolated score, for rules that read two (ccs, beta).")
    ] = None
    keep: Annotated[Keep, Field(description="Fraction of all samples that the rule keeps.")] = 0.5
    sampler: Annotated[
        Method | None, Field(description="Trains with this sampler instead of a selection.")
    ] = None
    init: Annotated[
        Literal["fresh", "seed"] | None, Field(description="First weights (default: `training.init`).")
    ] = None

    @model_validator(mode="after")
    def _complete(self) -> ArmConfig:
        if self.score is None and self.sampler is None:
            raise ValueError("give a score to select by, or a sampler")
        return self


class Config(Strict):
    """A whole job."""

    name: Annotated[Name, Field(description="Of the job, for tables and the report.")]
    seed: Annotated[
        Seed, Field(description="Of everything that is drawn; the same seed gives the same bytes.")
    ] = 0
    device: Annotated[
        str,
        Field(
            pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$",
            description="cpu, cuda or cuda:1; auto: CUDA if it is there, else the CPU.",
        ),
    ] = "auto"
    data: Annotated[DataConfig, Field(description="What is trained and tested on.")]
    track: Annotated[
        tuple[Literal["tensorboard", "mlflow"], ...],
        Field(description="Where figures of the trainings go besides log.jsonl (extra: track)."),
    ] = ()
    seeds: Annotated[SeedsConfig, Field(description="The samples that are scored by training on them.")] = (
        SeedsConfig()
    )
    model: Annotated[
        Method, Field(description="What is trained, with its options; also timm:NAME and torchvision:NAME.")
    ] = Method(name="small_cnn")
    paradigm: Annotated[
        Method | None,
        Field(
            description="supervised, adversarial, unsupervised or forecasting, with options (default: by the task)."
        ),
    ] = None
    seed_training: Annotated[OptimizationConfig, Field(description="The training on the seeds.")] = (
        OptimizationConfig()
    )
    scores: Annotated[
        tuple[Method, ...],
        Field(min_length=1, description="What is recorded of the seeds, with its options."),
    ] = (Method(name="dynamic_uncertainty"),)
    embedding: Annotated[EmbeddingConfig, Field(description="The vectors of all samples.")] = (
        EmbeddingConfig()
    )
    graph: Annotated[GraphConfig, Field(description="The neighbours of every sample.")] = GraphConfig()
    extrapolators: Annotated[
        tuple[Method, ...],
        Field(
            min_length=1, description="What extends the scores to all samples; all are judged, arms name one."
        ),
    ] = tuple(Method(name=name) for name in ("auto", "knn", "gcn", "mean", "class_mean", "ridge", "mlp"))
    controls: Annotated[
        bool, Field(description="Judge the controls that fit nothing beside the extrapolators.")
    ] = True
    short_run: Annotated[
        ShortRunConfig | None, Field(description="The control of a short run on all the data; null: none.")
    ] = ShortRunConfig()
    oracle: Annotated[
        OracleConfig | None,
        Field(description="Full runs that tell the true scores; null: none, for they cost most."),
    ] = None
    audit: Annotated[
        AuditConfig | None, Field(description="Begun full runs that stand in for an oracle; null: none.")
    ] = None
    arms: Annotated[
        tuple[ArmConfig, ...], Field(description="The pruned trainings beside the baselines.")
    ] = ()
    training: Annotated[
        TrainingConfig, Field(description="The trainings of all arms; inherits from `seed_training`.")
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
                raise ValueError(f"'{name}' stands more than once; keep one")
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
                "training.init: seed does not go with paradigm unsupervised, whose labels are others"
            )
        samplers = (self.training.sampler, *(arm.sampler for arm in self.arms))
        if unlabelled and any(each and each.options.get("reference_losses") == "run" for each in samplers):
            raise ValueError(
                "reference_losses: run does not go with paradigm unsupervised: the seed run's model knows other "
                "labels; name a reference model's weights"
            )
        return self

    @model_validator(mode="after")
    def _audit_is_shorter(self) -> Config:
        if self.audit and (self.audit.epochs or 3) > self.training.epochs:
            raise ValueError(
                f"audit.epochs: {self.audit.epochs or 3} is more than training.epochs {self.training.epochs:g}"
            )
        return self

    @model_validator(mode="after")
    def _arms_are_computed(self) -> Config:
        reserved = ("full", "random", "rs2", "full_short", "last_value", "historical_average")
        own = self.training.sampler
        if own is not None and own.name in (*reserved, *(arm.name for arm in self.arms)):
            raise ValueError(
                f"training.sampler: an arm or a baseline is called '{own.name}' already; give it to an arm with "
                f"another name (arms: [{{name: my_{own.name}, sampler: ...}}])"
            )
        for index, arm in enumerate(self.arms):
            if arm.name in reserved or "@" in arm.name or arm.name.endswith("_equal_cost"):
                raise ValueError(f"arms.{index}.name: '{arm.name}' is the name of a baseline; choose another")
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
        """Whether an arm (None: that of `training.sampler`) starts from the seed run's weights."""
        own = None if arm is None else arm.init
        return (own or self.training.init) == "seed"

    def to_yaml(self) -> str:
        """The resolved configuration, as it is stored beside the results."""
        return dump_yaml(self.model_dump(mode="json"))
