"""The measurements of speed_samplers, one function each: they return plain numbers for JSON."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments.harness import median_seconds
from graphprune.graph.knn import KNNGraph
from graphprune.graph.laplacian import adjacency, components, laplacian, similarity
from graphprune.graph.spectral import fiedler_vector
from graphprune.models.resnet import ResNet18, ResNet20
from graphprune.registry import create
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.gstds import GSTDS

N = 1_280_000


def train_step(model: nn.Module, batch: int) -> Callable[[], None]:
    """One training step in bfloat16 and channels_last on random 32 x 32 images."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 3, 32, 32, generator=draws).contiguous(memory_format=torch.channels_last)
    y = torch.randint(10, (batch,), generator=draws)
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = cross_entropy(model(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def bookkeeping(repeats: int, scale: float) -> dict[str, Any]:
    """Seconds per step of weights, choose and update, beside a ResNet-18 step at batch 128."""
    n, steps, batch = int(N * scale), 200, 128
    step = median_seconds(train_step(ResNet18(in_channels=3, num_classes=10), batch), repeats)
    result: dict[str, Any] = {"n": n, "resnet18_step_seconds": step}
    # Twelve steps of twenty sensors are the errors of one window.
    errors = torch.rand(batch, 12, 20)
    for name, options in (("infobatch", {}), ("es", {"anneal": 0.0}), ("st_prune", {})):
        sampler = create("sampler", name, n=n, epochs=10, **options)
        size = sampler.candidate_batch_size(batch)
        losses = torch.rand(size)
        batches = torch.split(sampler.order, size)[:steps]

        def epoch(sampler: EpochSampler = sampler, batches: Any = batches, losses: Tensor = losses) -> None:
            for rows in batches:
                if sampler.selects_in_batch:
                    rows = rows[sampler.choose(rows, losses)]
                sampler.weights(rows)
                sampler.update(rows, losses[: len(rows)], errors if sampler.needs_errors else None)

        seconds = median_seconds(epoch, repeats) / len(batches)
        state = sum(value.nbytes for value in sampler.state_dict().values() if isinstance(value, Tensor))
        result[name] = {
            "seconds_per_step": seconds,
            "share_of_step": seconds / step,
            "state_bytes_per_sample": state / n,
        }
    return result


def order(repeats: int, scale: float) -> dict[str, Any]:
    """Seconds to choose the second epoch's order, all losses known (warm: half of them)."""
    n = int(N * scale)
    draws = torch.Generator().manual_seed(0)
    losses, scores = torch.rand(n, generator=draws), torch.rand(n, generator=draws)
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "infobatch": ("infobatch", {}),
        "infobatch, warm scores": ("infobatch", {"scores": scores}),
        "es": ("es", {}),
        "eswp": ("eswp", {"anneal": 0.0}),
        "st_prune": ("st_prune", {}),
        "seta": ("seta", {}),
        "rs2": ("rs2", {}),
        "score_weighted": ("score_weighted", {"scores": scores}),
    }
    result: dict[str, Any] = {"n": n}
    for label, (name, options) in cases.items():

        def choose(name: str = name, options: dict[str, Any] = options, label: str = label) -> float:
            sampler = create("sampler", name, n=n, epochs=10, **options)
            known = torch.arange(n)[:: 2 if "warm" in label else 1]
            if not sampler.selects_in_batch:
                sampler.update(known, losses[known], losses[known, None, None])
            start = time.perf_counter()
            sampler.set_epoch(1)
            return time.perf_counter() - start

        result[label] = statistics.median(choose() for _ in range(repeats))
    return result


def gstds(repeats: int, scale: float) -> dict[str, Any]:
    """Milliseconds to choose from a batch of 256 with 512 features, beside a full eigh and a ResNet-20 step."""
    draws = torch.Generator().manual_seed(0)
    groups = torch.randn(10, 512, generator=draws)
    features = torch.relu(
        torch.randn(256, 512, generator=draws) + groups[torch.randint(10, (256,), generator=draws)]
    )
    rows = torch.arange(256)
    sampler = GSTDS(256, epochs=1, embeddings=features)
    full = laplacian(similarity(features))
    step = median_seconds(train_step(ResNet20(in_channels=3, num_classes=10), 256), repeats)
    ours = median_seconds(lambda: sampler.choose(rows), 20 * repeats, warm=5)
    return {
        "choose_ms": 1e3 * ours,
        "similarity_ms": 1e3 * median_seconds(lambda: similarity(features), 20 * repeats, warm=5),
        "torch_eigh_ms": 1e3 * median_seconds(lambda: torch.linalg.eigh(full), 4 * repeats),
        "resnet20_step_ms": 1e3 * step,
        "share_of_step": ours / step,
    }


def fiedler(repeats: int, scale: float) -> dict[str, Any]:
    """Fiedler vector of a connected 50,000-node kNN graph; the peers get 60 seconds each."""
    n = int(50_000 * scale)
    draws = torch.Generator().manual_seed(0)
    points = (
        torch.randn(n, 8, generator=draws)
        + torch.randn(20, 8, generator=draws)[torch.randint(20, (n,), generator=draws)]
    )
    graph = KNNGraph.build(points, k=20)
    links = adjacency(graph)
    result: dict[str, Any] = {"n": n, "links": int(links.nnz), "components": int(components(links).max()) + 1}
    for kind in ("unnormalised", "symmetric"):
        result[f"{kind}_seconds"] = median_seconds(
            lambda kind=kind: fiedler_vector(graph, kind=kind), repeats, 0
        )
    for name, peer in (("scipy_shift_invert", _shift_invert), ("networkx", _networkx)):
        process = multiprocessing.get_context("fork").Process(target=peer, args=(links,))
        start = time.perf_counter()
        process.start()
        process.join(timeout=60)
        seconds = time.perf_counter() - start
        finished = not process.is_alive()
        process.kill()
        process.join()
        result[f"{name}_seconds"] = seconds if finished and process.exitcode == 0 else None
    return result


def _shift_invert(links: Any) -> None:
    from scipy.sparse.linalg import eigsh

    eigsh(laplacian(links).tocsc(), k=2, sigma=-1e-6, which="LM")


def _networkx(links: Any) -> None:
    import networkx

    networkx.fiedler_vector(networkx.from_scipy_sparse_array(links), method="tracemin_lu")


def es_epoch(repeats: int, scale: float) -> dict[str, Any]:
    """Wall-clock of an epoch with part of each batch trained on, over that of plain training (ResNet-20)."""
    n, batch = max(512, int(4096 * scale)), 128
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, 32, 32, generator=draws).contiguous(memory_format=torch.channels_last)
    y = torch.randint(10, (n,), generator=draws)
    model = ResNet20(in_channels=3, num_classes=10).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def losses_of(rows: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return cross_entropy(model(x[rows]).float(), y[rows], reduction="none")

    def epoch(sampler: EpochSampler) -> float:
        sampler.set_epoch(sampler.epoch + 1)
        rows_of_steps = torch.split(sampler.order, sampler.candidate_batch_size(batch))
        start = time.perf_counter()
        for rows in rows_of_steps:
            if sampler.selects_in_batch:
                losses = None
                if sampler.needs_forward:
                    model.eval()
                    with torch.inference_mode():
                        losses = losses_of(rows)
                    model.train()
                rows = rows[sampler.choose(rows, losses)]
            losses = losses_of(rows)
            optimizer.zero_grad(set_to_none=True)
            losses.mean().backward()
            optimizer.step()
            sampler.update(rows, losses)
        return time.perf_counter() - start

    reference = torch.randn(n, 512, generator=draws)
    samplers = {
        "plain": create("sampler", "random", n=n, epochs=999),
        "es": create("sampler", "es", n=n, keep=0.25, anneal=0.0, epochs=999),
        "gstds on reference features": create(
            "sampler", "gstds", n=n, filter=0.5, embeddings=reference, epochs=999
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in samplers}
    for sampler in samplers.values():
        epoch(sampler)
    # Taken in turn, so that a busy moment does not hit one of them alone.
    for _ in range(repeats):
        for name, sampler in samplers.items():
            seconds[name].append(epoch(sampler))
    result: dict[str, Any] = {"n": n, "batch": batch, "cost_model_es": (1 + 3 * 0.25) / 3}
    for name, taken in seconds.items():
        result[name] = {
            "seconds": statistics.median(taken),
            "ratio": statistics.median(t / p for t, p in zip(taken, seconds["plain"], strict=True)),
        }
    return result


SECTIONS = {
    "bookkeeping": bookkeeping,
    "order": order,
    "gstds": gstds,
    "fiedler": fiedler,
    "es_epoch": es_epoch,
}
