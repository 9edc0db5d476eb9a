"""What a run found, for Python programs and notebooks."""

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
    """The result of a finished run; as a mapping it is the content of ``metrics.json``.

    Args:
        path: The run folder.
        metrics: Its metrics (default: read from the folder).

    Raises:
        InputError: the folder holds no finished run, or not what is asked for.

    Example:
        >>> from graphprune.jobs.result import RunResult
        >>> RunResult(Path("runs/digits"), {"training": {}, "extrapolation": {}})["training"]
        {}
    """

    def __init__(self, path: Path, metrics: dict[str, Any]) -> None:
        self.path = path
        self.metrics = metrics

    @classmethod
    def open(cls, path: Path | str) -> RunResult:
        """The result of a run that was finished before, from its folder."""
        folder = Path(path)
        if not (folder / "metrics.json").is_file():
            raise InputError(f"{folder} has no metrics.json; give the folder of a finished run")
        return cls(folder, read_metrics(folder))

    @property
    def verdict(self) -> str:
        """One sentence: whether pruning paid, and against what."""
        return str(self.metrics["verdict"]["sentence"])

    def scores(self, name: str) -> ScoreTable:
        """Scores that were measured on the seeds."""
        return ScoreTable.from_parquet(self._file(paths.score(name), "scores"))

    def predictions(self, score: str, method: str) -> ScoreTable:
        """Scores of all samples: measured on the seeds, predicted for the others."""
        return ScoreTable.from_parquet(self._file(paths.prediction(score, method), "predictions"))

    def selection(self, arm: str) -> Selection:
        """The samples that an arm trained on."""
        return Selection.from_parquet(self._file(paths.selection(arm), "selections"))

    def to_pandas(self) -> pd.DataFrame:
        """One row for each arm: fraction kept, metric, its mean and standard deviation, total cost and seconds."""
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
            raise InputError(f"{path} does not exist; {folder} of this run: {', '.join(there) or 'none'}")
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
