"""What is missing."""

from collections import Counter

import typer

from driftline.cli.options import AsJson, File, echo_json, say
from driftline.commands.terminal import visible

_COLOURS = {"ok": "green", "note": "cyan", "warn": "yellow", "fail": "red"}


def doctor(file: File = None, as_json: AsJson = False) -> None:
    """Say what is missing, and the command that mends it."""
    from driftline.doctor import examine, findings

    if as_json:
        results = examine(file)
        echo_json(results)
    else:
        results = []
        for one in findings(file):
            results.append(one)
            typer.echo(f"{typer.style(f'{one.state:<4}', fg=_COLOURS[one.state])}  {one.name:<13} {visible(one.said)}")
            if one.fix:
                say(f"{'':<20} -> {one.fix}")
        counts = Counter[str](one.state for one in results)
        say(", ".join(f"{counts[state]} {state}" for state in _COLOURS if counts[state]))
    raise typer.Exit(1 if any(one.state == "fail" for one in results) else 0)
