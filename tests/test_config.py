"""The configuration: inheritance, overrides, and faults in one sentence."""

import sys
import types
from pathlib import Path

import pytest

from graphprune.config_file import load_config, parse_config
from graphprune.errors import InputError
from graphprune.pipeline import check_names

MINIMAL = {"name": "x", "data": {"kind": "sklearn", "name": "digits"}}


def test_training_inherits_what_it_does_not_set():
    config = parse_config({**MINIMAL, "seed_training": {"lr": 0.5, "epochs": 7}, "training": {"epochs": 9}})
    assert (config.training.lr, config.training.epochs) == (0.5, 9)


def test_an_arm_goes_by_the_first_extrapolator_unless_it_names_one():
    arms = [{"name": "a", "score": "loss"}, {"name": "b", "score": "loss", "extrapolator": "knn"}]
    config = parse_config({**MINIMAL, "scores": ["loss"], "extrapolators": ["ridge", "knn"], "arms": arms})
    assert [arm.extrapolator for arm in config.arms] == ["ridge", "knn"]
    assert parse_config({**MINIMAL, "scores": ["loss"], "arms": arms}).arms[0].extrapolator == "auto"


@pytest.mark.parametrize(
    ("rule", "second", "message"),
    [
        ("beta", None, "arms: a: rule 'beta' needs a second_score"),
        ("top", "aum", "arms: a: rule 'top' reads one score; leave second_score out"),
    ],
)
def test_a_second_score_goes_with_a_rule_that_reads_it(rule, second, message):
    arms = [{"name": "a", "score": "loss", "rule": rule, "second_score": second}]
    with pytest.raises(InputError, match=message):
        check_names(parse_config({**MINIMAL, "scores": ["loss", "aum"], "arms": arms}))


def test_yaml_round_trip(tmp_path):
    config = parse_config({**MINIMAL, "scores": [{"name": "tdds", "window": 4}], "oracle": {"runs": 2}})
    path = tmp_path / "c.yaml"
    path.write_text(config.to_yaml())
    assert load_config(path) == config


def test_overrides_reach_sections_and_list_items(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("name: x\ndata: {kind: sklearn}\narms: [{name: a, score: dynamic_uncertainty}]\n")
    config = load_config(
        path, ["seeds.fraction=0.1", "arms.0.keep=0.25", "oracle.runs=3", "scores=[dynamic_uncertainty]"]
    )
    assert config.seeds.fraction == 0.1
    assert config.arms[0].keep == 0.25
    assert config.oracle is not None
    assert config.oracle.runs == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 1}, "unknown key 'sed'; did you mean 'seed'"),
        ({"seeds": {"fracton": 0.1}}, "unknown key 'seeds.fracton'; did you mean 'fraction'"),
        ({"data": {"kind": "sklearn", "nme": "digits"}}, "unknown key 'data.nme'; did you mean 'name'"),
        ({"data": {"kind": "sklern"}}, "data"),
        ({"data": {"kind": "npz"}}, "key 'data.path' is missing"),
        ({"data": {"kind": "sensors"}}, "give either path or name"),
        ({"seeds": {"fraction": 1.5}}, "seeds.fraction: .* less than 1 .*1.5"),
        ({"graph": {"k": "many"}}, "graph.k: .* integer .*many"),
        ({"scores": []}, "scores: .*at least 1"),
        ({"scores": ["loss", "loss"]}, "'loss' stands more than once"),
        ({"arms": [{"name": "full", "score": "dynamic_uncertainty"}]}, "'full' is the name of a baseline"),
        ({"arms": [{"name": "a", "score": "tdds"}]}, "arms.0.score: 'tdds' is not computed"),
        (
            {"arms": [{"name": "a", "score": "dynamic_uncertainty", "second_score": "aum"}]},
            "arms.0.second_score: 'aum' is not computed; add it to scores or use one of dynamic_uncertainty",
        ),
        ({"arms": [{"name": "../x", "score": "dynamic_uncertainty"}]}, "arms.0.name"),
        ({"name": "a/b"}, "name: "),
        ({"embedding": {"source": "file"}}, "source: file needs path"),
        ({"device": "tpu"}, "device: "),
    ],
)
def test_faults_are_one_sentence_that_names_the_key(change, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_config({**MINIMAL, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "keys and values"),
        ("", "keys and values"),
        ("\x00", "not valid YAML"),
    ],
)
def test_unreadable_files_are_refused_by_name(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("override", ["noequals", "=1", "arms.7.keep=1", "name.x.y=[", "arms.x=1"])
def test_bad_overrides_are_refused(tmp_path, override):
    path = tmp_path / "c.yaml"
    path.write_text("name: x\ndata: {kind: sklearn}\narms: [{name: a, score: dynamic_uncertainty}]\n")
    with pytest.raises(InputError):
        load_config(path, [override])


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[1].glob("configs/*.yaml")), ids=lambda p: p.name
)
def test_shipped_configs_are_valid_and_name_known_methods(path, monkeypatch):
    # Some name models of torchvision, which need not be installed for a config to be valid.
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    from graphprune.pipeline import check_names

    check_names(load_config(path))


@pytest.mark.parametrize("name", ["rs2", "infobatch"])
def test_the_training_s_sampler_does_not_take_an_arm_s_place(name):
    arms = [{"name": "infobatch", "sampler": {"name": "infobatch"}}]
    with pytest.raises(InputError, match=f"called '{name}' already"):
        parse_config({**MINIMAL, "arms": arms, "training": {"sampler": {"name": name}}})
