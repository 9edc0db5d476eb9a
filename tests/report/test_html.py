"""A page holds what it should, loads nothing, and shows text from outside as text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune.report.compare import compare
from graphprune.report.html import ReportInput, render
from graphprune.report.samples import SampleMap

Make = Callable[..., Any]
EVIL = """</script><!--<script>alert(1)</script><b>&amp;"'"""


class Page(HTMLParser):
    """Texts of scripts, the visible text, and every attribute that could load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.policy = ""
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag
        values = {name: value or "" for name, value in attrs}
        if tag == "script":
            self.scripts.append("")
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        self.loads += [
            values[name] for name in ("src", "href", "action", "data", "poster", "srcset") if name in values
        ]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data


@pytest.fixture
def page(make_report: Make) -> str:
    return str(render(make_report()))


def data_of(page: str) -> Any:
    return json.loads(Page(page).scripts[0])


def test_answers_in_the_agreed_order(page: str) -> None:
    questions = ["What did I save", "Verdict", "Can I trust", "Which samples are removed", "How to reproduce"]
    text = Page(page).text
    places = [text.index(question) for question in questions]
    assert places == sorted(places)


def test_shows_every_arm_stage_method_issue_and_fact(page: str, metrics: dict[str, Any]) -> None:
    text = Page(page).text
    wanted = [*metrics["training"], "seed_training", "train/extrapolated", "seed_entropy", "class_mean"]
    wanted += ["invented for a test", "2.13.0", "graphprune run configs/digits.yaml", "draw: stratified"]
    wanted += ["agreement with the seed run", "95.80", "0.956", "64.9 %", "chance"]
    assert [word for word in wanted if word not in text] == []


def test_labels_heldout_agreement_and_says_when_no_oracle_was_run(
    make_report: Make, forecast: dict[str, Any]
) -> None:
    text = Page(render(make_report(metrics=forecast, scatter={}, map=None))).text
    assert "No oracle was run" in text
    assert "Against held-out seeds: agreement with the seed run" in text
    assert "Against the full-data scores" not in text
    assert "Which samples are removed?" not in text


def test_is_small_and_loads_nothing(page: str) -> None:
    found = Page(page)
    assert len(page.encode()) < 6 * 2**20
    assert all(target.startswith("#") for target in found.loads)
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & set(found.tags)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in found.policy


def test_policy_names_exactly_the_scripts_of_the_page(page: str) -> None:
    found = Page(page)
    digests = [hashlib.sha256(text.encode()).digest() for text in found.scripts[1:]]
    named = re.findall(r"'sha256-([^']+)'", found.policy)
    assert named == [base64.b64encode(digest).decode() for digest in digests]
    assert len(named) == 5
    assert "script-src 'unsafe-inline'" not in found.policy


def test_text_from_outside_stays_text(make_report: Make, make_samples: Make, metrics: dict[str, Any]) -> None:
    training, scores = metrics["training"], metrics["extrapolation"]
    training[EVIL] = training.pop("extrapolated")
    scores[EVIL] = scores.pop("tdds")
    scores[EVIL]["methods"][EVIL] = scores[EVIL]["methods"].pop("knn")
    metrics["dataset"] = {"name": EVIL, "n": 5, "fingerprint": EVIL}
    score = np.arange(40.0)
    scatter = {
        EVIL: {EVIL: {"predicted": score, "truth": score, "kind": "oracle", "labels": np.array([EVIL] * 40)}}
    }
    samples = dataclasses.replace(
        make_samples(), class_names=(EVIL,) * 10, kept={EVIL: make_samples().kept["extrapolated"]}
    )
    page = render(
        make_report(
            metrics=metrics,
            ledger={EVIL: {"seconds": 1.0}},
            config_yaml=EVIL,
            provenance={EVIL: {EVIL: EVIL}, "faults": [EVIL], "commands": [EVIL]},
            scatter=scatter,
            map=samples,
            name=EVIL,
        )
    )
    found = Page(page)
    assert len(found.scripts) == 6
    assert "alert(1)" not in "".join(found.scripts[1:])
    assert "<script>alert" not in page
    assert found.tags.count("b") == 0
    assert found.text.count(EVIL) > 15
    data = data_of(page)
    assert data["samples"]["classes"] == [EVIL] * 10
    shown = data["trust"][EVIL][EVIL]["bias"][0]["name"]
    assert shown == EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    names = json.dumps(data["figures"])
    assert "<script>" not in names
    assert "&lt;script&gt;" in names


def test_fifty_thousand_samples_fit_in_fifteen_mib(
    make_report: Make, make_samples: Make, make_scatter: Make
) -> None:
    scatter = {f"score {i}": methods for i in range(3) for methods in make_scatter(40_000).values()}
    page = render(make_report(map=make_samples(50_000), scatter=scatter))
    assert len(page.encode()) < 15 * 2**20
    drawn = [
        method["predicted"]["b"] for score in data_of(page)["trust"].values() for method in score.values()
    ]
    assert len(drawn) == 9
    assert sum(len(base64.b64decode(column)) // 2 for column in drawn) <= 400_000


def test_renders_a_run_of_which_little_is_known() -> None:
    bare = render(ReportInput(metrics={}))
    assert "No verdict is possible" in Page(bare).text
    one = {"training": {"infobatch": {"metric": "accuracy", "value": [0.5], "seconds": 3.0}}}
    text = Page(render(ReportInput(metrics=one))).text
    assert "infobatch" in text
    assert "50.00" in text
    undefined = {"n": 3, "spearman": None, "spearman_ci95": None, "reason": "constant scores"}
    scores = {"s": {"ceiling": None, "methods": {"mean": {"heldout": undefined, "oracle": None}}}}
    assert "constant scores" in render(ReportInput(metrics={"extrapolation": scores}))


def test_rendering_is_deterministic(make_report: Make) -> None:
    assert render(make_report()) == render(make_report())


def test_compare_puts_only_like_beside_like(
    make_report: Make, metrics: dict[str, Any], forecast: dict[str, Any]
) -> None:
    pages = compare([make_report(), make_report(), make_report(metrics=forecast, name="traffic")])
    found = Page(pages)
    figures = data_of(pages)["figures"]
    assert [len(figure["data"]) for figure in figures.values()] == [2, 1]
    assert [trace["name"] for trace in figures["runs-0"]["data"]] == ["digits", "digits (2)"]
    assert "MAE" in figures["runs-1"]["layout"]["yaxis"]["title"]["text"]
    assert found.text.count("Train shorter on all data") == 3
    assert "seed_entropy" in found.text
    assert all(target.startswith("#") for target in found.loads)
    with pytest.raises(InputError, match="at least one run"):
        compare([])


def test_a_sample_map_refuses_columns_of_other_lengths(windows: SampleMap) -> None:
    with pytest.raises(InputError, match=r"2000 ids but 3 scores of 'loss'"):
        dataclasses.replace(windows, scores={"loss": np.zeros(3)})
    with pytest.raises(InputError, match=r"hour ranges from .* but must lie in 0\.\.23"):
        dataclasses.replace(windows, hour=np.full(2000, 24))
