"""How fast samplers and spectra are beside the training steps that they serve.

python -m experiments.speed_samplers.run [SECTION ...]    (options: experiments/harness.py)
"""

from pathlib import Path

from experiments.harness import run_sections
from experiments.speed_samplers.sections import SECTIONS

if __name__ == "__main__":
    packages = ("torch", "scipy", "numpy", "networkx")
    run_sections(__doc__.splitlines()[0], SECTIONS, Path(__file__).parent, packages)
