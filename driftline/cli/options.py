"""What the commands' options have in common."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from driftline import settings as reading
from driftline.settings import Settings

File = Annotated[Path | None, typer.Option("--settings", help="Settings file; default driftline.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def load(file: Path | None = None, **flags: Any) -> Settings:
    """Read the settings; a flag ``kafka__port`` is the key ``kafka.port``."""
    return reading.load({key.replace("__", "."): value for key, value in flags.items()}, file)


def echo_json(said: Any) -> None:
    """Print for machines, one line."""
    typer.echo(msgspec.json.encode(said, enc_hook=str))


def group(about: str) -> typer.Typer:
    """Make a group of commands."""
    return typer.Typer(help=about, no_args_is_help=True)
