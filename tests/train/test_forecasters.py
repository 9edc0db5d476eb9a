"""Graph WaveNet and STAEformer against textbook forms of their layers, and the contract of all forecasters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from graphprune.data.base import TaskInfo
from graphprune.embed.module import FeatureTap
from graphprune.errors import InputError
from graphprune.models.graph_wavenet import GraphWaveNet
from graphprune.models.staeformer import STAEformer, _Block
from graphprune.registry import get

FORECASTERS = ("stid", "graph_wavenet", "staeformer")
SMALL = {
    "stid": {"width": 8, "embedding": 4},
    "graph_wavenet": {"channels": 8, "skip": 12, "end": 16},
    "staeformer": {"width": 4, "adaptive": 8, "feed_forward": 16},
}


def task(nodes=5, window=12, horizon=3, *, links=True):
    strengths = np.random.default_rng(0).random((nodes, nodes)).astype(np.float32)
    return TaskInfo(
        kind="forecasting",
        input_shape=(window, nodes, 4),
        horizon=horizon,
        steps_per_day=24,
        channels=("v", "observed", "time_of_day", "day_of_week"),
        n_sensors=nodes,
        links=strengths * (1 - np.eye(nodes, dtype=np.float32)) if links else None,
    )


def inputs(info, batch=6):
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(batch, *info.input_shape, generator=draws)
    x[..., 1] = torch.rand(x.shape[:3], generator=draws) > 0.3
    x[..., 0] *= x[..., 1]
    start = torch.randint(0, 168, (batch, 1), generator=draws) + torch.arange(info.input_shape[0])
    x[..., 2] = (start % 24 / 24)[:, :, None]
    x[..., 3] = (start // 24 % 7 / 7)[:, :, None]
    return x


def build(name, info, seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get("model", name).for_task(info, **{**SMALL[name], **options})


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("window", [3, 12, 20])
def test_shapes_and_embedding(name, window):
    info = task(window=window)
    model = build(name, info)
    tap = FeatureTap(model)
    assert model(inputs(info)).shape == (6, 3, 5)
    assert tap.features.shape[0] == 6
    assert tap.features.dim() == 2
    # The head is the last linear layer: its input is the embedding.
    assert tap.features.shape[1] == model.head.in_features


@pytest.mark.parametrize("name", FORECASTERS)
def test_they_learn_a_rule_that_needs_the_past(name):
    info = task(window=6, horizon=2)
    x = inputs(info, 64)
    x[..., 1] = 1
    y = torch.stack([x[:, -2, :, 0], x[:, -3, :, 0] * 0.5], dim=1)
    model = build(name, info, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    before = float((model(x).detach() - y).abs().mean())
    for _ in range(60):
        loss = (model(x) - y).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(p.grad is not None for p in model.parameters())
    assert float((model(x).detach() - y).abs().mean()) < 0.5 * before


@pytest.mark.parametrize("name", FORECASTERS)
def test_evaluation_does_not_depend_on_the_batch(name):
    info = task()
    model = build(name, info).eval()
    x = inputs(info)
    torch.testing.assert_close(model(x)[2:4], model(x[2:4]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FORECASTERS)
def test_misspelled_options_and_images_are_rejected(name):
    with pytest.raises(InputError, match="did you mean 'dropout'"):
        get("model", name).for_task(task(), dropuot=0.1)
    with pytest.raises(InputError, match="forecasts windows of sensors"):
        get("model", name).for_task(TaskInfo("classification", (1, 8, 8), num_classes=10))


@pytest.mark.parametrize("name", ["graph_wavenet", "staeformer"])
def test_network_models_reject_single_sensors(name):
    with pytest.raises(InputError, match="granularity: network"):
        get("model", name).for_task(replace(task(), input_shape=(12, 1, 4)))


def slow_graph_wavenet(model: GraphWaveNet, x):
    """The same network as convolutions over ``[batch, channel, node, time]``, einsum diffusion."""

    def pointwise(layer, h):
        return nn.functional.conv2d(h, layer.weight[:, :, None, None], layer.bias)

    h = x.permute(0, 3, 2, 1)
    h = pointwise(model.start, h)
    h = nn.functional.pad(h, (model.reach - h.shape[3], 0))
    adaptive = torch.softmax(torch.relu(model.source @ model.sink.T), dim=1)
    skip = 0
    for layer, dilation in enumerate(model.dilations):
        weight, bias = model.temporal[layer].weight, model.temporal[layer].bias
        kernel = torch.stack(weight.chunk(2, dim=1), dim=-1)[:, :, None]
        both = nn.functional.conv2d(h, kernel, bias, dilation=(1, dilation))
        a, b = both.chunk(2, dim=1)
        u = torch.tanh(a) * torch.sigmoid(b)
        s = pointwise(model.skips[layer], u)
        skip = s + (skip[..., -s.shape[3] :] if layer else 0)
        if layer == len(model.dilations) - 1:
            break
        parts = [u]
        for graph in [*model.supports, adaptive]:
            for power in (1, 2):
                parts.append(torch.einsum("wv,bcvt->bcwt", torch.matrix_power(graph, power), u))
        h = pointwise(model.mix[layer], torch.cat(parts, dim=1)) + h[..., dilation:]
        norm = model.norms[layer]
        h = nn.functional.batch_norm(h, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    out = pointwise(model.head, torch.relu(pointwise(model.end, torch.relu(skip))))
    return out[..., -1]


@pytest.mark.parametrize("links", [True, False])
def test_graph_wavenet_equals_its_convolutional_form(links):
    info = task(links=links)
    model = build("graph_wavenet", info, residual=False)
    x = inputs(info)
    model(x)
    model.eval()
    torch.testing.assert_close(model(x), slow_graph_wavenet(model, x), rtol=1e-4, atol=1e-5)
    assert len(model.supports) == (2 if links else 0)
    if links:
        expected = info.links / info.links.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.supports[0], expected, rtol=1e-5)
        expected = info.links.T / info.links.sum(axis=0)[:, None]
        np.testing.assert_allclose(model.supports[1], expected, rtol=1e-5)


def test_staeformer_block_equals_torchs_encoder_layer():
    block = _Block(16, 4, 32, 0.0)
    layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(block.project.weight)
        layer.self_attn.in_proj_bias.copy_(block.project.bias)
        layer.self_attn.out_proj.load_state_dict(block.out.state_dict())
        layer.linear1.load_state_dict(block.perceptron[0].state_dict())
        layer.linear2.load_state_dict(block.perceptron[2].state_dict())
    x = torch.randn(3, 5, 7, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), layer(x.flatten(0, 1)).view_as(x), rtol=1e-4, atol=1e-5)


def test_staeformer_mixes_time_and_nodes():
    info = task()
    model = build("staeformer", info, residual=False).eval()
    x = inputs(info, 1)
    changed = x.clone()
    changed[0, 0, 4, 0] += 5
    assert (model(x) - model(changed)).abs().amax(dim=1).min() > 1e-6
    with pytest.raises(InputError, match="not a multiple of heads"):
        STAEformer(info=info, width=4, adaptive=9)
