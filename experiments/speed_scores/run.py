"""What recording scores costs: time beside a training step, and memory at the size of ImageNet.

python -m experiments.speed_scores.run [SECTION ...]    (options: experiments/harness.py)
"""

from pathlib import Path

from experiments.harness import run_sections
from experiments.speed_scores.sections import SECTIONS
from graphprune.runtime.process import prepare_process

if __name__ == "__main__":
    prepare_process()
    packages = ("torch", "numpy")
    run_sections(__doc__.splitlines()[0], SECTIONS, Path(__file__).parent, packages)
