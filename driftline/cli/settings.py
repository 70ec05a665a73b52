"""The settings, as they are."""

from typing import Any

from driftline.cli.options import AsJson, File, echo_json, group, say
from driftline.durations import duration_text, is_duration
from driftline.secrets import concealed

app = group("Show the settings.")


@app.callback()
def about() -> None:
    """Show the settings."""


@app.command()
def show(file: File = None, as_json: AsJson = False) -> None:
    """Print every setting with its value and where that came from."""
    from driftline import settings as reading

    rows = [
        {"key": key, "value": concealed(key, value), "origin": origin}
        for key, value, origin in reading.origins(None, file)
    ]
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        say(f"{row['key']:<36} {shown(row['key'], row['value']):<32} {row['origin']}")


def shown(key: str, value: Any) -> str:
    """A value as it stands in a settings file; a secret that is no reference is not shown, nor is one in an address.

    >>> shown("monitor.idle_after_ms", 90_000), shown("sink.rows_max", 20_000), shown("kafka.retention_ms", None)
    ('"1min 30s"', '20000', '-')
    >>> shown("clickhouse.url", "clickhouse://me:secret@host/db"), shown("watch.budget", {"feature": 1.0})
    ('"clickhouse://me:***@host/db"', '{feature = 1.0}')
    """
    import tomlkit

    if value is None:
        return "-"
    if is_duration(key) and isinstance(value, int):
        value = duration_text(value)
    return _inline(tomlkit, concealed(key, value))


def _inline(tomlkit: Any, value: Any) -> str:
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update({name: _plain(inner) for name, inner in value.items()})
        return str(table.as_string())
    if isinstance(value, list | tuple):
        return f"[{', '.join(_inline(tomlkit, _plain(inner)) for inner in value)}]"
    return str(tomlkit.item(_plain(value)).as_string())


def _plain(value: Any) -> Any:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    return value if isinstance(value, str | int | float | bool | dict | list) else str(value)
