"""What this machine provides, and what graphprune lacks on it."""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphprune.runtime.packages import PACKAGES, installed, versions

# Optional packages: import name -> (distribution, extra of graphprune that installs it, purpose).
OPTIONAL = {
    "datasets": ("datasets", "hf", "datasets of the Hugging Face hub"),
    "faiss": ("faiss-cpu", "faiss", "kNN graphs beyond 200,000 samples"),
    "h5py": ("h5py", "sensors", "sensor files in HDF5"),
    "lightning": ("lightning", "adapters", "samplers in Lightning"),
    "transformers": ("transformers", "adapters", "samplers in the Hugging Face Trainer"),
    "pandas": ("pandas", "interchange", "score tables as pandas frames"),
    "polars": ("polars", "interchange", "score tables as polars frames"),
    "duckdb": ("duckdb", "interchange", "SQL over score tables"),
    "timm": ("timm", "timm", "models named timm:NAME"),
    "torchvision": ("torchvision", "vision", "models named torchvision:NAME"),
    "tensorboard": ("tensorboard", "track", "training metrics in TensorBoard"),
    "mlflow": ("mlflow", "track", "training metrics in MLflow"),
    "matplotlib": ("matplotlib", "experiments", "plots of the experiments"),
    "playwright": ("playwright", "browser", "tests of the report page in a browser"),
    "mkdocs": ("mkdocs-material", "docs", "the documentation site"),
}
_GIB = 2**30


@dataclass(frozen=True)
class Missing:
    """A package that is not installed, its purpose, and the command that installs it."""

    package: str
    purpose: str
    install: str


@dataclass(frozen=True)
class Findings:
    """The result of `examine`; sizes in GiB.

    Attributes:
        versions: Installed packages by distribution.
        devices: Devices that torch can use; ``auto`` takes the first.
        threads: Number of torch threads, and of the cores that this process may use.
        memory_gib: Physical memory; None if the system does not report it.
        temporary_gib: Free space in the folder of temporary files.
        missing: Optional packages that are not installed.
        problems: Everything that prevents graphprune from working, one sentence each.
        notes: Everything that slows it down, one sentence each.
    """

    versions: dict[str, str]
    devices: list[str]
    threads: dict[str, Any]
    memory_gib: float | None
    temporary_gib: float
    missing: list[Missing]
    problems: list[str]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """Return text: what is installed, what is missing, and how to install it."""
        lines = ["versions"]
        lines += [f"  {name:<18} {found}" for name, found in self.versions.items()]
        memory = "unknown" if self.memory_gib is None else f"{self.memory_gib:.1f} GiB"
        lines += ["", f"devices   {', '.join(self.devices)} (auto takes the first)"]
        lines.append(f"threads   {self.threads['torch']} of torch on {self.threads['cores']} cores")
        lines.append(f"memory    {memory}; {self.temporary_gib:.1f} GiB free for temporary files")
        if self.missing:
            lines += ["", "not installed; needed only for"]
            lines += [f"  {m.purpose}: {m.install}" for m in self.missing]
        for title, texts in (("note", self.notes), ("problem", self.problems)):
            lines += [f"\n{title}: {text}" for text in texts]
        return "\n".join(
            [*lines, "", "everything required is installed" if not self.problems else ""]
        ).rstrip()


def examine() -> Findings:
    """Inspect the packages, devices, threads and memory of this machine, without the network."""
    import torch

    found = versions()
    problems = [f"{name} is not installed: pip install graphprune" for name in PACKAGES if name not in found]
    missing = []
    for module, (package, extra, purpose) in OPTIONAL.items():
        if importlib.util.find_spec(module) is None:
            missing.append(Missing(package, purpose, f"pip install 'graphprune[{extra}]'"))
        else:
            found[package] = installed(package) or "?"
    cores = _cores()
    notes = []
    if torch.get_num_threads() > cores:
        notes.append(
            f"torch runs {torch.get_num_threads()} threads on {cores} cores: OMP_NUM_THREADS={cores}"
        )
    capability = torch.backends.cpu.get_cpu_capability()
    if platform.machine() in ("x86_64", "AMD64") and not capability.startswith("AVX"):
        notes.append("this CPU has no AVX2, so training and search are several times slower")
    return Findings(
        versions=found,
        devices=_devices(),
        threads={
            "torch": torch.get_num_threads(),
            "cores": cores,
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        },
        memory_gib=_memory_gib(),
        temporary_gib=_free_gib(Path(tempfile.gettempdir())),
        missing=missing,
        problems=problems,
        notes=notes,
    )


def _devices() -> list[str]:
    import torch

    cuda = [
        f"cuda:{i} ({torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory / _GIB:.0f} GiB)"
        for i in range(torch.cuda.device_count())
    ]
    return [*cuda, "cpu"]


def _cores() -> int:
    """Cores that this process may use; in a container these are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    except (ValueError, OSError, AttributeError):
        return None


def _free_gib(folder: Path) -> float:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize / _GIB
