"""`docs/cli.md`: every command with its help, options, defaults, exit codes and an example."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ParameterInfo

from driftline.cli import app
from driftline.cli.manual import MANUAL, call

_HEAD = """\
# Commands

Every command of `driftline`. This page is made from the code by `python -m docs.generate`; do not edit it.
`driftline COMMAND --help` says the same in a terminal.

Results go to standard output, progress and errors to standard error. With `--json` a command prints one line of JSON.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it failed: an error, or what stands under the command |
| 2 | the command line or the settings cannot be used |

"""
_TYPES = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}


def page() -> str:
    """The page's text."""
    root: Any = typer.main.get_command(app)
    panels: dict[str, list[str]] = {}
    for name, command in root.commands.items():
        panels.setdefault(command.rich_help_panel, []).append(name)
    parts = [_HEAD.rstrip()]
    for panel, names in panels.items():
        parts.append(f"## {panel}")
        for name in names:
            for words, command in _leaves(name, root.commands[name]):
                parts += _command(words, command)
    return "\n\n".join(parts) + "\n"


def _leaves(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from _leaves(f"{words} {name}", inner)
    if not hasattr(command, "commands"):
        yield words, command


def _command(words: str, command: Any) -> Iterator[str]:
    yield f"### driftline {words}"
    yield inspect.cleandoc(command.help)
    arguments = [_argument(parameter) for parameter in command.params if parameter.param_type_name == "argument"]
    yield f"```\n{' '.join(['driftline', words, *arguments])} [OPTIONS]\n```"
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    rows = [_row(parameter, hints) for parameter in command.params]
    if rows:
        yield "\n".join(["| option | value | default | meaning |", "|---|---|---|---|", *rows])
    if MANUAL[words].fails:
        yield f"Exit code 1: {MANUAL[words].fails}."
    yield f"Example: `{call(words)}`"


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    name = f"{name}..." if parameter.nargs == -1 else name
    return name if parameter.required else f"[{name}]"


def _row(parameter: Any, hints: Mapping[str, Any]) -> str:
    kind, *extras = (
        get_args(hints[parameter.name]) if hasattr(hints[parameter.name], "__metadata__") else [hints[parameter.name]]
    )
    info = next((extra for extra in extras if isinstance(extra, ParameterInfo)), ParameterInfo())
    name = _argument(parameter) if parameter.param_type_name == "argument" else ", ".join(parameter.opts)
    value = "" if parameter.param_type_name == "argument" else parameter.metavar or _value(kind)
    if bounds := _bounds(info):
        value = f"{value}, {bounds}"
    repeated = "; may be repeated" if parameter.multiple and "repeated" not in (parameter.help or "") else ""
    meaning = (parameter.help or "").rstrip(".").replace("|", "\\|") + repeated
    return f"| `{name}` | {value} | {_default(parameter)} | {meaning} |"


def _value(kind: Any) -> str:
    """What is written behind an option.

    >>> _value(int | None), _value(bool), _value(Literal["file", "unknown"])
    ('INTEGER', '', 'file, unknown')
    """
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is list:
        (kind,) = get_args(kind)
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    return "" if kind is bool else _TYPES[kind]


def _bounds(info: ParameterInfo) -> str:
    least = "" if info.min is None else f"{info.min:g} or more"
    most = "" if info.max is None else f"{info.max:g} or less"
    return " and ".join(part for part in (least, most) if part)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    empty = parameter.default is None or parameter.default is False or parameter.default == ""
    return "" if empty else f"`{parameter.default}`"
