"""Paths of all files in a run folder, relative to the folder."""

from __future__ import annotations

SEEDS = "seeds.parquet"
LABELS = "labels.npy"
SEED_MODEL = "checkpoints/seed.safetensors"
SEED_METRIC = "checkpoints/seed.json"
EMBEDDINGS = "embeddings.npy"
PROBES = "probes.npy"
GRAPH = "graph"
INPUT_COMPLEXITY = "input_complexity.npy"
SEED_ERRORS = "seed_errors.npy"
SHORT_RUN = "short_run"
LOOKS = "looks"
EVALUATION = "evaluation.json"


def score(name: str) -> str:
    """Measured scores of the seed samples."""
    return f"scores/{name}.parquet"


def prediction(score: str, method: str) -> str:
    """Scores of all samples by one method."""
    return f"predictions/{score}/{method}.parquet"


def heldout(score: str, method: str) -> str:
    """Predictions of the held-out seed samples by one method."""
    return f"heldout/{score}/{method}.parquet"


def oracle(run: int, score: str) -> str:
    """Scores of one full run."""
    return f"oracle/{run}/{score}.parquet"


def audit(run: int, score: str) -> str:
    """Scores after three lengths of a truncated full run."""
    return f"audit/{run}/{score}.npy"


def selection(arm: str) -> str:
    """Selection of an arm."""
    return f"selections/{arm}.parquet"


def window_values(option: str) -> str:
    """Values computed from windows for a sampler option."""
    return f"windows/{option}.npy"


def arm(name: str, state: int, ending: str) -> str:
    """File of one training of an arm."""
    return f"arms/{name}/{state}.{ending}"
