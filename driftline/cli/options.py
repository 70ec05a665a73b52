"""What the commands' options have in common."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from driftline.commands.terminal import visible

if TYPE_CHECKING:
    from driftline.settings import Settings

File = Annotated[Path | None, typer.Option("--settings", help="Settings file; default driftline.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

# A training table, for `model init` and `reference build`.
Task = Literal["binary", "multiclass", "regression"]
Segments = Annotated[str, typer.Option(metavar="A,B,...", help="Features whose levels are watched apart.")]
Time = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Event times of the rows: they put them in order; no feature.")
]
RowOrder = Annotated[
    Literal["file", "unknown"] | None,
    typer.Option(help="Without --time: the rows stand in order (file), or were mixed (unknown)."),
]
Holdout = Annotated[
    Path | None, typer.Option(help="Table of rows that the model has not learnt from: performance is theirs.")
]


def load(file: Path | None = None, **flags: Any) -> "Settings":
    """Read the settings; a flag ``kafka__port`` is the key ``kafka.port``."""
    from driftline import settings as reading

    return reading.load({key.replace("__", "."): value for key, value in flags.items()}, file)


def say(text: str, err: bool = False) -> None:
    """Print for people: what speaks to a terminal stands as an escape, for much of it was written by strangers."""
    typer.echo(visible(text), err=err)


def echo_json(value: Any) -> None:
    """Print for machines, one line."""
    typer.echo(msgspec.json.encode(value, enc_hook=str))


def group(about: str) -> typer.Typer:
    """Make a group of commands."""
    return typer.Typer(help=about, no_args_is_help=True)


def names(listed: str) -> list[str]:
    """Split names that commas part.

    >>> names("age, city,")
    ['age', 'city']
    """
    return [name.strip() for name in listed.split(",") if name.strip()]


def progress(what: str) -> None:
    """Say on a terminal what is being done; elsewhere nothing."""
    if sys.stderr.isatty():
        typer.echo(f"  {what} ...", err=True)
