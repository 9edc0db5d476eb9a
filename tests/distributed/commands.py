"""Runs commands one after the other, each as ``python -m graphprune`` would: torchrun starts slowly."""

import json
import runpy
import sys

if __name__ == "__main__":
    for arguments in json.loads(sys.argv[1]):
        sys.argv = ["graphprune", *arguments]
        try:
            runpy.run_module("graphprune", run_name="__main__")
        except SystemExit as stop:
            if stop.code:
                raise
