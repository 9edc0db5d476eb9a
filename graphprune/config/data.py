"""The ``data`` section of a configuration: one model for each kind of source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from graphprune.config.base import Strict
from graphprune.options import Count, Fraction, Whole


class _Source(Strict):
    limit: Annotated[
        int | None,
        Field(
            ge=4,
            le=1_000_000_000,
            description="Use only this many samples, drawn in proportion to the class sizes (default: all).",
        ),
    ] = None
    test_fraction: Annotated[
        Fraction,
        Field(description="Fraction of the samples held out for testing if the source has no test part."),
    ] = 0.2
    faults: Annotated[
        tuple[str, ...], Field(description="Known issues of the data; they are printed with every result.")
    ] = ()
    placement: Annotated[
        Literal["auto", "device", "host"],
        Field(
            description="Where the samples are kept during training. device: all of them in device memory; host: in"
            " host memory, copied to the device batch by batch; auto: on the device if they need at most a quarter of"
            " its free memory. The results do not depend on it."
        ),
    ] = "auto"


class SklearnData(_Source):
    """A data set that is part of the scikit-learn package, so nothing is downloaded."""

    kind: Literal["sklearn"]
    name: Annotated[
        Literal["digits", "wine", "iris", "breast_cancer"], Field(description="Name of the data set.")
    ] = "digits"


class _ImageSource(_Source):
    image: Annotated[
        str | None,
        Field(description="Column that contains the images (default: the column called `image` or `img`)."),
    ] = None
    label: Annotated[
        str | None,
        Field(
            description="Column that contains the labels (default: the first of `label`, `fine_label`, `labels`, `y`)."
        ),
    ] = None
    image_size: Annotated[
        int | None,
        Field(ge=4, le=4_096, description="Resize every image to a square with sides of this many pixels."),
    ] = None
    skip_broken: Annotated[
        bool,
        Field(
            description="Skip and report images that cannot be decoded; the ids of the other images do not change."
        ),
    ] = False


class HubData(_ImageSource):
    """An image data set from the Hugging Face Hub (extra: hf)."""

    kind: Literal["hub"]
    name: Annotated[str, Field(description="Name on the Hub: `owner/name`.")]
    subset: Annotated[str | None, Field(description="Configuration of the data set, if it has several.")] = (
        None
    )
    train_split: Annotated[str, Field(description="Name of the training split.")] = "train"
    test_split: Annotated[
        str | None,
        Field(description="Name of the test split; null: hold out `test_fraction` of the training split."),
    ] = "test"


class ParquetData(_ImageSource):
    """Local Parquet files with a column of encoded images and a column of labels (integers or class names)."""

    kind: Literal["parquet"]
    path: Annotated[Path, Field(description="Parquet file with the training samples.")]
    test_path: Annotated[
        Path | None,
        Field(description="Parquet file with the test samples (default: hold out `test_fraction`)."),
    ] = None


class ImageFolderData(_ImageSource):
    """A folder with one sub-folder of images per class; the classes of the test folder are matched by name."""

    kind: Literal["imagefolder"]
    path: Annotated[Path, Field(description="Folder with the training images.")]
    test_path: Annotated[
        Path | None, Field(description="Folder with the test images (default: hold out `test_fraction`).")
    ] = None


class NpzData(_Source):
    """Arrays in an .npz file: ``x [N, ...]``, ``y [N]``, and optionally ``x_test``, ``y_test`` and ``ids [N]``."""

    kind: Literal["npz"]
    path: Annotated[Path, Field(description="Path of the `.npz` file.")]


class SensorsData(Strict):
    """Windows of a sensor series ``[T, N, C]``, read from a file or folder, or embedded in the package."""

    kind: Literal["sensors"]
    path: Annotated[Path | None, Field(description="File or folder that contains the readings.")] = None
    name: Annotated[
        str | None, Field(description="Name of an embedded series, instead of `path`: traffic_counts.")
    ] = None
    window: Annotated[Count, Field(description="Number of input time steps of a forecast.")] = 12
    horizon: Annotated[Count, Field(description="Number of predicted time steps.")] = 12
    stride: Annotated[
        Count, Field(description="Time steps from the start of one window to the start of the next.")
    ] = 1
    delay: Annotated[
        Whole, Field(description="Time steps between the last input step and the first predicted step.")
    ] = 0
    target: Annotated[
        Annotated[int, Field(ge=0, le=1_000_000)] | str,
        Field(description="Channel to predict, by index or name."),
    ] = 0
    granularity: Annotated[
        Literal["network", "sensor"],
        Field(description="network: a sample is a window of all sensors; sensor: a window of one sensor."),
    ] = "network"
    missing: Annotated[
        float | None,
        Field(ge=-1e30, le=1e30, description="Value that marks a missing reading, in addition to NaN."),
    ] = None
    steps_per_day: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Readings per day, for files without time stamps; it must agree with any time stamps.",
        ),
    ] = None
    adjacency: Annotated[
        Path | None,
        Field(
            description="File with link strengths between sensors. They are matched to the sensors by name if both"
            " files contain names, otherwise by position."
        ),
    ] = None
    distance: Annotated[
        Path | None, Field(description="File with distances between sensors, matched like `adjacency`.")
    ] = None
    test_fraction: Annotated[
        Fraction, Field(description="Fraction of the time steps held out for testing: the last ones.")
    ] = 0.2
    limit: Annotated[
        int | None,
        Field(
            ge=4, le=1_000_000_000, description="Use only this many time steps from the start (default: all)."
        ),
    ] = None
    faults: Annotated[
        tuple[str, ...], Field(description="Known issues of the data; they are printed with every result.")
    ] = ()

    @field_validator("target")
    @classmethod
    def _is_a_channel(cls, target: int | str) -> int | str:
        if isinstance(target, int) and not 0 <= target <= 1_000_000:
            raise ValueError("give the index of a channel, counted from 0, or its name")
        return target

    @model_validator(mode="after")
    def _one_source(self) -> SensorsData:
        if (self.path is None) == (self.name is None):
            raise ValueError("give either path or name, not both or neither")
        return self


class ObjectData(Strict):
    """Data passed by a Python program: ``graphprune.run(config, data=...)``."""

    kind: Literal["object"]
    name: Annotated[str, Field(description="Name of the data set in tables and in the report.")] = "object"


DataConfig = Annotated[
    SklearnData | HubData | ParquetData | ImageFolderData | NpzData | SensorsData | ObjectData,
    Field(discriminator="kind"),
]
