"""What the commands' options have in common."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

if TYPE_CHECKING:
    from driftline.settings import Settings

File = Annotated[Path | None, typer.Option("--settings", help="Settings file; default driftline.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def load(file: Path | None = None, **flags: Any) -> "Settings":
    """Read the settings; a flag ``kafka__port`` is the key ``kafka.port``."""
    from driftline import settings as reading

    return reading.load({key.replace("__", "."): value for key, value in flags.items()}, file)


def echo_json(said: Any) -> None:
    """Print for machines, one line."""
    typer.echo(msgspec.json.encode(said, enc_hook=str))


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
