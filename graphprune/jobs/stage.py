"""A stage as a value: its products, their inputs, the work, and the estimated cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphprune.runtime.cost import Cost

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration


@dataclass(frozen=True)
class Product:
    """One output of a stage, which another stage can use without the stage's other outputs.

    Args:
        name: The name that other stages use in their ``needs``.
        files: Files and folders of the run folder that contain it.
        costs: Ledger entries of the stage that it costs (default: the entry named like the product).
    """

    name: str
    files: tuple[str, ...]
    costs: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[str, ...]:
        """Ledger entries that every user of the product pays for."""
        return self.costs or (self.name,)

    def holds(self, file: str) -> bool:
        """Return whether a file of the run folder belongs to the product."""
        return any(file == own or file.startswith(f"{own}/") for own in self.files)


@dataclass
class Attempt:
    """One attempt at a stage.

    Attributes:
        checkpoint: Where long work can save its state; only an attempt with the same key finds it.
        costs: Costs of the stage by ledger entry, filled in by the work.
        writes: Whether this process writes the artifacts; other processes only take part in the training.
    """

    checkpoint: Path
    costs: dict[str, Cost] = field(default_factory=dict)
    writes: bool = True


@dataclass(frozen=True)
class Estimate:
    """Estimated costs of a stage by ledger entry, and the bytes that it will write."""

    costs: dict[str, Cost]
    disk_bytes: float = 0.0
    notes: tuple[str, ...] = ()


Work = Callable[[Attempt], Iterable[Path]]


@dataclass(frozen=True)
class Stage:
    """One step of a job.

    The cache key, the cost of an arm and the plan are all derived from these fields: the key covers ``settings``
    and the content of everything that the stage needs; an arm pays once for every ledger entry of its ancestors;
    the plan sums up the estimates.

    Args:
        name: Unique name; ``/`` groups stages of one kind.
        work: Writes the files, records its costs and returns the paths of the files.
        estimate: Returns the estimated cost, based on the measurements of a plan.
        makes: The products (default: one, named like the stage, without files).
        needs: Names of the products that the stage uses.
        settings: JSON-like data that the result depends on.
        inputs: Files of the user that the result depends on; their content is part of the key.
        together: Whether all processes of a distributed job do the work (they train one model), or the first alone.
    """

    name: str
    work: Work
    estimate: Callable[[Calibration], Estimate]
    makes: tuple[Product, ...] = ()
    needs: tuple[str, ...] = ()
    settings: Any = None
    inputs: tuple[Path, ...] = ()
    together: bool = False

    @property
    def products(self) -> tuple[Product, ...]:
        """The products of the stage."""
        return self.makes or (Product(self.name, ()),)


class Products:
    """Which stage makes which product, and the ancestors of a product.

    Example:
        >>> products = Products()
        >>> products.add(Stage("seeds", lambda attempt: [], lambda measured: Estimate({})))
        >>> products.add(Stage("graph", lambda attempt: [], lambda measured: Estimate({}), needs=("seeds",)))
        >>> products.entries(["graph"])
        {'graph': 'graph', 'seeds': 'seeds'}
    """

    def __init__(self) -> None:
        self._makers: dict[str, tuple[Stage, Product]] = {}

    def add(self, stage: Stage) -> None:
        """Register the products of a stage; the stages that make its needs must be registered already."""
        for need in stage.needs:
            self.maker(need)
        for product in stage.products:
            self._makers[product.name] = stage, product

    def knows(self, need: str) -> bool:
        """Return whether a stage makes the product."""
        return need in self._makers

    def maker(self, need: str) -> tuple[Stage, Product]:
        """Return the stage and its product; `KeyError` if no earlier stage makes it."""
        if need not in self._makers:
            raise KeyError(f"no earlier stage makes '{need}'; known are {', '.join(sorted(self._makers))}")
        return self._makers[need]

    def entries(self, needs: Iterable[str]) -> dict[str, str]:
        """Return all ledger entries of some products and their ancestors, each with the stage that records it."""
        found: dict[str, str] = {}
        seen, waiting = set[str](), list(needs)
        while waiting:
            need = waiting.pop()
            if need in seen:
                continue
            seen.add(need)
            stage, product = self.maker(need)
            found |= dict.fromkeys(product.entries, stage.name)
            waiting += stage.needs
        return dict(sorted(found.items()))
