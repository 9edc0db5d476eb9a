"""Every python and bash block of the docs runs, page by page from top to bottom; every method has a page."""

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from graphprune.registry import KINDS, entries

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
# Every build generates the page of all keys.
PAGES = sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "config.md")
# Languages of blocks that are not run: terminal sessions, YAML, output.
READ_ONLY = {"console", "yaml", "text", "json"}


def runnable(page: Path) -> list[tuple[str, str]]:
    return [(kind, text) for kind, text in BLOCK.findall(page.read_text()) if kind not in READ_ONLY]


@pytest.mark.parametrize("page", [p for p in PAGES if runnable(p)], ids=lambda p: p.stem)
def test_the_blocks_of_a_page_run(page, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.setattr("graphprune.jobs.plan.calibrate._TARGET_SECONDS", 0.02)
    names = {}
    for kind, text in runnable(page):
        assert kind in ("python", "bash"), (
            f"{page.name}: a block of language {kind} is neither run nor listed as read-only"
        )
        if kind == "python":
            exec(compile(text, str(page), "exec"), names)
            continue
        for line in text.replace("\\\n", " ").splitlines():
            line, _, out = line.partition(" > ")
            program, *arguments = shlex.split(line)
            assert program == "graphprune", f"{page.name}: only graphprune's own commands are run: {line}"
            code, said, error = run(*arguments)
            assert code == 0, f"{line}\n{error}"
            if out:
                assert said.strip()
                (tmp_path / out.strip()).write_text(said)
    # In a reader's first job the models learn.
    for path in (tmp_path / "runs").glob("*/metrics.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        share, full = metrics["dataset"]["majority_share"], metrics["training"]["full"]["mean"]
        assert full > share + 0.3, f"{page.name}: {path.parent.name} is near chance"
        assert (metrics["verdict"]["learned"], metrics["verdict"]["seeds_learned"]) == (True, True)


def test_links_and_pictures_of_the_pages_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith(("http", "methods/", "config.md")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.fixture
def generated(tmp_path, monkeypatch):
    """The folder of pages that a build of the site generates."""
    pytest.importorskip("latex2mathml")
    monkeypatch.syspath_prepend(ROOT / "docs")
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    monkeypatch.setattr(sys, "argv", ["generate.py", str(tmp_path / "methods")])
    generate.main()
    return tmp_path


def test_every_method_has_a_page_with_its_source_and_formula(generated):
    index = (generated / "methods/index.md").read_text()
    for kind in KINDS:
        for name, entry in entries(kind).items():
            text = (generated / f"methods/{kind}/{name}.md").read_text()
            assert entry.source in text
            assert f"]({kind}/{name}.md)" in index
            assert ":math:" not in text
            assert ".. math" not in text
    assert "<math" in (generated / "methods/score/dynamic_uncertainty.md").read_text()
    assert "larger values are kept" in (generated / "methods/score/aum.md").read_text()


def test_every_key_of_a_config_has_a_description_and_is_on_the_page(generated):
    from graphprune.config.schema import config_schema

    page, schema = (generated / "config.md").read_text(), config_schema()
    sections = [schema, *(s for s in schema["$defs"].values() if s.get("additionalProperties") is False)]
    assert len(sections) > 15
    for section in sections:
        for key, value in section["properties"].items():
            assert f"| `{key}` | " in page
            assert value.get("description") or "const" in value, (
                f"{section['title']}.{key} has no description"
            )
    described = schema["$defs"]["GraphConfig"]["properties"]["k"]["description"]
    assert f"| `k` | integer ≥ 1, ≤ 1,000,000,000 | `20` | {described} |" in page


def test_the_docs_and_the_readme_name_commands_that_exist():
    from graphprune import cli

    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    texts = [page.read_text() for page in (*PAGES, ROOT / "README.md")]
    named = {
        name for text in texts for name in re.findall(r"^(?:\$ )?graphprune (\w+)", text, flags=re.MULTILINE)
    }
    assert named <= known


def test_the_stages_of_the_architecture_page_are_those_of_the_list():
    """`python docs/architecture_page.py` writes both anew."""
    spec = importlib.util.spec_from_file_location("architecture_page", ROOT / "docs/architecture_page.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found, page = module.rows(), ROOT / "docs/architecture.md"
    assert page.read_text(encoding="utf-8") == module.written(page.read_text(encoding="utf-8"), found)
    assert (ROOT / "docs/images/stages.svg").read_text(encoding="utf-8") == module.drawing(found)
