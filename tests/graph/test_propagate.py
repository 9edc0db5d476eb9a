"""The aggregation kernel against dense matrices and against PyTorch Geometric."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphprune.graph.knn import KNNGraph
from graphprune.graph.propagate import Propagator, gcn_table, locality_order, mean_table, reorder


def dense(indices: Tensor, weights: Tensor, sources: int) -> Tensor:
    matrix = torch.zeros(len(indices), sources, dtype=torch.float64)
    for i, (row, w) in enumerate(zip(indices.tolist(), weights.tolist(), strict=True)):
        for j, one in zip(row, w, strict=True):
            matrix[i, j] += one
    return matrix


@settings(max_examples=40, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 12)] * 4), seed=st.integers(0, 99))
def test_product_and_gradient_equal_dense(shape: tuple[int, int, int, int], seed: int) -> None:
    n, sources, k, f = shape
    g = torch.Generator().manual_seed(seed)
    indices = torch.randint(sources, (n, k), generator=g)
    weights, x = torch.randn(n, k, generator=g), torch.randn(sources, f, generator=g, requires_grad=True)
    matrix = dense(indices, weights, sources)
    y = Propagator(indices, weights, sources=sources)(x)
    upstream = torch.randn(n, f, generator=g)
    y.backward(upstream)
    torch.testing.assert_close(y.double(), matrix @ x.double(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x.grad.double(), matrix.T @ upstream.double(), rtol=1e-5, atol=1e-5)


def test_bfloat16_rounds_only() -> None:
    g = torch.Generator().manual_seed(0)
    indices, weights = torch.randint(50, (50, 7), generator=g), torch.rand(50, 7, generator=g)
    x = torch.randn(50, 16, generator=g)
    y = Propagator(indices, weights)(x.bfloat16())
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), dense(indices, weights, 50).float() @ x, rtol=0.02, atol=0.05)


def test_columns_taken_in_parts_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(0)
    step = Propagator(torch.randint(60, (50, 7), generator=g), torch.rand(50, 7, generator=g), sources=60)
    x, y = torch.randn(60, 100, generator=g), torch.randn(50, 100, generator=g)
    whole = step.forward(x), step.transposed(y), step.forward(x[:, ::2])
    monkeypatch.setattr("graphprune.graph.propagate._CACHED", 4096)
    parts = step.forward(x), step.transposed(y), step.forward(x[:, ::2])
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


@pytest.fixture(scope="module")
def graph() -> KNNGraph:
    return KNNGraph.build(torch.randn(80, 6, generator=torch.Generator().manual_seed(0)), 5)


def test_layer_equals_gcnconv(graph: KNNGraph) -> None:
    from torch_geometric.nn import GCNConv

    torch.manual_seed(0)
    layer = GCNConv(6, 3)
    data = graph.to_pyg()
    x = data.x.clone().requires_grad_()
    theirs = layer(x, data.edge_index, data.edge_weight)
    theirs.square().sum().backward()
    ours_x = data.x.clone().requires_grad_()
    step = Propagator(*gcn_table(graph.indices, graph.link_weights()))
    ours = step(ours_x @ layer.lin.weight.detach().T) + layer.bias
    ours.square().sum().backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours_x.grad, x.grad, rtol=1e-5, atol=1e-6)


def test_locality_order_permutes_samples_and_keeps_values(graph: KNNGraph) -> None:
    order = locality_order(graph.indices)
    assert sorted(order.tolist()) == list(range(80))
    x = torch.randn(80, 4, generator=torch.Generator().manual_seed(1))
    plain = Propagator(graph.indices, graph.link_weights())(x)
    moved = Propagator(*reorder(graph.indices, graph.link_weights(), order))(x[order])
    torch.testing.assert_close(moved, plain[order])
    place = torch.argsort(order)

    def spread(where: Tensor) -> float:
        return float((where[graph.indices.long()] - where[:, None]).abs().float().mean())

    assert spread(place) < spread(torch.arange(80))


def test_mean_table_averages_and_every_sample_has_a_value() -> None:
    indices = torch.tensor([[1, 2], [1, 1], [0, 1]])
    weights = torch.tensor([[1.0, 3.0], [0.0, 0.0], [2.0, 2.0]])
    y = Propagator(*mean_table(indices, weights))(torch.tensor([[4.0], [8.0], [16.0]]))
    assert y.flatten().tolist() == [14.0, 8.0, 6.0]
