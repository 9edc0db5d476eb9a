"""A stage is a value: what it makes, from what, how, and what that will cost."""

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
    """Part of what a stage makes; another stage may need it without the rest.

    Args:
        name: What other stages name in their ``needs``.
        files: Files and folders of the run folder that hold it.
        costs: Ledger entries of the stage that making it takes (default: the entry named like the product).
    """

    name: str
    files: tuple[str, ...]
    costs: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[str, ...]:
        """Ledger entries that whoever needs the product pays for."""
        return self.costs or (self.name,)

    def holds(self, file: str) -> bool:
        """Whether a file of the run folder belongs to it."""
        return any(file == own or file.startswith(f"{own}/") for own in self.files)


@dataclass
class Attempt:
    """One try at a stage.

    Attributes:
        checkpoint: Where long work may save its state; a try with the same key finds it, others never do.
        costs: What the stage cost, by ledger entry; the work fills it.
        writes: Whether this process writes the artifacts; another one that trains along returns before that.
    """

    checkpoint: Path
    costs: dict[str, Cost] = field(default_factory=dict)
    writes: bool = True


@dataclass(frozen=True)
class Estimate:
    """What a stage will cost, by ledger entry, and how many bytes it will write."""

    costs: dict[str, Cost]
    disk_bytes: float = 0.0
    notes: tuple[str, ...] = ()


Work = Callable[[Attempt], Iterable[Path]]


@dataclass(frozen=True)
class Stage:
    """A step of a job.

    The cache key, the cost of an arm and the plan all follow from these fields, so none of them is written
    anywhere else: the key covers ``settings`` and the content of what the stage needs; an arm pays for every
    ledger entry among its ancestors once; the plan sums up the estimates.

    Args:
        name: Unique; ``/`` groups stages of a kind.
        work: Writes the files, books its costs and returns the paths of the files.
        estimate: What it will cost, from some seconds of measuring.
        makes: Its products (default: one, named like the stage, without files).
        needs: Names of the products that it is made from.
        settings: JSON-like data that the result depends on.
        inputs: Files of the user's that the result depends on; their content counts.
        together: All processes of a distributed job do the work, since they train one model; else only the first.
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
        """What it makes."""
        return self.makes or (Product(self.name, ()),)


class Products:
    """Which stage makes which product, and so what stands behind a need."""

    def __init__(self) -> None:
        self._makers: dict[str, tuple[Stage, Product]] = {}

    def add(self, stage: Stage) -> None:
        """Makes the products of a stage known; everything that it needs must be known already."""
        for need in stage.needs:
            self.maker(need)
        for product in stage.products:
            self._makers[product.name] = stage, product

    def maker(self, need: str) -> tuple[Stage, Product]:
        """The stage and its product; `KeyError` for what no stage of the list before it makes."""
        if need not in self._makers:
            raise KeyError(f"no earlier stage makes '{need}'; known are {', '.join(sorted(self._makers))}")
        return self._makers[need]

    def entries(self, needs: Iterable[str]) -> dict[str, str]:
        """Ledger entries behind some needs, with the stage that books each; every one once."""
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
