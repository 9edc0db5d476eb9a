"""How fast the graph and its networks are beside their peers, everything in one run on one machine.

python -m experiments.speed_graph.run [SECTION ...]    (options: experiments/harness.py)
"""

from pathlib import Path

from experiments.harness import run_sections
from experiments.speed_graph.sections import SECTIONS

if __name__ == "__main__":
    packages = ("torch", "torch-geometric", "scikit-learn", "faiss-cpu", "numpy")
    run_sections(__doc__.splitlines()[0], SECTIONS, Path(__file__).parent, packages)
