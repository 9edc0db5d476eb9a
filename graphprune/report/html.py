"""The HTML page of a run: savings, reliability of the predicted scores, samples, and how to reproduce it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from graphprune.report import format as show
from graphprune.report.agreement import (
    agreement_figure,
    agreement_tables,
    audit_rows,
    clear_note,
)
from graphprune.report.arms import ROLE_WORDS, Arm, arms, equal_cost_arms
from graphprune.report.forecasts import error_table
from graphprune.report.payload import embed_json
from graphprune.report.plots import Figure, arms_figure
from graphprune.report.samples import SampleMap, samples_payload
from graphprune.report.trust import trust_payload
from graphprune.report.verdict import verdict
from graphprune.report.windows import windows_figures
from graphprune.runtime.cost import folded

OVERLAP_KEEPS = ("0.1", "0.3", "0.5", "0.7")


@dataclass(frozen=True)
class ReportInput:
    """ReportInput: everything that a page shows about one run.

    Args:
        metrics: The content of `metrics.json`. Besides its fixed keys, an arm may contain ``cost_passes`` and
            ``total_seconds`` (everything that the arm needed, mean over random seeds) and ``equal_cost`` (the names
            of the arms with the same cost); missing keys are shown as a dash.
        ledger: ``{stage: {"seconds", "peak_mib", "trained_samples", "forward_samples"}}``.
        config_yaml: The resolved config.
        provenance: Groups of facts, ``{"versions": {...}, "hardware": {...}, "git": ...}``. Two keys are special:
            ``faults``, a list of known issues of the data, and ``commands``, a list of commands that reproduce the
            run.
        scatter: Predicted and true scores, see `graphprune.report.trust.trust_payload`.
        map: The samples, or None.
        name: The name of the run (default: the name of the data set).

    >>> ReportInput({"dataset": {"name": "digits"}}).title
    'digits'
    """

    metrics: dict[str, Any]
    ledger: dict[str, dict[str, Any]] = field(default_factory=dict)
    config_yaml: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    scatter: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    map: SampleMap | None = None
    name: str = ""

    @property
    def title(self) -> str:
        """The name of the run, or else of its data set."""
        return self.name or str((self.metrics.get("dataset") or {}).get("name") or "run")


def render(report: ReportInput) -> str:
    """Returns the page of one run as HTML text; write it as UTF-8.

    The page is self-contained: it includes scripts, styles and pictures, and its content security policy forbids
    requests and all other scripts. Text from the run is escaped.

    Raises:
        InputError: arrays of the same samples differ in length, or a metric is unknown.

    Cost: O(N log N) for N samples; at most 50,000 samples and 400,000 scatter points are drawn.
    """
    known = arms(report.metrics)
    groups = arm_groups(known)
    figures = {"arms": arms_figure([arm for _, members in groups for arm in members])}
    scores: list[dict[str, Any]] = []
    for name, score in (report.metrics.get("extrapolation") or {}).items():
        figures[f"agreement-{len(scores)}"] = agreement_figure(score)
        shared = {"ceiling": score.get("ceiling") or {}}
        tables = {
            "tables": agreement_tables(score),
            "audits": audit_rows(score),
            "clear_note": clear_note(score),
        }
        scores.append({"name": name, **tables, **shared})
    kept = kept_figures(report.map)
    for number, (*_, parts) in enumerate(kept):
        figures |= {f"kept-{part}-{number}": figure for part, figure in parts.items()}
    data = {
        "figures": {name: figure for name, figure in figures.items() if figure is not None},
        "trust": trust_payload(report.scatter, report.metrics),
        "samples": None if report.map is None else samples_payload(report.map),
    }
    return page(
        "report.html",
        data,
        scripts=("page.js", "trust.js", "map.js", "samples.js"),
        report=report,
        title=report.title,
        metric=next((arm.metric for arm in known.values()), "accuracy"),
        groups=groups,
        verdict=verdict(report.metrics),
        errors=error_table(report.metrics),
        stages=_stages(report, summed=True),
        every_stage=_stages(report, summed=False),
        scores=scores,
        kept=kept,
        facts=_facts(report.provenance),
    )


def page(template: str, data: dict[str, Any], *, scripts: tuple[str, ...], **context: Any) -> str:
    """Renders a template with ``context``; ``data`` is for its scripts, the only ones that the page may run."""
    texts = [_plotly(), *(_asset(name) for name in scripts)]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in texts]
    return (
        _environment()
        .get_template(template)
        .render(
            # These are files of this package and the script of plotly.
            style=Markup(_asset("style.css")),  # nosec B704
            scripts=[Markup(text) for text in texts],  # nosec B704
            hashes=hashes,
            data=embed_json(data),
            figures=data["figures"],
            role_words=ROLE_WORDS,
            keeps=OVERLAP_KEEPS,
            **context,
        )
    )


def kept_figures(samples: SampleMap | None) -> list[tuple[str, bool, dict[str, Figure]]]:
    """For windows: name, whether the arm selects during training, and figures by time and by sensor."""
    if samples is None:
        return []
    shares = {**samples.kept, **samples.visits}
    figures = windows_figures(shares, hour=samples.hour, weekday=samples.weekday, sensors=samples.sensors)
    return [(name, name in samples.visits, parts) for name, parts in figures.items()]


def arm_groups(known: Mapping[str, Arm]) -> list[tuple[str, list[Arm]]]:
    """The arms in the groups of the table: pruned arms together with the simple arms of the same cost."""
    every = list(known.values())
    budgets: dict[tuple[str, ...], list[Arm]] = {}
    for arm in every:
        if arm.role == "pruned":
            budgets.setdefault(tuple(other.name for other in equal_cost_arms(arm, dict(known))), []).append(
                arm
            )
    groups = [("All data", [arm for arm in every if arm.role == "full"])]
    for simple, pruned in budgets.items():
        groups.append(
            (
                "Pruned arms and simple alternatives at the same cost",
                [*pruned, *(known[name] for name in simple)],
            )
        )
    listed = {arm.name for _, members in groups for arm in members}
    rest = [arm for arm in every if arm.name not in listed]
    groups.append(("Simple alternatives at the same cost", [a for a in rest if a.role == "equal_cost"]))
    groups.append(("Random selection", [arm for arm in rest if arm.role == "baseline"]))
    groups.append(("Without training", [arm for arm in rest if arm.role == "no_training"]))
    return [(title, members) for title, members in groups if members]


def _stages(report: ReportInput, *, summed: bool) -> list[dict[str, Any]]:
    """Cost by stage with its share of the total time; without a ledger, the costs in `metrics.json` are used.

    ``summed`` adds up the entries of one kind, see `folded`.
    """
    ledger = report.ledger or report.metrics.get("cost") or {}
    total = sum(cost.get("seconds") or 0.0 for cost in ledger.values()) or 1.0
    rows: dict[str, dict[str, Any]] = {}
    for name, cost in ledger.items():
        kept = folded(name) if summed else name
        row = rows.setdefault(kept, {"name": kept, "share": 0.0})
        row["share"] += (cost.get("seconds") or 0.0) / total
        for key, value in cost.items():
            old = row.get(key)
            row[key] = value if old is None else max(old, value) if key == "peak_mib" else old + value
    return list(rows.values())


def _facts(provenance: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Provenance as groups of keys and values; scalars form the first group."""
    loose: list[tuple[str, str]] = []
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    for key, value in provenance.items():
        if key in ("faults", "commands"):
            continue
        if isinstance(value, Mapping):
            groups.append((str(key), _flat(value)))
        else:
            loose.append((str(key), _plain(value)))
    return [("run", loose), *groups] if loose else groups


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            rows += _flat(inner, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _plain(inner)))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return show.ABSENT if value is None else str(value)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("graphprune.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": show.seconds,
        "mebibytes": show.mebibytes,
        "fixed": show.fixed,
        "significant": show.significant,
        "samples": show.count,
        "percent": show.percent,
        "trainings": show.trainings,
    }
    environment.globals |= {
        "metric_value": show.value,
        "metric_spread": show.spread,
        "metric_difference": show.difference,
    }
    return environment


@cache
def _asset(name: str) -> str:
    return (resources.files("graphprune.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    # HTML parsers convert every line end to \n before they compare a script with its hash.
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")
