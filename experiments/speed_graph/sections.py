"""What is measured: our code beside its peers, on the same data in the same process."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.harness import PeakAnonymous, Runs, medians, ratios
from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.gcn import GraphConvolutions
from graphprune.extrapolate.sign import SIGN
from graphprune.graph.knn import KNNGraph
from graphprune.graph.propagate import Propagator, gcn_table, locality_order, reorder


def embeddings(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Rows like a network's penultimate layer: 100 clusters in 16 dimensions, mixed, rectified, with noise."""
    g = torch.Generator().manual_seed(seed)
    code = torch.randn(100, 16, generator=g)[torch.randint(100, (n,), generator=g)]
    code = code + 0.5 * torch.randn(n, 16, generator=g)
    return torch.relu(code @ torch.randn(16, d, generator=g) + 0.5 * torch.randn(n, d, generator=g))


def knn(repeats: int, scale: float) -> dict[str, Any]:
    """Exact search, 50,000 x 384, k = 20, against scikit-learn and FAISS; recall by distance."""
    import faiss
    from sklearn.neighbors import NearestNeighbors

    x = embeddings(int(50_000 * scale), 384)
    rows = x.numpy()

    def flat() -> None:
        index = faiss.IndexFlatL2(384)
        index.add(rows)
        index.search(rows, 21)

    found = medians(
        {
            "graphprune": lambda: KNNGraph.build(x, 20, backend="exact"),
            "scikit-learn brute": lambda: (
                NearestNeighbors(n_neighbors=20, algorithm="brute").fit(rows).kneighbors()
            ),
            "FAISS Flat": flat,
        },
        repeats,
    )
    truth = NearestNeighbors(n_neighbors=20, algorithm="brute").fit(rows.astype(np.float64)).kneighbors()[0]
    ours = KNNGraph.build(x, 20, backend="exact").distances.double().numpy()
    recall = float((ours <= truth[:, -1:] * (1 + 1e-6)).mean())
    return {
        "n": len(x),
        "runs": found,
        "recall": recall,
        **ratios(found, "graphprune", "scikit-learn brute", "FAISS Flat"),
    }


def ivf(repeats: int, scale: float) -> dict[str, Any]:
    """Approximate search, 1,000,000 x 64, k = 20, from a memory map; recall on 2,000 rows, in float64."""
    n = int(1_000_000 * scale)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "e.npy"
        np.save(path, embeddings(n, 64).numpy())
        x = np.load(path, mmap_mode="r")
        seconds, peaks = [], []
        for _ in range(repeats):
            with PeakAnonymous() as peak:
                start = time.perf_counter()
                graph = KNNGraph.build(x, 20, backend="ivf")
                seconds.append(time.perf_counter() - start)
            peaks.append(peak.mib)
        rows = np.sort(np.random.default_rng(7).permutation(n)[:2000])
        hits = 0
        for part in np.array_split(rows, 100):
            d = ((x[part].astype(np.float64) ** 2).sum(1)[:, None] - 2 * x[part].astype(np.float64) @ x.T) + (
                np.asarray(x, dtype=np.float64) ** 2
            ).sum(1)
            d[np.arange(len(part)), part] = np.inf
            limit = np.sqrt(np.partition(d, 19, axis=1)[:, 19])
            hits += int((graph.distances[part].double().numpy() <= limit[:, None] * (1 + 1e-6)).sum())
    return {
        "n": n,
        "median_s": statistics.median(seconds),
        "all_s": seconds,
        "recall_reported": graph.recall,
        "recall_checked": hits / (20 * len(rows)),
        "peak_anonymous_mib": max(peaks),
        "components": graph.components()[0],
    }


def aggregate(repeats: int, scale: float) -> dict[str, Any]:
    """One product with the neighbour table, 50,000 x 256, 28 neighbours; forward, and with backward."""
    from torch_geometric.nn import SimpleConv

    n = int(50_000 * scale)
    graph = KNNGraph.build(embeddings(n, 64), 28)
    weights, x = graph.link_weights(), torch.randn(n, 256, generator=torch.Generator().manual_seed(0))
    step, conv, data = Propagator(graph.indices, weights), SimpleConv(aggr="sum"), graph.to_pyg()
    csr = torch.sparse_csr_tensor(
        torch.arange(0, n * 28 + 1, 28), graph.indices.long().flatten(), weights.flatten(), (n, n)
    )
    order = locality_order(graph.indices)
    moved = Propagator(*reorder(graph.indices, weights, order))
    half, ordered = x.bfloat16(), x[order].bfloat16()

    def both(run: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> Callable[[], None]:
        def once() -> None:
            leaf = x.clone().requires_grad_()
            run(leaf).backward(x)

        return once

    with torch.no_grad():
        agree = float((step(x) - conv(x, data.edge_index, data.edge_weight)).abs().max())
        forward = medians(
            {
                "bag": lambda: step(x),
                "bag bfloat16": lambda: step(half),
                "bag bfloat16, Cuthill-McKee order": lambda: moved(ordered),
                "PyG edge_index": lambda: conv(x, data.edge_index, data.edge_weight),
                "torch CSR": lambda: csr @ x,
            },
            repeats,
        )
    backward = medians(
        {
            "bag": both(step, x),
            "bag bfloat16": both(step, half),
            "PyG edge_index": both(lambda h: conv(h, data.edge_index, data.edge_weight), x),
        },
        repeats,
    )
    return {
        "n": n,
        "largest_difference_to_PyG": agree,
        "forward": {"runs": forward, **ratios(forward, "bag", "PyG edge_index", "torch CSR")},
        "forward_backward": {"runs": backward, **ratios(backward, "bag", "PyG edge_index")},
    }


def gcn(repeats: int, scale: float) -> dict[str, Any]:
    """One training step over 50,000 nodes, 138-512-256-1 with 20 neighbours, loss on 10,000 seeds."""
    from torch_geometric.nn import GCNConv

    n = int(50_000 * scale)
    graph = KNNGraph.build(embeddings(n, 128), 20)
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 138, generator=g)
    seeds, target = torch.randperm(n, generator=g)[: n // 5], torch.randn(n // 5, generator=g)

    class Peer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = [(138, 512), (512, 256), (256, 1)]
            self.layers = torch.nn.ModuleList([GCNConv(a, b, cached=True) for a, b in sizes])

        def forward(self, h: torch.Tensor, *links: torch.Tensor) -> torch.Tensor:
            for layer in self.layers[:-1]:
                h = torch.nn.functional.dropout(torch.relu(layer(h, *links)), 0.5, self.training)
            return self.layers[-1](h, *links).squeeze(1)

    def trainer(
        network: torch.nn.Module, run: Callable[[], torch.Tensor], rows: torch.Tensor
    ) -> Callable[[], None]:
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

        def once() -> None:
            loss = torch.nn.functional.mse_loss(run()[rows], target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return once

    peer, data = Peer(), graph.to_pyg()
    order = locality_order(graph.indices)
    step = Propagator(*reorder(*gcn_table(graph.indices, graph.link_weights()), order))
    first, place = step.forward(x[order]), torch.argsort(order)
    networks = {
        dtype: GraphConvolutions((138, 512, 256, 1), 0.5) for dtype in (torch.float32, torch.bfloat16)
    }
    for network in networks.values():
        for ours, theirs in zip(network.weights, peer.layers, strict=True):
            ours.data = theirs.lin.weight.data.T.clone()
    with torch.no_grad():
        expected = peer.eval()(x, data.edge_index, data.edge_weight)
        agree = float((networks[torch.float32].eval()(first, [step] * 2)[place] - expected).abs().max())
    for network in (peer, *networks.values()):
        network.train()
    inputs = {dtype: first.to(dtype) for dtype in networks}

    def forward(dtype: torch.dtype) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, dtype == torch.bfloat16, cache_enabled=False):
            return networks[dtype](inputs[dtype], [step] * 2).to(torch.float32)

    runs: Runs = {
        f"graphprune {str(dtype).removeprefix('torch.')}": trainer(
            network, lambda dtype=dtype: forward(dtype), place[seeds]
        )
        for dtype, network in networks.items()
    }
    runs["PyG GCNConv"] = trainer(peer, lambda: peer(x, data.edge_index, data.edge_weight), seeds)
    found = medians(runs, repeats)
    names = list(runs)
    return {
        "n": n,
        "largest_difference_to_PyG": agree,
        "runs": found,
        **ratios(found, names[0], "PyG GCNConv"),
        **ratios(found, names[1], "PyG GCNConv"),
    }


def sign(repeats: int, scale: float) -> dict[str, Any]:
    """Features, fit on 10,000 seeds and prediction of 50,000 samples of 512 dimensions, all in."""
    n = int(50_000 * scale)
    x = embeddings(n, 512)
    labels = torch.randint(10, (n,), generator=torch.Generator().manual_seed(1))
    inputs = Inputs(KNNGraph.build(x, 20), x, labels=labels)
    scores = x[:, :32].mean(dim=1).numpy()
    seeds = np.sort(np.random.default_rng(0).permutation(n)[: n // 5])
    found = medians({"sign": lambda: SIGN().fit(inputs, seeds, scores[seeds]).predict()}, repeats)
    return {"n": n, "runs": found}


def curve(repeats: int, scale: float) -> dict[str, Any]:
    """Graph (auto backend, 64 dimensions) and SIGN with 10 % seeds over N, fitted exponents; one repeat."""
    rows = []
    for n in (int(n * scale) for n in (10_000, 50_000, 200_000, 1_000_000)):
        x = embeddings(n, 64)
        with PeakAnonymous() as peak:
            start = time.perf_counter()
            graph = KNNGraph.build(x, 20)
            built = time.perf_counter()
            seeds = np.arange(0, n, 10)
            SIGN().fit(Inputs(graph, x), seeds, x[seeds, 0].numpy()).predict()
            done = time.perf_counter()
        rows.append(
            {
                "n": n,
                "graph_s": built - start,
                "sign_s": done - built,
                "peak_anonymous_mib": peak.mib,
                "recall": graph.recall,
            }
        )
    logs = np.log([row["n"] for row in rows])
    keys = ("graph_s", "sign_s", "peak_anonymous_mib")
    exponents = {key: float(np.polyfit(logs, np.log([row[key] for row in rows]), 1)[0]) for key in keys}
    return {"rows": rows, "exponents": exponents}


SECTIONS = {section.__name__: section for section in (knn, ivf, aggregate, gcn, sign, curve)}
