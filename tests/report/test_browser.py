"""The page in a browser: every plot is drawn, the controls work, and nothing is loaded from the network."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphprune.report.compare import compare
from graphprune.report.html import render
from graphprune.report.samples import SampleMap

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LABEL = "<script>document.title = 'owned'</script>"

# Position of the first kept sample on the screen, from the arrays of the page.
POINT = """() => {
  const all = GP.data.samples, x = GP.unpack(all.x), y = GP.unpack(all.y);
  const values = GP.unpack(Object.values(all.scores)[0]);
  const row = values.indexOf(Math.max(...values));
  document.getElementById("map-plot").scrollIntoView({block: "center"});
  const at = document.getElementById("map-plot").getBoundingClientRect(), pad = 0.03;
  const place = (v, {lo, hi}) => (v - lo + pad * (hi - lo)) / ((1 + 2 * pad) * (hi - lo));
  return [at.left + at.width * place(x[row], all.x), at.bottom - at.height * place(y[row], all.y)];
}"""
# Number of colored pixels of the map; removed samples are gray.
COLORED = """() => {
  const canvas = document.querySelector("#map-plot canvas");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const rgb = data.slice(i, i + 3);
    if (data[i + 3] && Math.max(...rgb) - Math.min(...rgb) > 40) count++;
  }
  return count;
}"""
PAINTINGS = """async () => {
  const slider = document.getElementById("map-keep"), put = CanvasRenderingContext2D.prototype.putImageData;
  let count = 0;
  CanvasRenderingContext2D.prototype.putImageData = function (...given) { count++; return put.apply(this, given); };
  for (let keep = 50; keep < 70; keep++) { slider.value = keep; slider.dispatchEvent(new Event("input")); }
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return count;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on the path")
    with playwright.sync_playwright() as tool:
        flags = ["--no-sandbox", "--enable-unsafe-swiftshader"]
        running = tool.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens HTML in a new tab; at the end no error and no request beyond the file may have been seen."""
    seen: list[str] = []
    contexts = []

    def open_page(html: str, **options: Any) -> Any:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(**options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: seen.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: seen.append(str(error)))
        tab.on(
            "request",
            lambda request: None if request.url[:5] in ("file:", "data:") else seen.append(request.url),
        )
        tab.goto(path.as_uri())
        tab.wait_for_function(
            "[...document.querySelectorAll('.plot')].every(p => p.offsetParent === null || p._fullLayout)"
        )
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []


def test_plots_draw_and_controls_work(visit: Callable[..., Any], make_report: Callable[..., Any]) -> None:
    tab = visit(render(make_report()))
    assert tab.locator(".plot .main-svg").count() >= 8
    assert tab.locator("#trust-scatter .main-svg").count() > 0
    assert "719 of 1,437 kept (50.0 %)" in tab.inner_text("#map-counts")
    tab.locator("#map-keep").fill("10")
    tab.wait_for_function("document.getElementById('map-counts').textContent.startsWith('144 of 1,437')")
    tab.select_option("#map-rule", "=extrapolated")
    assert "718 of 1,437" in tab.inner_text("#map-counts")
    assert not tab.locator("#map-slider").is_visible()
    tab.select_option("#trust-method", "mlp")
    assert "1,078 samples." in tab.inner_text("#trust-note")
    tab.select_option("#map-rule", "")
    at_first_kept = tab.evaluate(POINT)
    tab.mouse.move(*at_first_kept)
    assert "kept\nyes" in tab.inner_text("#map-card")
    assert tab.locator("#map-plot .ring").is_visible()
    assert tab.locator("#map-galleries .picture").count() == 36


def test_the_map_shows_kept_samples_and_zooms(
    visit: Callable[..., Any], make_report: Callable[..., Any]
) -> None:
    tab = visit(render(make_report()))
    colored = []
    for keep in ("0", "50", "100"):
        tab.locator("#map-keep").fill(keep)
        tab.wait_for_function(f"document.getElementById('map-keep-text').textContent === '{keep} %'")
        tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        colored.append(tab.evaluate(COLORED))
    assert colored[0] < 0.1 * colored[1] < 0.1 * colored[2]
    assert colored[1] > 5000
    whole = tab.evaluate("document.querySelector('#map-plot canvas').toDataURL()")
    box = tab.locator("#map-plot").bounding_box()
    tab.mouse.move(box["x"] + 100, box["y"] + 100)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 250, box["y"] + 250)
    tab.mouse.up()
    assert tab.evaluate("document.querySelector('#map-plot canvas').toDataURL()") != whole
    tab.dblclick("#map-plot", position={"x": 10, "y": 10})
    assert tab.evaluate("document.querySelector('#map-plot canvas').toDataURL()") == whole


def test_fifty_thousand_samples_fit_and_many_moves_of_the_slider_are_one_painting(
    visit: Callable[..., Any],
    make_report: Callable[..., Any],
    make_samples: Callable[..., SampleMap],
    make_scatter: Callable[..., dict[str, Any]],
) -> None:
    html = render(make_report(map=make_samples(50_000), scatter=make_scatter(50_000)))
    assert len(html.encode()) < 15e6
    tab = visit(html)
    painted = tab.evaluate(PAINTINGS)
    assert painted == 1
    assert tab.inner_text("#map-counts").startswith("34,500 of 50,000")


def test_follows_the_theme_and_its_button(visit: Callable[..., Any], make_report: Callable[..., Any]) -> None:
    tab = visit(render(make_report(map=None, scatter={})), color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    text = "document.querySelector('[data-figure]')._fullLayout.font.color"
    dark = tab.evaluate(background), tab.evaluate(text)
    tab.click("#theme")
    light = tab.evaluate(background), tab.evaluate(text)
    assert dark == ("rgb(20, 24, 27)", "#e5e9eb")
    assert light == ("rgb(252, 252, 250)", "#1c2226")


def test_fits_phone_and_desktop(
    visit: Callable[..., Any], make_report: Callable[..., Any], windows: SampleMap
) -> None:
    tab = visit(render(make_report(map=windows)), viewport={"width": 360, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    assert tab.locator("#map-heat .main-svg").count() > 0
    assert tab.locator("#map-galleries svg.picture").count() == 24
    tab.set_viewport_size({"width": 1200, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") == 1200


def test_tables_of_predictors_show_all_their_columns_on_a_desk(
    visit: Callable[..., Any], make_report: Callable[..., Any], metrics: dict[str, Any]
) -> None:
    score = metrics["extrapolation"]["tdds"]
    worse = {
        **score["methods"]["knn"]["oracle"],
        "spearman": -0.328,
        "spearman_ci95": [-0.47, -0.19],
        "mse": 0.00343,
    }
    worse |= {"pearson": -0.251, "kendall": -0.24}
    score["methods"]["label_disagreement"] = {**score["methods"]["knn"], "oracle": worse, "control": True}
    tab = visit(render(make_report(metrics=metrics)), viewport={"width": 1200, "height": 800})
    tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    rooms = tab.evaluate(
        "[...document.querySelectorAll('.agreement')].map(({parentElement: p}) => [p.scrollWidth, p.clientWidth])"
    )
    assert len(rooms) == 4
    assert all(needed <= given for needed, given in rooms)
    assert "−34.3 % −0.251" in " ".join(tab.locator(".agreement").nth(2).inner_text().split())


def test_labels_are_shown_as_text(
    visit: Callable[..., Any], make_report: Callable[..., Any], metrics: dict[str, Any]
) -> None:
    metrics["training"][LABEL] = metrics["training"].pop("extrapolated")
    samples = dataclasses.replace(make_report().map, class_names=(LABEL,) * 10)
    tab = visit(render(make_report(metrics=metrics, map=samples, name=LABEL)))
    assert tab.title() == f"{LABEL} · graphprune"
    assert LABEL in tab.inner_text("#map-classes")
    assert LABEL in tab.locator("[data-figure=arms] text").all_text_contents()


def test_compare_draws(visit: Callable[..., Any], make_report: Callable[..., Any]) -> None:
    tab = visit(compare([make_report(), make_report(name="other")]))
    assert tab.locator(".plot .main-svg").count() > 0
