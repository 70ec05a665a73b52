"""The envelope: what a request has besides its features, in whatever format: its model, its id, its time.

What the body leaves out comes from the record: the model from the header ``model``, the id from ``ce_id``, else it is
``topic/partition/offset``, the time from ``ce_time``, else it is Kafka's.
"""

from typing import Any, Protocol, runtime_checkable

from streams.wire.block import Block
from streams.wire.event_time import event_time_ms
from streams.wire.refusals import Refused
from streams.wire.schema import FeatureSchema
from streams.wire.time_limits import END_MS


class Schemas(Protocol):
    """Finds a model's name and schema; None asks for the default model, and gets None where there is none."""

    def __call__(self, model: str | None, /) -> tuple[str, FeatureSchema] | None: ...


@runtime_checkable
class ExplainsAbsence(Protocol):
    """A `Schemas` that knows why a model has no schema: it cannot be loaded, or several serve and none is named."""

    def why_absent(self, model: str | None) -> Refused: ...


REQUEST_BYTES_MAX = 512_000
ID_CHARACTERS_MAX = 512
AHEAD_MS_MAX = 3_600_000


def find(schemas: Schemas, model: str | None) -> tuple[str, FeatureSchema]:
    """Find a model's name and schema.

    Raises
    ------
    Refused
        There is none.
    """
    model_schema = schemas(model)
    if model_schema is None:
        if isinstance(schemas, ExplainsAbsence):
            raise schemas.why_absent(model)
        raise Refused("unknown_model", "$.model", f"no route for {model!r}" if model else "no model is named")
    return model_schema


def request_id(value: str | int, field: str = "$.id") -> str:
    """Read an id.

    Raises
    ------
    Refused
        It is empty or too long.
    """
    text = str(value)
    if not 0 < len(text) <= ID_CHARACTERS_MAX:
        raise Refused("impossible_id", field, f"{len(text)} characters; between 1 and {ID_CHARACTERS_MAX} are kept")
    return text


def event_time(value: float | str, kafka_ms: int, field: str = "$.ts") -> int:
    """Read the time of an event that arrived at ``kafka_ms``.

    Parameters
    ----------
    value
        RFC 3339 text, or milliseconds since 1970 as a number or a text of digits.
    kafka_ms
        When the record arrived, ms; a time more than an hour ahead of it is refused.
    field
        Where the time stands, for the refusal.

    Raises
    ------
    Refused
        It is no time, or lies more than an hour ahead.
    """
    ts = event_time_ms(value)
    if ts is None:
        raise Refused("impossible_timestamp", field, f"{value!r} is neither milliseconds since 1970 nor RFC 3339")
    if ts > kafka_ms + AHEAD_MS_MAX:
        raise Refused("impossible_timestamp", field, f"{value!r} is more than an hour ahead of its arrival")
    return ts


def header(block: Block, at: int, name: str) -> str | None:
    """Text of a record's header; None where it has none, or an empty one.

    Parameters
    ----------
    at
        Position of the record in the block.
    name
        Name of the header, as a client wrote it.
    """
    for key, value in block.headers[at] or ():
        if key == name and value:
            return value.decode("utf-8", "replace")
    return None


def default_id(block: Block, at: int) -> str:
    """Id of a request that says none: that of its CloudEvent, else its place."""
    named = header(block, at, "ce_id") if block.headers[at] else None
    return block.place(at) if named is None else request_id(named, "ce_id")


def default_time(block: Block, at: int) -> int:
    """Time of a request that says none: that of its CloudEvent, else when Kafka had it.

    Raises
    ------
    Refused
        That is no time, or a strange client has left even Kafka's out.
    """
    ce_time = header(block, at, "ce_time") if block.headers[at] else None
    arrived = block.times[at]
    if ce_time is not None:
        return event_time(ce_time, arrived, "ce_time")
    if not 0 <= arrived < END_MS:
        raise Refused("impossible_timestamp", "$.ts", f"no time is said, and Kafka's is {arrived}")
    return arrived


def id_of(block: Block, at: int, id_: str | int | None) -> str:
    """Id of a request: its own, else the default.

    Parameters
    ----------
    at
        Position of the record in the block.
    id_
        What the request says; None where it says nothing.
    """
    return default_id(block, at) if id_ is None else request_id(id_)


def time_if_any(block: Block, at: int, ts: Any) -> int | None:
    """Time of a request that is refused for something else; None where it cannot be read either.

    Parameters
    ----------
    at
        Position of the record in the block.
    ts
        What stands there, of any type.
    """
    try:
        return time_of(block, at, ts) if isinstance(ts, float | int | str | None) else None
    except Refused:
        return None


def time_of(block: Block, at: int, ts: float | str | None) -> int:
    """Time of a request: its own, else the default.

    Parameters
    ----------
    at
        Position of the record in the block.
    ts
        What the request says; None where it says nothing.
    """
    return default_time(block, at) if ts is None else event_time(ts, block.times[at])
