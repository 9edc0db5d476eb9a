"""The result of a run, for Python programs and notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphprune.errors import InputError
from graphprune.jobs import paths
from graphprune.report.stored import read_metrics
from graphprune.select.base import Selection
from graphprune.table import ScoreTable

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("keep", "metric", "mean", "std", "cost_passes", "total_seconds", "budget")


class RunResult(Mapping[str, Any]):
    """The result of a finished run: a mapping over the content of ``metrics.json``, and the tables of the run.

    Args:
        path: The run folder.
        metrics: The content of its ``metrics.json``.

    Raises:
        InputError: the folder holds no finished run, or not the requested table.

    Example:
        >>> from pathlib import Path
        >>> from graphprune import RunResult
        >>> result = RunResult(Path("runs/digits"), {"schema": 1, "training": {}})  # RunResult.open reads a folder
        >>> result["schema"], list(result)
        (1, ['schema', 'training'])
    """

    def __init__(self, path: Path, metrics: dict[str, Any]) -> None:
        self.path = path
        self.metrics = metrics

    @classmethod
    def open(cls, path: Path | str) -> RunResult:
        """Open the folder of a finished run."""
        folder = Path(path)
        if not (folder / "metrics.json").is_file():
            raise InputError(f"{folder} has no metrics.json; pass the folder of a finished run")
        return cls(folder, read_metrics(folder))

    @property
    def verdict(self) -> str:
        """The verdict in one sentence: whether pruning paid, and compared with what."""
        return str(self.metrics["verdict"]["sentence"])

    def scores(self, name: str) -> ScoreTable:
        """Return the scores measured on the seed samples."""
        return ScoreTable.from_parquet(self._file(paths.score(name), "scores"))

    def predictions(self, score: str, method: str) -> ScoreTable:
        """Return the scores of all samples: measured for the seed samples, predicted for the others."""
        return ScoreTable.from_parquet(self._file(paths.prediction(score, method), "predictions"))

    def selection(self, arm: str) -> Selection:
        """Return the samples that an arm trained on."""
        return Selection.from_parquet(self._file(paths.selection(arm), "selections"))

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per arm: fraction kept, metric, its mean and standard deviation, total cost and seconds."""
        import pandas as pd

        arms = self.metrics["training"]
        return pd.DataFrame(
            [{column: arm[column] for column in _COLUMNS} for arm in arms.values()], index=list(arms)
        )

    def _file(self, relative: str, folder: str) -> Path:
        path = self.path / relative
        if not path.is_file():
            made = self.path / folder
            there = sorted(str(p.relative_to(made).with_suffix("")) for p in made.rglob("*.parquet"))
            raise InputError(f"{path} does not exist; this run has the {folder} {', '.join(there) or 'none'}")
        return path

    def __getitem__(self, key: str) -> Any:
        return self.metrics[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    def __repr__(self) -> str:
        return f"RunResult({str(self.path)!r}, arms: {', '.join(self.metrics['training'])})"

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in (name, *map(_text, arm))) + "</tr>"
            for name, arm in (
                (name, [arm[column] for column in _COLUMNS]) for name, arm in self.metrics["training"].items()
            )
        )
        head = "".join(f"<th>{escape(name)}</th>" for name in ("arm", *_COLUMNS))
        sentence = f"<p>{escape(self.verdict)}</p>" if len(self.metrics["training"]) > 1 else ""
        return f"{sentence}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
