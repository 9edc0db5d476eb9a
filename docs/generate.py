"""Generate one page for every registered method and one for all config keys: `python docs/generate.py [FOLDER]`.

Every build regenerates the pages, so they are not part of the repository.
"""

from __future__ import annotations

import argparse
import html
import inspect
import re
import shutil
from pathlib import Path

from config_page import config_page
from latex2mathml.converter import convert

from graphprune.options import shown
from graphprune.registry import DIRECTION, KINDS, Entry, chosen_options, entries

TITLES = {
    "score": "Scores",
    "extrapolator": "Extrapolators",
    "selection": "Selection rules",
    "sampler": "Samplers",
    "paradigm": "Training paradigms",
    "model": "Models",
}
STATUS = {
    "confirmed": "confirmed: the arithmetic was read in the authors' public code",
    "abstract": "abstract: only the published abstract confirms it; details are ours",
    "ours": "ours: graphprune's own formulation; no parity with a paper is claimed",
}
USE = {
    "score": "scores: [{{name: {name}}}]",
    "extrapolator": "extrapolators: [{{name: {name}}}]",
    "selection": "arms: [{{name: mine, score: ..., rule: {{name: {name}}}, keep: 0.5}}]",
    "sampler": "arms: [{{name: mine, sampler: {{name: {name}}}}}]",
    "model": "model: {{name: {name}}}",
}
SECTION = re.compile(r"^(Args|Shapes|Raises|Attributes|Returns|Example|Examples):$")
LABEL = re.compile(r"^(Cost|Reference|References|Source|Where we differ[^:]*|Differs[^:]*|Arguments[^:]*): ")
ENTRY = re.compile(r"^([\w`*, ]+): (.*)$")


def page(kind: str, entry: Entry) -> str:
    """Markdown page of one method."""
    head = [f"# {entry.name}", "", f"*{TITLES[kind]}* · `{entry.cls.__module__}.{entry.cls.__name__}`", ""]
    facts = [f"- **Source:** {entry.source}", f"- **Status:** {STATUS[entry.status]}"]
    if kind == "score":
        facts.append(f"- **Direction:** {DIRECTION}")
    if kind in USE:
        facts.append(f"- **In a config:** `{USE[kind].format(name=entry.name)}`")
    body = markdown(inspect.getdoc(entry.cls) or "")
    return "\n".join([*head, *facts, "", *body, "", *options(kind, entry), ""])


def options(kind: str, entry: Entry) -> list[str]:
    """Table of the options that a config can set, with accepted values and defaults."""
    rows = [
        f"| `{option.name}` | {option.takes} | {'required' if option.required else f'`{shown(option.default)}`'} |"
        for option in chosen_options(kind, entry)
    ]
    table = (
        ["| option | accepted values | default |", "|---|---|---|", *rows]
        if rows
        else ["This method has no options."]
    )
    return ["## Options", "", *table]


def markdown(text: str) -> list[str]:
    """Convert a docstring of this package to Markdown lines, with formulas as MathML."""
    lines, out, at, listing = text.splitlines(), [], 0, False
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith(".. math::"):
            parts = [line.removeprefix(".. math::")]
            while at < len(lines) and (not lines[at].strip() or lines[at].startswith(" ")):
                if not lines[at].strip() and "".join(parts).strip():
                    break
                parts.append(lines[at])
                at += 1
            out += ["", formula(" ".join(parts).strip(), "block"), ""]
        elif match := SECTION.match(line):
            out += ["", f"## {match[1]}", ""]
            listing = True
        elif line.startswith(">>>"):
            block = [line]
            while at < len(lines) and lines[at].strip():
                block.append(lines[at])
                at += 1
            out += ["", "```pycon", *block, "```", ""]
        elif listing and line.startswith("    "):
            item = line.strip()
            found = ENTRY.match(item) if not line.startswith("     ") else None
            out.append(
                f"- **{found[1].replace('`', '')}**: {inline(found[2])}" if found else f"  {inline(item)}"
            )
        else:
            listing = listing and not line.strip()
            out.append(LABEL.sub(lambda m: f"**{m[1]}.** ", inline(line)))
    return out


def inline(text: str) -> str:
    """Convert roles and double backticks to Markdown, and escape all other special characters."""
    parts = re.split(r"(:math:`[^`]+`|``.+?``|`[^`]+`)", text)
    for position, part in enumerate(parts):
        if part.startswith(":math:"):
            parts[position] = formula(part[7:-1], "inline")
        elif part.startswith("``"):
            parts[position] = f"`{part[2:-2]}`"
        elif not part.startswith("`"):
            parts[position] = re.sub(r"([<*_\[])", r"\\\1", part)
    return "".join(parts)


def formula(latex: str, display: str) -> str:
    """Convert LaTeX to MathML, which browsers render without a script; the LaTeX is its title."""
    drawn = convert(latex, display=display)
    return drawn.replace("<math ", f'<math title="{html.escape(latex, quote=True)}" ', 1)


def main() -> None:
    """Write ``methods/index.md``, ``methods/<kind>/<name>.md``, and ``config.md`` in the parent folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "methods")
    folder: Path = parser.parse_args().folder
    shutil.rmtree(folder, ignore_errors=True)
    index = [
        "# All methods",
        "",
        "Generated from the docstrings; `graphprune methods --json` prints the same list.",
        "",
    ]
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        index += [f"## {TITLES[kind]}", "", "| name | description | status |", "|---|---|---|"]
        for name, entry in entries(kind).items():
            (folder / kind / f"{name}.md").write_text(page(kind, entry), encoding="utf-8")
            first = inline(" ".join((inspect.getdoc(entry.cls) or "").split("\n\n")[0].split())).replace(
                "|", "\\|"
            )
            index.append(f"| [{name}]({kind}/{name}.md) | {first} | {entry.status} |")
        index.append("")
    (folder / "index.md").write_text("\n".join(index), encoding="utf-8")
    (folder.parent / "config.md").write_text(config_page(TITLES), encoding="utf-8")


if __name__ == "__main__":
    main()
