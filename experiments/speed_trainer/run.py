"""How fast our trainer is beside a bare loop, in bf16, in two processes, and when it resumes.

python -m experiments.speed_trainer.run [SECTION ...]    (options: experiments/harness.py)
"""

from pathlib import Path

from experiments.harness import run_sections
from experiments.speed_trainer.sections import SECTIONS
from graphprune.runtime.process import prepare_process

if __name__ == "__main__":
    prepare_process()
    packages = ("torch", "accelerate", "numpy")
    run_sections(__doc__.splitlines()[0], SECTIONS, Path(__file__).parent, packages)
