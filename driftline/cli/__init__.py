"""The command line. Results go to stdout, progress and errors to stderr; exit codes: 0 ok, 1 failed, 2 usage.

A file a group of commands; what a command needs is imported when it runs, so that `--help` is quick and a container
needs only its role's packages.
"""

import os
import sys
import traceback
from collections.abc import Callable

import typer

from driftline.cli import (
    backtest,
    dashboards,
    dead_letters,
    doctor,
    drift,
    incidents,
    model,
    produce,
    reference,
    replay,
    report,
    roles,
    settings,
    topics,
    tree,
)
from driftline.cli.manual import add_examples
from driftline.cli.options import say
from driftline.supervisor.parent_death import die_with_parent
from streams.private import keep_private

app = typer.Typer(
    name="driftline",
    help="Put a model on a Kafka topic, and know when to stop trusting it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# The order of `driftline --help`: a heading, then what stands below it.
_PANELS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Start here": {"demo": tree.demo},
    "Your model": {
        "model": model.app,
        "reference": reference.app,
        "backtest": backtest.backtest,
        "report": report.report,
        "drift": drift.app,
    },
    "The system": {"up": tree.up, "down": tree.down, "status": tree.status},
    "What goes in, what was refused": {"produce": produce.produce, "dead-letters": dead_letters.app},
    "The past": {"incidents": incidents.app, "replay": replay.replay},
    "Settings and set-up": {
        "doctor": doctor.doctor,
        "settings": settings.app,
        "topics": topics.app,
        "dashboards": dashboards.app,
    },
    "One role in the foreground": {
        "worker": roles.worker,
        "monitor": roles.monitor,
        "store": roles.store,
        "broker": roles.broker,
        "page": roles.page,
        "inference-worker": roles.inference_worker,
    },
}
for _panel, _entries in _PANELS.items():
    for _name, _entry in _entries.items():
        if isinstance(_entry, typer.Typer):
            app.add_typer(_entry, name=_name, rich_help_panel=_panel)
        else:
            app.command(_name, rich_help_panel=_panel)(_entry)
add_examples(app)


def main() -> None:
    """Run the command line; a refusal of ours is one line, not a trace."""
    keep_private()
    if parent := os.environ.get("DRIFTLINE_PARENT"):
        die_with_parent(int(parent))
    try:
        app()
    except Exception as error:
        from driftline.cli.refusals import passes, refusal

        text = refusal(error)
        if text is None or (os.environ.get("DRIFTLINE_PARENT") and passes(error)):
            raise
        from driftline.settings import SettingsError  # pydantic: a third of the time of `--help`

        if os.environ.get("DRIFTLINE_PARENT"):  # a role: its log has the trace, and below it the line that `up` reads
            traceback.print_exc()
        say(f"driftline: {text}", err=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
