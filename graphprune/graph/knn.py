"""The k-nearest-neighbor graph that every stage shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.files import read_json, read_npy, write_json, write_npy
from graphprune.graph import export, ivf
from graphprune.graph.backends import exact_search
from graphprune.graph.features import search_features
from graphprune.graph.points import Array, Metric, Points, as_tensor

if TYPE_CHECKING:
    import networkx
    from scipy.sparse import csr_array
    from torch_geometric.data import Data

Backend = Literal["auto", "exact", "ivf"]

# Above this many samples `auto` uses inverted lists, if FAISS is installed.
EXACT_UP_TO = 200_000


def chosen_backend(backend: Backend, n: int) -> Literal["exact", "ivf"]:
    """The backend that `KNNGraph.build` uses for ``n`` samples.

    ``auto`` resolves to ``ivf`` above 200,000 samples if FAISS is installed, and to ``exact`` otherwise.

    >>> chosen_backend("auto", 1000)
    'exact'
    """
    if backend == "auto":
        return "ivf" if n > EXACT_UP_TO and ivf.available() else "exact"
    return backend


@dataclass(frozen=True, eq=False, repr=False)
class KNNGraph:
    """KNNGraph: the k nearest neighbors of N samples, stored as two tables.

    A link goes from a neighbor to the sample of the row. If a sample has fewer than k neighbors, the rest of its
    row is padding: the sample's own index, distance ``inf`` and weight 0.

    Args:
        indices: Neighbors ``[N, k]``, int32 (int64 from 2^31 samples on), nearest first.
        distances: Their distances ``[N, k]`` float32: euclidean lengths (not squared), 1 - cosine, or minus
            the inner product.
        metric: ``euclidean``, ``cosine`` or ``inner``.
        embeddings: ``[N, D]``, required by `query` and `extend`; may be a memory map.
        weights: Link weights ``[N, k]`` float32 (default: ``exp(-distance / 2)``).
        recall: Fraction of the true neighbors found: 1 for exact search, otherwise estimated on a sample.

    >>> graph = KNNGraph.build(torch.tensor([[0.0], [1.0], [3.0], [3.5]]), k=2)
    >>> graph.indices.tolist()
    [[1, 2], [0, 2], [3, 1], [2, 1]]
    >>> graph.distances.tolist()
    [[1.0, 3.0], [1.0, 2.0], [0.5, 2.0], [0.5, 2.5]]
    """

    indices: Tensor
    distances: Tensor
    metric: Metric = "euclidean"
    embeddings: Array | None = None
    weights: Tensor | None = None
    recall: float = 1.0

    def __post_init__(self) -> None:
        for name, table in (("distances", self.distances), ("weights", self.weights)):
            if table is not None and table.shape != self.indices.shape:
                raise InputError(
                    f"graph: {name} have shape {list(table.shape)} but indices have {list(self.indices.shape)}; "
                    "both must be [N, k]"
                )
        if self.embeddings is not None and len(self.embeddings) != self.n:
            raise InputError(
                f"the graph has {self.n} samples but {len(self.embeddings)} embeddings; "
                "pass one embedding per sample"
            )

    def __repr__(self) -> str:
        return f"KNNGraph(n={self.n}, k={self.k}, metric={self.metric!r}, recall={self.recall:g})"

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.indices)

    @property
    def k(self) -> int:
        """Neighbors per sample."""
        return self.indices.shape[1]

    @classmethod
    def build(
        cls,
        embeddings: Array,
        k: int = 20,
        *,
        metric: Metric = "euclidean",
        backend: Backend = "auto",
        labels: Array | None = None,
        label_weight: float = 1.0,
        block_size: int = 1024,
        device: torch.device | str | None = None,
        seed: int = 0,
    ) -> KNNGraph:
        """Finds the k nearest other samples of every sample; ties go to the lower row.

        Args:
            embeddings: ``[N, D]`` array, memory map or tensor; distances are computed in float32.
            k: Neighbors, from 1 to N - 1.
            metric: ``euclidean``, ``cosine`` (distance 1 - cos) or ``inner`` (distance: minus the inner product).
            backend: ``exact``, ``ivf`` (FAISS; approximate, with a sampled recall) or ``auto``: ``exact`` up to
                200,000 samples, above that ``ivf`` if FAISS is installed.
            labels: Class labels ``[N]``. If given, links prefer samples of the same label, because
                ``label_weight`` times the one-hot label is appended to the embeddings (default: none).
            label_weight: See ``labels``; in the embeddings' units, or relative to length 1 for ``cosine``.
            block_size: Rows per matrix product; the result does not depend on it.
            device: Device of the search (default: the tensor's own device, or the CPU).
            seed: Seed of the k-means cells of ``ivf``.

        Raises:
            InputError: k is outside 1..N-1, embeddings are NaN or infinite, vectors are zero with ``cosine``,
                or shapes are wrong.

        Cost: O(N^2 D) time for ``exact``, about O(N^1.5 D) for ``ivf``; O(N k) memory besides the embeddings.
        """
        if labels is not None:
            Points(embeddings, metric)
            embeddings = search_features(
                embeddings, labels=labels, normalize=metric == "cosine", label_weight=label_weight
            )
        points = Points(embeddings, metric, device=device)
        if not 1 <= k < points.n:
            raise InputError(f"k is {k} but there are {points.n} samples; k must be from 1 to {points.n - 1}")
        if backend not in ("auto", "exact", "ivf"):
            raise InputError(f"backend is '{backend}'; use one of auto, exact, ivf")
        recall = 1.0
        if chosen_backend(backend, points.n) == "ivf":
            distances, rows, recall = ivf.ivf_search(points, k, seed=seed)
        else:
            everyone = torch.arange(points.n)
            distances, rows = exact_search(points, points, k, own=everyone, block_size=block_size)
        graph = cls(_compact(rows, points.n), distances, metric, embeddings, recall=recall)
        # Queries reuse the validated points, on the device of this search.
        object.__setattr__(graph, "_points", points)
        return graph

    def query(
        self, *, among: Tensor | None = None, points: Array | None = None, k: int = 20, block_size: int = 1024
    ) -> tuple[Tensor, Tensor]:
        """Finds exact nearest neighbors by the graph's embeddings and metric.

        Args:
            among: Rows ``[M]`` int64, unique, that may be neighbors (default: all).
            points: Other vectors ``[Q, D]`` whose neighbors are requested (default: all samples; a sample is
                never its own neighbor).
            k: Neighbors. If ``among`` has exactly k rows, each of these has k - 1 neighbors and one padding
                entry: its own position at distance ``inf``.
            block_size: Queries per matrix product; the result does not depend on it.

        Returns:
            Distances ``[Q, k]`` float32 ascending, and positions ``[Q, k]`` int64 in ``among`` (without
            ``among``: rows).

        Raises:
            InputError: the graph has no embeddings, ``among`` contains duplicates or invalid rows, or k exceeds
                the number of rows that may be neighbors.

        Cost: O(Q M D) time.
        """
        everyone = self._points
        rows = torch.arange(self.n) if among is None else torch.as_tensor(among).cpu()
        if rows.ndim != 1 or rows.is_floating_point() or rows.dtype == torch.bool:
            raise InputError(f"among is {rows.dtype} {list(rows.shape)}; give rows [M] as integers")
        rows = rows.to(torch.int64)
        if not 1 <= k <= len(rows):
            raise InputError(f"k is {k} but only {len(rows)} samples may be neighbors; lower k")
        if not (int(rows.min()) >= 0 and int(rows.max()) < self.n):
            raise InputError(f"among contains rows outside 0..{self.n - 1}; pass rows of this graph")
        own = torch.full((self.n,), -1, dtype=torch.int64)
        own[rows] = torch.arange(len(rows))
        if bool((own[rows] != torch.arange(len(rows))).any()):
            raise InputError("among contains a row more than once; pass each row once")
        database = everyone if among is None else everyone.subset(rows)
        if points is not None:
            return exact_search(database, everyone.beside(points), k, block_size=block_size)
        return exact_search(database, everyone, k, own=own, block_size=block_size)

    def extend(self, new_embeddings: Array) -> KNNGraph:
        """Adds samples: a graph with ``new_embeddings [M, D]`` as rows N..N+M-1, equal to a rebuilt one.

        Raises:
            InputError: the graph has its own weights, which the new links would lack.

        Cost: O(M (N + M) D) time for the new rows, and O(N M D) to update the neighbors of the old rows.
        """
        if self.weights is not None:
            raise InputError(
                "this graph has weights of its own, which new links would lack; extend a graph without weights"
            )
        old = self._points
        new = old.beside(new_embeddings)
        assert self.embeddings is not None
        joined = torch.cat([as_tensor(self.embeddings), as_tensor(new_embeddings)])
        points = Points(joined, self.metric, device=old.device)
        fresh = torch.arange(self.n, self.n + new.n)
        below = exact_search(points, points.subset(fresh), self.k, own=fresh)
        beside = exact_search(points.subset(fresh), points.subset(torch.arange(self.n)), min(self.k, new.n))
        distances = torch.cat([self.distances, beside[0]], dim=1)
        rows = torch.cat([self.indices.to(torch.int64), beside[1] + self.n], dim=1)
        distances, order = distances.sort(dim=1, stable=True)
        rows = torch.cat([rows.gather(1, order)[:, : self.k], below[1]])
        distances = torch.cat([distances[:, : self.k], below[0]])
        return KNNGraph(_compact(rows, points.n), distances, self.metric, joined, recall=self.recall)

    def link_weights(self) -> Tensor:
        """Link weights ``[N, k]`` float32: ``weights``, or ``exp(-distance / 2)``; 0 for padding."""
        return torch.exp(self.distances / -2) if self.weights is None else self.weights

    def components(self) -> tuple[int, npt.NDArray[np.int32]]:
        """Number of connected components of the undirected graph, and each sample's component ``[N]`` int32."""
        from scipy.sparse.csgraph import connected_components

        links = self.to_csr()
        links.data[:] = 1  # far links have weight 0, duplicates distance 0
        count, labels = connected_components(links, directed=False)
        return int(count), labels

    def to_csr(self, *, values: Literal["distance", "weight"] = "weight") -> csr_array:
        """SciPy CSR ``[N, N]``: rows are samples, columns are their neighbors."""
        return export.to_csr(self, values)

    def to_pyg(self) -> Data:
        """PyTorch Geometric ``Data``: ``x``, ``edge_index [2, L]`` (neighbor, sample) and weights."""
        return export.to_pyg(self)

    def to_networkx(self) -> networkx.DiGraph:
        """networkx graph with edges neighbor -> sample, which have the attributes ``distance`` and ``weight``."""
        return export.to_networkx(self)

    @classmethod
    def from_csr(
        cls, matrix: Any, *, metric: Metric = "euclidean", embeddings: Array | None = None
    ) -> KNNGraph:
        """Makes a graph of sparse distances such as scikit-learn's ``kneighbors_graph(mode="distance")``.

        >>> from scipy.sparse import csr_array
        >>> KNNGraph.from_csr(csr_array([[0.0, 2.0], [2.0, 0.0]]), embeddings=torch.tensor([[0.0], [2.0]]))
        KNNGraph(n=2, k=1, metric='euclidean', recall=1)
        """
        return export.from_csr(matrix, metric, embeddings)

    def save(self, folder: Path | str) -> None:
        """Writes ``indices.npy``, ``distances.npy``, ``weights.npy`` (if any) and, last, ``graph.json``."""
        folder = Path(folder)
        write_npy(folder / "indices.npy", self.indices.numpy())
        write_npy(folder / "distances.npy", self.distances.numpy())
        if self.weights is not None:
            write_npy(folder / "weights.npy", self.weights.numpy())
        facts = {
            "components": self.components()[0],
            "k": self.k,
            "metric": self.metric,
            "n": self.n,
            "recall": self.recall,
            "weights": self.weights is not None,
        }
        write_json(folder / "graph.json", facts)

    @classmethod
    def load(cls, folder: Path | str, embeddings: Array | None = None, *, mmap: bool = True) -> KNNGraph:
        """Reads a saved graph, memory-mapped by default; `query` requires the ``embeddings`` it was built on."""
        folder = Path(folder)
        facts = read_json(folder / "graph.json")
        if not isinstance(facts, dict):
            raise InputError(f"{folder / 'graph.json'} contains no keys and values; regenerate the graph")
        names = ["indices", "distances", *(["weights"] if facts.get("weights") else [])]
        tables = {name: _table(folder / f"{name}.npy", mmap) for name in names}
        for name, table in tables.items():
            if table.ndim != 2 or table.is_floating_point() == (name == "indices"):
                raise InputError(
                    f"{folder / name}.npy is {table.dtype} {list(table.shape)}; regenerate the graph"
                )
        n = len(tables["indices"])
        if n and not (int(tables["indices"].min()) >= 0 and int(tables["indices"].max()) < n):
            raise InputError(
                f"{folder}/indices.npy refers to rows outside its {n} samples; regenerate the graph"
            )
        return cls(
            **tables,
            metric=facts.get("metric", "euclidean"),
            embeddings=embeddings,
            recall=facts.get("recall", 1.0),
        )

    @cached_property
    def _points(self) -> Points:
        """The embeddings, validated and in the form that the search reads."""
        if self.embeddings is None:
            raise InputError("this graph has no embeddings to search in; load it with embeddings=")
        return Points(self.embeddings, self.metric)


def _compact(rows: Tensor, n: int) -> Tensor:
    return rows.to(torch.int32) if n < 2**31 else rows


def _table(path: Path, mmap: bool) -> Tensor:
    array = read_npy(path, mmap=mmap)
    if isinstance(array, np.memmap):
        # Copy-on-write pages: torch rejects read-only memory, and the file is never modified.
        array = np.memmap(path, array.dtype, "c", array.offset, array.shape)
    return torch.from_numpy(array)


def refuse_other_files(folder: Path) -> None:
    """Rejects a target folder for a graph if it is a file or contains files other than a graph.

    Raises:
        InputError: the path is a file, or the folder contains other files.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder; choose another --out")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    path = folder / "graph.json"
    facts = read_json(path) if path.is_file() else None
    if not isinstance(facts, dict) or not {"k", "metric", "n", "recall"} <= facts.keys():
        raise InputError(f"{folder} holds files that are not a graph of graphprune; choose another --out")
