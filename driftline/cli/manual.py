"""What the help of a command has beside its options: an example, and when it ends with exit code 1.

`docs/cli.md` is made from this table and the commands themselves.
"""

from collections.abc import Iterator
from typing import NamedTuple

import typer
from typer.models import CommandInfo


class Entry(NamedTuple):
    """A call of a command, and what ends it with exit code 1 beside an error."""

    example: str
    fails: str = ""


MANUAL: dict[str, Entry] = {
    "demo": Entry("--rows 20000", "a request, label or row is missing in the end"),
    "model init": Entry("churn --data train.parquet --label churned --train"),
    "model add": Entry("packages/churn"),
    "model bench": Entry("churn v1 --seconds 2"),
    "model route": Entry("churn v2 --canary 5%", "a worker does not serve it"),
    "model promote": Entry("churn v2 --reason 'better on the holdout'", "a worker does not serve it"),
    "model rollback": Entry("churn", "a worker does not serve it"),
    "model remove": Entry("churn v1"),
    "model export": Entry("churn v1 --to triton"),
    "model list": Entry("churn --json"),
    "reference build": Entry("--data train.parquet --task binary --score p --label churned --out churn.reference"),
    "reference show": Entry("churn.reference"),
    "reference check": Entry("churn.reference", "its own halves differ"),
    "backtest": Entry(
        "--reference churn.reference --stream lastweek.parquet --window 1h --time ts --out backtest.html"
    ),
    "report": Entry("--incident churn-2 --reference-data train.parquet"),
    "drift bench": Entry("--reference train.parquet --exclude id,label --runs 5"),
    "up": Entry("--settings production.toml"),
    "down": Entry(""),
    "status": Entry("--json", "nothing runs, or not every role is up yet"),
    "produce": Entry("today.parquet --id customer --labels churned", "a request was not answered"),
    "dead-letters list": Entry("--reason wrong_type --from -1h"),
    "dead-letters show": Entry("dead-letters/0/17"),
    "dead-letters redrive": Entry("--reason wrong_type --dry-run", "only the beginning of a record was kept"),
    "incidents list": Entry("--model churn --open"),
    "incidents show": Entry("churn-2"),
    "incidents acknowledge": Entry("churn-2 --reason 'asked the data team'"),
    "incidents mute": Entry("churn-2 --until 3d --reason 'known import'"),
    "incidents rebaseline": Entry("churn-2 --reason 'new tariff'"),
    "replay": Entry("--from -1d --model v2 --out replay.html", "with --fail-on-difference, anything differs"),
    "doctor": Entry("", "a check failed"),
    "settings show": Entry("--json"),
    "topics create": Entry("scoring.answers --partitions 4"),
    "topics check": Entry("", "a topic is missing, or is not as it should be"),
    "dashboards build": Entry("--out grafana"),
    "dashboards check": Entry("--out grafana", "a file differs from the panels"),
    "dashboards push": Entry("--url https://grafana.example --token env:GRAFANA_TOKEN --datasource ch-1"),
    "worker": Entry("--slot worker-0 --port 18090"),
    "monitor": Entry("--slot monitor-0 --port 18091"),
    "store": Entry("--port 18092"),
    "broker": Entry("--port 19092"),
    "page": Entry("--settings production.toml"),
    "inference-worker": Entry("churn@v1 fraud@v2 --device cuda:0"),
}


def commands(app: typer.Typer, before: str = "") -> Iterator[tuple[str, CommandInfo]]:
    """Every command of an app and of its groups, by its words."""
    for command in app.registered_commands:
        assert command.callback is not None
        yield before + (command.name or command.callback.__name__.replace("_", "-")), command
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{before}{group.name} ")


def call(words: str) -> str:
    """The example of a command as it is typed.

    >>> call("model rollback")
    'driftline model rollback churn'
    """
    return f"driftline {words} {MANUAL[words].example}".rstrip()


def add_examples(app: typer.Typer) -> None:
    """Put the examples, and the meaning of exit code 1, below the options of each command's help."""
    for words, command in commands(app):
        fails = f"\n\nExit code 1: {MANUAL[words].fails}." if MANUAL[words].fails else ""
        command.epilog = f"Example: {call(words)}{fails}"
