"""The README's Python blocks run as printed, and the package exports at most 25 names."""

import re
from pathlib import Path

import pytest

import graphprune

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_code_block_runs_and_its_model_learns(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    said = capsys.readouterr().out.strip()
    assert said
    if "result" in names:
        metrics = names["result"]
        assert metrics.verdict == metrics["verdict"]["sentence"]
        assert metrics.verdict in said
        assert (metrics["verdict"]["learned"], metrics["verdict"]["seeds_learned"]) == (True, True)
        reached = {name: arm["mean"] for name, arm in metrics["training"].items()}
        assert reached["full"] > 0.95
        assert min(reached.values()) > 0.85, "with two classes, chance level is one half"
    if "agreement" in names:
        assert names["agreement"].spearman > 0.5
    if "loader" in names:
        x, y = names["data"].tensors
        assert (names["model"](x).argmax(dim=1) == y).float().mean() > 0.9
        assert f"loss {names['loss'].item():.2f}" in said.splitlines()[-1]


def test_every_block_is_one_that_is_checked():
    words = ("result =", "agreement =", "loader =")
    assert [sum(word in block for block in BLOCKS) for word in words] == [1, 1, 1]


def test_the_readme_is_short_and_its_links_and_pictures_exist():
    assert len(README.split()) < 1350
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", README)
    assert any(target.startswith("docs/images/") for target in targets)
    missing = [
        t for t in targets if not t.startswith("http") and not (Path(__file__).parents[1] / t).exists()
    ]
    assert not missing


def test_every_exported_name_is_there_and_they_are_few():
    assert len(graphprune.__all__) <= 25
    assert all(getattr(graphprune, name) is not None for name in graphprune.__all__)
    with pytest.raises(AttributeError):
        _ = graphprune.absent
