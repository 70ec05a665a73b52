"""`docs/configuration.md`: every setting with its type, unit, default, range and environment variable."""

import re
import types
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import AfterValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from driftline.cli.settings import shown
from driftline.durations import duration_text, is_duration
from driftline.settings import PREFIX, Settings
from driftline.settings_schema import Section, WatchTopic
from driftline.watch_settings import KEYS, RANGES, defaults
from streams.names import rule
from streams.wire.records import Watch

_HEAD = """\
# Configuration

Every setting of `driftline.toml`. This page is made from the code by `python -m docs.generate`; do not edit it.
[Settings](settings.md) says where values are read from, how lengths of time and secrets are written, and what the
sections `[watch]` and `[[watch_topics]]` do. [driftline.example.toml](driftline.example.toml) is a file that sets every
one of them.

"""
#: What numbers count, by the end of a setting's name.
_UNITS = {
    "port": "TCP port",
    "rows_max": "rows",
    "rows_min": "rows",
    "partitions_requests": "partitions",
    "partitions_model": "partitions",
    "replicas": "replicas",
    "workers": "processes",
    "false_alarm_every": "windows",
}
_TYPES = {str: "text", bool: "true or false", int: "whole number", float: "number", Path: "path"}


class Row(NamedTuple):
    """One line of a section's table."""

    name: str
    environment: str
    type: str
    default: str
    range: str
    meaning: str


def page(example: str) -> str:
    """The page's text.

    Parameters
    ----------
    example
        A settings file with every section; each section's part of it stands below the section's table.
    """
    parts = [_HEAD.rstrip()]
    blocks = _blocks(example)
    for heading, about, rows in _sections():
        parts += [f"## {heading}", about, _table(rows), f"```toml\n{blocks[heading]}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sections() -> Iterator[tuple[str, str, list[Row]]]:
    """Heading, first sentence and rows of each section."""
    top = {
        name: field for name, field in Settings.model_fields.items() if not _is_section(field) and name[:5] != "watch"
    }
    yield "At the top of the file", "", [_row(name, name, field) for name, field in top.items()]
    for section, field in Settings.model_fields.items():
        if _is_section(field):
            kind = field.annotation
            rows = [_row(f"{section}.{name}", name, inner) for name, inner in kind.model_fields.items()]
            yield f"[{section}]", (kind.__doc__ or "").splitlines()[0], rows
    yield "[watch]", "How a model is watched. See [Settings](settings.md#watch).", list(_watch())
    topic = [_row(f"watch_topics.{name}", name, field) for name, field in WatchTopic.model_fields.items()]
    about = (
        "A topic that somebody else fills, one table each. In the environment `DRIFTLINE_WATCH_TOPICS` is a JSON list. "
        "See [Settings](settings.md#watch_topics)."
    )
    yield "[[watch_topics]]", about, [row._replace(environment="") for row in topic]


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _row(key: str, name: str, field: FieldInfo) -> Row:
    default = "needed" if field.default is PydanticUndefined else f"`{shown(key, field.default)}`"
    range_ = "; ".join(_bounds(key, field))
    return Row(name, _variable(key), _type(key, field.annotation), default, range_, field.description or "")


def _watch() -> Iterator[Row]:
    hints = get_type_hints(Watch)
    for name, meaning in KEYS.items():
        key = f"watch.{name}"
        default = f"`{shown(key, defaults()[name])}`"
        yield Row(name, _variable(key), _type(key, hints[name]), default, RANGES[name], meaning)


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _type(key: str, kind: Any) -> str:
    """A setting's type in TOML's words, and the unit of a number.

    >>> _type("sink.rows_max", int), _type("kafka.retention_ms", int | None), _type("page.hosts", list[str])
    ('whole number, rows', 'length of time', 'list of text')
    """
    if is_duration(key):
        return "length of time"
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (part for part in get_args(kind) if part is not type(None))
    origin = get_origin(kind)
    if origin is Literal:
        return "text"
    if origin in (list, tuple):
        return "list of text"
    if origin is dict:
        return "table"
    unit = next((unit for end, unit in _UNITS.items() if re.search(rf"(^|[._]){end}$", key)), None)
    assert unit or kind not in (int, float), f"{key} is a number: name its unit in docs/generate/configuration.py"
    return f"{_TYPES[kind]}, {unit}" if unit else _TYPES[kind]


def _bounds(key: str, field: FieldInfo) -> Iterator[str]:
    """Which values the schema takes, in words."""
    kinds = [field.annotation, *get_args(field.annotation)]
    yield from (", ".join(get_args(kind)) for kind in kinds if get_origin(kind) is Literal)
    for constraint in field.metadata:
        least = getattr(constraint, "ge", None)
        if least is not None:
            yield f"{duration_text(least) if is_duration(key) else format(least, ',')} or more"
        if isinstance(constraint, AfterValidator) and isinstance(constraint.func, partial):
            yield rule(*constraint.func.args).removeprefix("use ")


def _table(rows: list[Row]) -> str:
    lines = ["| setting | type, unit | default | range | what it is for |", "|---|---|---|---|---|"]
    for row in rows:
        name = f"`{row.name}`" + (f"<br>`{row.environment}`" if row.environment else "")
        lines.append(f"| {name} | {row.type} | {row.default} | {row.range} | {row.meaning} |")
    return "\n".join(lines)


def _blocks(example: str) -> dict[str, str]:
    """A settings file by section; tables of one list stay together."""
    blocks: dict[str, list[str]] = {}
    heading = "At the top of the file"
    for line in example.splitlines():
        if line.startswith("["):
            heading = line.strip()
        if not line.startswith("#"):
            blocks.setdefault(heading, []).append(line)
    return {heading: "\n".join(lines).strip() for heading, lines in blocks.items()}
