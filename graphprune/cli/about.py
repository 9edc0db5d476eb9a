"""Commands that describe graphprune and this machine."""

from __future__ import annotations

from graphprune.cli.app import app
from graphprune.cli.options import DebugOption, JsonOption
from graphprune.cli.output import print_json


@app.command(epilog="Example: graphprune methods --json")
def methods(as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """List all scores, extrapolators, selection rules and samplers, with their sources."""
    from graphprune.cli.console import methods_table
    from graphprune.registry import describe

    known = describe()
    print_json(known) if as_json else print(methods_table(known))


@app.command(epilog="Example: graphprune schema > graphprune.schema.json")
def schema(debug: DebugOption = False) -> None:
    """Print the JSON schema of the configuration, for editors."""
    from graphprune.config.schema import config_schema

    print_json(config_schema())


@app.command(epilog="Example: graphprune doctor --json")
def doctor(as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show versions, devices and threads, and how to install what is missing."""
    from graphprune.cli.doctor import examine

    found = examine()
    print_json(found.to_dict()) if as_json else print(found.to_text())
