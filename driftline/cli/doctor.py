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
        for each in findings(file):
            results.append(each)
            typer.echo(
                f"{typer.style(f'{each.state:<4}', fg=_COLOURS[each.state])}  {each.name:<13} {visible(each.said)}"
            )
            if each.fix:
                say(f"{'':<20} -> {each.fix}")
        counts = Counter[str](each.state for each in results)
        say(", ".join(f"{counts[state]} {state}" for state in _COLOURS if counts[state]))
    raise typer.Exit(1 if any(each.state == "fail" for each in results) else 0)
