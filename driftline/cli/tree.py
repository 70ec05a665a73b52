"""The whole system in one process tree: the demo, and the same for the user's own settings."""

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from driftline.cli.options import AsJson, File, echo_json, load, say


def demo(
    rate: Annotated[int, typer.Option(help="Requests a second, at most.", min=1)] = 5_000,
    rows: Annotated[int | None, typer.Option(help="Stop after so many requests.", min=1)] = None,
    broken_every: Annotated[int, typer.Option(help="Break one request in so many; 0 breaks none.", min=0)] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole system on real data and sum up."""
    from driftline.demo.run import run

    summary = run(rows_per_s=rate, rows=rows, broken_every=broken_every, keep=keep)
    if as_json:
        echo_json(summary)
    raise typer.Exit(0 if summary.complete else 1)


def up(file: File = None) -> None:
    """Run all roles until Ctrl-C; what ends is started again."""
    from driftline.supervisor.up import run

    run(load(file))
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    # All that was started has ended: on a busy machine the interpreter's own end would take seconds, for nothing.
    os._exit(0)


def down(file: File = None) -> None:
    """Stop what `up` runs, and wait until it is gone."""
    from driftline.roles.run_file import stop

    say("stopped" if stop(load(file).data_dir) else "nothing runs here")


def status(file: File = None, as_json: AsJson = False) -> None:
    """Say what `up` runs, what waits and what crashes; exit code 1 where nothing runs, or not all of it yet."""
    from driftline.roles.run_file import running
    from driftline.supervisor.disk import shortage
    from driftline.supervisor.status_text import lines

    settings = load(file)
    run = running(settings.data_dir)
    if text := shortage(settings.data_dir):  # the run file cannot say so
        say(f"! {text}", err=True)
    if as_json:
        echo_json(run)
    elif run:
        for line in lines(run):
            say(line)
        if run["roles"]:
            from driftline.doctor.running import refused

            for finding in refused(settings):
                if finding.fix:
                    say(f"! {finding.said}\n  -> {finding.fix}")
    else:
        say("nothing runs here; `driftline up` starts it")
    raise typer.Exit(0 if run and run.get("state", "up") == "up" else 1)
