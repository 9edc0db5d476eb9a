"""``python -m graphprune`` is the command ``graphprune``, which launchers such as torchrun can start."""

from graphprune.cli import main

if __name__ == "__main__":
    main()
