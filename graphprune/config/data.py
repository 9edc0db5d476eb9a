"""The ``data`` section of a configuration: one model per kind of source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from graphprune.config.base import Strict
from graphprune.options import Count, Fraction, Whole


class _Source(Strict):
    limit: Annotated[
        int | None, Field(ge=4, le=1_000_000_000, description="Use a class-balanced draw of so many samples.")
    ] = None
    test_fraction: Annotated[
        Fraction, Field(description="Held out for testing when there is no test part.")
    ] = 0.2
    faults: Annotated[
        tuple[str, ...], Field(description="Known faults of the data, printed beside every figure.")
    ] = ()
    placement: Annotated[
        Literal["auto", "device", "host"],
        Field(
            description="Where the samples lie while a model is trained: all on the device, or on the host with a batch"
            " copied at a time; auto: on the device if they take up to a quarter of its free memory. Results do not"
            " depend on it."
        ),
    ] = "auto"


class SklearnData(_Source):
    """A data set that scikit-learn carries in its wheel."""

    kind: Literal["sklearn"]
    name: Annotated[
        Literal["digits", "wine", "iris", "breast_cancer"], Field(description="Which of them.")
    ] = "digits"


class _ImageSource(_Source):
    image: Annotated[
        str | None, Field(description="Column of the images (default: the one image column).")
    ] = None
    label: Annotated[
        str | None, Field(description="Column of the labels (default: the one label column).")
    ] = None
    image_size: Annotated[
        int | None, Field(ge=4, le=4_096, description="Resize to a square of so many pixels.")
    ] = None
    skip_broken: Annotated[
        bool,
        Field(
            description="Skip images that cannot be decoded, and report them; ids of the others stay as they are."
        ),
    ] = False


class HubData(_ImageSource):
    """A data set of the Hugging Face hub."""

    kind: Literal["hub"]
    name: Annotated[str, Field(description="As the hub calls it: owner/name.")]
    subset: Annotated[str | None, Field(description="Its configuration, where it has several.")] = None
    train_split: Annotated[str, Field(description="Name of the split to train on.")] = "train"
    test_split: Annotated[
        str | None, Field(description="Name of the split to test on; null: `test_fraction` is held out.")
    ] = "test"


class ParquetData(_ImageSource):
    """Local Parquet files with encoded images, and integer labels or class names."""

    kind: Literal["parquet"]
    path: Annotated[Path, Field(description="File to train on.")]
    test_path: Annotated[
        Path | None, Field(description="File to test on (default: `test_fraction` is held out).")
    ] = None


class ImageFolderData(_ImageSource):
    """A folder with one sub-folder of images per class; test classes are matched by name."""

    kind: Literal["imagefolder"]
    path: Annotated[Path, Field(description="Folder to train on.")]
    test_path: Annotated[
        Path | None, Field(description="Folder to test on (default: `test_fraction` is held out).")
    ] = None


class NpzData(_Source):
    """Arrays: ``x [N, ...]``, ``y [N]``, optionally ``x_test``, ``y_test`` and ``ids [N]``."""

    kind: Literal["npz"]
    path: Annotated[Path, Field(description="The `.npz` file.")]


class SensorsData(Strict):
    """Windows of a series ``[T, N, C]``: a file or folder by path, or an embedded one by name."""

    kind: Literal["sensors"]
    path: Annotated[Path | None, Field(description="File or folder of readings.")] = None
    name: Annotated[str | None, Field(description="Embedded series, in place of path: traffic_counts.")] = (
        None
    )
    window: Annotated[Count, Field(description="Steps that a forecast sees.")] = 12
    horizon: Annotated[Count, Field(description="Steps that it predicts.")] = 12
    stride: Annotated[Count, Field(description="Steps from one window to the next.")] = 1
    delay: Annotated[Whole, Field(description="Steps between what is seen and what is predicted.")] = 0
    target: Annotated[
        Annotated[int, Field(ge=0, le=1_000_000)] | str,
        Field(description="Channel that is predicted, by number or name."),
    ] = 0
    granularity: Annotated[
        Literal["network", "sensor"],
        Field(description="A sample is a window of all sensors, or of one sensor."),
    ] = "network"
    missing: Annotated[
        float | None, Field(ge=-1e30, le=1e30, description="A value that stands for 'missing', besides NaN.")
    ] = None
    steps_per_day: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="For files without time stamps; beside a clock it must agree with it.",
        ),
    ] = None
    adjacency: Annotated[
        Path | None,
        Field(
            description="File of link strengths, joined to the sensors by name where both files have names, else by"
            " position."
        ),
    ] = None
    distance: Annotated[
        Path | None, Field(description="File of distances between sensors, joined as `adjacency` is.")
    ] = None
    test_fraction: Annotated[Fraction, Field(description="Held out for testing: the last windows.")] = 0.2
    limit: Annotated[
        int | None, Field(ge=4, le=1_000_000_000, description="Use only the first so many time steps.")
    ] = None
    faults: Annotated[
        tuple[str, ...], Field(description="Known faults of the data, printed beside every figure.")
    ] = ()

    @model_validator(mode="after")
    def _one_source(self) -> SensorsData:
        if (self.path is None) == (self.name is None):
            raise ValueError("give either path or name")
        return self


class ObjectData(Strict):
    """Data that a Python program hands over: ``graphprune.run(config, data=...)``."""

    kind: Literal["object"]
    name: Annotated[str, Field(description="For tables and the report.")] = "object"


DataConfig = Annotated[
    SklearnData | HubData | ParquetData | ImageFolderData | NpzData | SensorsData | ObjectData,
    Field(discriminator="kind"),
]
