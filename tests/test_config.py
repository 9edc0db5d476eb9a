"""The configuration: inheritance, overrides, and faults in one sentence."""

import math
import re
import sys
import types
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from graphprune.config.base import Strict
from graphprune.config.data import NpzData, SensorsData
from graphprune.config.job import Config
from graphprune.config.load import load_config, parse_config
from graphprune.config.yaml_file import dump_yaml, parse_yaml
from graphprune.data.base import Data, TaskInfo, TensorSamples
from graphprune.errors import InputError
from graphprune.jobs.checks import check_methods, check_names
from graphprune.jobs.pipeline import open_job, run
from graphprune.jobs.run_folder import RunFolder

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
        ("top", "aum", "arms: a: rule 'top' uses one score; remove second_score"),
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
        ({"data": {"kind": "sensors"}}, "give either path or name, not both"),
        ({"seeds": {"fraction": 1.5}}, "seeds.fraction: .* less than 1 .*1.5"),
        ({"graph": {"k": "many"}}, "graph.k: .* integer .*many"),
        ({"scores": []}, "scores: .*at least 1"),
        ({"scores": ["loss", "loss"]}, "duplicate entry 'loss'"),
        ({"arms": [{"name": "full", "score": "dynamic_uncertainty"}]}, "'full' is reserved for a baseline"),
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
    check_names(load_config(path))


@pytest.mark.parametrize("name", ["rs2", "infobatch"])
def test_the_training_s_sampler_does_not_take_an_arm_s_place(name):
    arms = [{"name": "infobatch", "sampler": {"name": "infobatch"}}]
    with pytest.raises(InputError, match=f"already called '{name}'"):
        parse_config({**MINIMAL, "arms": arms, "training": {"sampler": {"name": name}}})


NUMBERS = [0, -1, 1.5, math.nan, math.inf, 1e308, 10**20, "x", True, None, [], {}, [1]]


def leaves(model, prefix=()):
    """The keys of a section and of those inside it."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        parts = [inner, *get_args(inner)]
        section = next((part for part in parts if isinstance(part, type) and issubclass(part, Strict)), None)
        if section is None:
            yield (*prefix, name)
        else:
            yield (*prefix, name)
            yield from leaves(section, (*prefix, name))


KEYS = sorted(
    {*leaves(Config), *(("data", name) for name in (*NpzData.model_fields, *SensorsData.model_fields))}
)


def opened(raw):
    """The sentence that refuses a config, or the config that a job was opened with."""
    try:
        config = parse_config(raw)
        check_names(config)
        if config.data.kind == "object":
            check_methods(open_job(config, RunFolder(Path("nowhere")), data=small_data()))
    except InputError as error:
        return str(error), None
    return "", config


@pytest.mark.parametrize("section", sorted({path[0] for path in KEYS}))
def test_every_key_takes_edge_values_or_refuses_them_in_one_sentence(section):
    truths = {("controls",), ("training", "compile"), ("seed_training", "compile")}
    for path in (path for path in KEYS if path[0] == section):
        for value in NUMBERS:
            raw = {**MINIMAL, "data": {"kind": "object"}}
            if path[0] == "data" and len(path) > 1:
                kind = "npz" if path[1] in NpzData.model_fields else "sensors"
                raw["data"] = {"kind": kind, "path": "a"}
            node = raw
            for part in path[:-1]:
                node = node.setdefault(part, {})
            node[path[-1]] = value
            refused, config = opened(raw)
            assert len(refused) < 400
            assert "\n" not in refused
            assert not re.search(r"Error\b|<class|0x[0-9a-f]{6}", refused)
            if config is not None:
                assert (
                    isinstance(value, str) or value not in (10**20, 1e308) or path == ("data", "missing")
                ), path
                assert value is not True or path in truths, path
                assert parse_config(parse_yaml(config.to_yaml(), "x")) == config


def small_data():
    x = torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = np.arange(300) % 3
    info = TaskInfo("classification", (1, 8, 8), num_classes=3, class_names=("a", "b", "c"))
    return Data("small", TensorSamples(x, y), TensorSamples(x[:30], y[:30]), info)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nname: x\nseed: 2\n", "'seed' is set twice, on lines 1 and 3; keep one of them"),
        ("name: x\ntraining:\n  lr: 1\n  lr: 2\n", "'lr' is set twice, on lines 3 and 4"),
        ("name: {a: 1, a: 2}\n", "'a' is set twice, on line 1"),
        ("seed: !!int ''\n", "'' on line 1 is not a valid int"),
        ("name: x\nseed: !!float '_'\n", "'_' on line 2 is not a valid float"),
        ("seed: !!bool maybe\n", "'maybe' on line 1 is not a valid bool"),
        ("seed: !!timestamp foo\n", "not valid YAML"),
        ("seed: !!set {a}\n", "not valid YAML"),
        (f"seed: 0x{'f' * 5000}\n", "on line 1 is not a valid int"),
        (f"seed: {'9' * 5000}\n", "on line 1 is not a valid int"),
        ("<<: 3\n", "not valid YAML"),
        (
            "name: x\ndata: {kind: sklearn}\nseed: no\n",
            "seed: expected a number or a string but received true or false",
        ),
        ("name: x\ndata: {kind: sklearn}\nname2: no\n", "unknown key 'name2'"),
        ("name: x\ndata: {kind: sklearn, limit: yes}\n", "data.limit: expected a number or a string"),
        (
            "name: x\ndata: {kind: sklearn}\ntraining: {random_states: [0, yes]}\n",
            "training.random_states: expected a number",
        ),
        (
            "name: x\ndata: {kind: sklearn}\ntraining: {random_states: [0, 0]}\n",
            "duplicate entry 0 would count",
        ),
        (
            "name: x\ndata: {kind: sklearn}\ntraining: {batch_size: 99999999999999999999}\n",
            "training.batch_size: ",
        ),
        ("name: x\ndata: {kind: sklearn}\ntraining: {weight_decay: 1e308}\n", "training.weight_decay: "),
        ("name: x\ndata: {kind: sklearn}\nseeds: {background: 1e308}\n", "seeds.background: "),
        ("name: x\ndata: {kind: sklearn}\ntraining: {epochs: 1:30}\n", "training.epochs: .*received '1:30'"),
    ],
)
def test_yaml_is_refused_by_file_and_line(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E3", 1000.0), ("+.5e1", 5.0), ("1.", 1.0), ("-.inf", -math.inf), ("1_000", 1000),
        ("0x1F", 31), ("0o17", 15), ("017", "017"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("=", "="),
        ("on", True), ("NO", False), ("~", None), ("", None), ("1e", "1e"), ("٣", "٣"), ("'1e3'", "1e3"),
    ],
)  # fmt: skip
def test_plain_values_mean_what_they_look_like_and_come_back(text, value):
    (got,) = parse_yaml(f"[{text}]" if text else "[~]", "x")
    assert (type(got), got) == (type(value), value)
    assert parse_yaml(dump_yaml([value]), "x") == [value]


def test_numbers_with_an_exponent_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes("\ufeffname: größe\ndata: {kind: sklearn}\ntraining: {lr: 1e-3}\n".encode())
    config = load_config(path, ["seed_training.lr=2e-2"])
    assert (config.name, config.training.lr, config.seed_training.lr) == ("größe", 0.001, 0.02)


TEXT = """
name: x
data: {kind: sklearn}
model: mlp
extrapolators: [mean, knn, knn2]
seed_training: &shared {lr: 0.5}
training: *shared
"""


def test_an_override_changes_one_place_alone(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(TEXT.replace(", knn2", "").replace("[mean", "[ridge"))
    config = load_config(path, ["training.lr=0.1", "model.width=9", "extrapolators.1.k=7"])
    # An alias is a value of its own once it is set.
    assert (config.seed_training.lr, config.training.lr) == (0.5, 0.1)
    # A bare name becomes a method with options.
    assert config.model.model_dump() == {"name": "mlp", "width": 9}
    assert config.extrapolators[1].model_dump() == {"name": "knn", "k": 7}


def test_an_override_of_an_item_goes_by_position_and_not_by_value(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("name: x\ndata: {kind: sklearn, faults: [same, same]}\n")
    assert load_config(path, ["data.faults.1=other"]).data.faults == ("same", "other")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("arms.²=1", "'²' is not a position"),
        ("arms.٠=1", "'٠' is not a position"),
        ("arms.-1=1", "'-1' is not a position"),
        (f"arms.{'9' * 5000}=1", "is not a position"),
        ("arms..keep=1", "a part of the key is empty"),
        (".seed=1", "a part of the key is empty"),
        ("seed.=1", "a part of the key is empty"),
        ("seeds.fraction.x=1", "seeds.fraction is not a section"),
        ("seed={a: 1, a: 2}", "--set seed: 'a' is set twice"),
        ("seed=!!int ''", "--set seed: '' on line 1 is not a valid int"),
        ("seed=a=b", "seed: .*received 'a=b'"),
    ],
)
def test_bad_overrides_are_named(tmp_path, override, message):
    path = tmp_path / "c.yaml"
    path.write_text("name: x\ndata: {kind: sklearn}\nseeds: {fraction: .1}\narms: [{name: a, score: loss}]\n")
    with pytest.raises(InputError, match=message):
        load_config(path, [override])


def ruled(**rule):
    return {"arms": [{"name": "a", "score": "loss", "rule": rule}]}


def sampled(sampler):
    return {"arms": [{"name": "a", "sampler": sampler}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (ruled(name="ccs", drop_hardest=2), "drop_hardest must be"),
        (ruled(name="d2", k=30), "k is 30 but the graph has 20"),
        (ruled(name="semdedup", clusters=500), "clusters is 500 but there are 300 samples"),
        (sampled({"name": "rs2", "n": 5}), "'rs2': n is set by the job"),
        ({"arms": [{"name": "a", "score": "loss", "sampler": "seta"}]}, "takes no scores"),
        (sampled("st_prune"), "needs forecast errors, which only sensor data provide"),
        (sampled({"name": "infobatch", "delta": "x"}), "delta must be a number from 0 to 1"),
        (sampled({"name": "gstds", "embeddings": 5}), "embeddings must be a Tensor"),
        (sampled({"name": "gstds", "embeddings": {"model": "mlp"}}), "embeddings must be run or .weights: FILE"),
        ({"extrapolators": [{"name": "knn", "k": 1.5}]}, "k must be an integer"),
        ({"extrapolators": [{"name": "knn", "k": 49}]}, "'knn' needs 49 seed samples to fit"),
        ({"extrapolators": [{"name": "ensemble", "members": ["mean", "mien"]}]}, "unknown extrapolator 'mien'"),
        ({"extrapolators": [{"name": "ensemble", "members": ["mean", {"name": "knn", "k": 40}]}]}, "seeds are too few"),
        ({"extrapolators": ["seed_errors"]}, "needs seed_errors"),
        ({"extrapolators": ["short_run"], "short_run": None}, "needs short_run"),
        ({"paradigm": "forecasting"}, "does not fit data of kind"),
        ({"paradigm": {"name": "adversarial", "std": [1, 2, 3]}}, "std has 3 values for 1 channels"),
        ({"paradigm": {"name": "unsupervised", "embeddings": "none.npy"}}, "none.npy does not exist"),
        ({"paradigm": {"name": "unsupervised", "classes": 400}}, "300 samples cannot make 400 classes"),
        ({"scores": [{"name": "tdds", "rows_folder": "no/such"}]}, "no/such is not a folder"),
        ({"model": {"name": "small_cnn", "width": 0}}, "width must be an integer from 1 to 65,536"),
        ({"model": {"name": "small_cnn", "stages": 9}}, "too small for 9 stages"),
        ({"model": {"name": "resnet20", "in_channels": 3}}, "in_channels is set by the job"),
        ({"embedding": {"source": "reference", "weights": "w", "model": "mpl"}}, "did you mean 'mlp'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_trained(change, message, tmp_path):
    config = {**MINIMAL, "data": {"kind": "object"}, "scores": ["loss"], "extrapolators": ["mean"], **change}
    with pytest.raises(InputError, match=message) as caught:
        run(parse_config(config), tmp_path / "run", data=small_data())
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]
