"""The README's Python runs as it stands there, and the package shows at most 25 names."""

import re
from pathlib import Path

import pytest

import graphprune

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_code_block_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_every_exported_name_is_there_and_they_are_few():
    assert len(graphprune.__all__) <= 25
    assert all(getattr(graphprune, name) is not None for name in graphprune.__all__)
    with pytest.raises(AttributeError):
        _ = graphprune.absent
