"""Avro in Confluent's frame: a zero byte, the number of the writer's schema, and one record.

A record is read by the schema that it was written by, and then fitted to what the model asks for, by name, exactly as a
JSON request is: fields may come and go on the writer's side as long as those that the model requires are there.
"""

import datetime as dt
import decimal
import io
import uuid
from typing import Any

import msgspec

from streams.formats.envelope import REQUEST_BYTES_MAX, Schemas, find, header, id_of, time_if_any, time_of
from streams.formats.known_names import missing, own_names, unknown
from streams.formats.request_types import convert, features_of, misfit, request_decoders
from streams.formats.row_batch import complete
from streams.formats.schema_registry import SchemaRegistry, UnknownSchema
from streams.wire.block import Block
from streams.wire.refusals import Refusal, Refused
from streams.wire.rows import Gathering, Rows
from streams.wire.schema import FeatureSchema

FRAME_BYTES = 5

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class AvroReader:
    """Reads framed records as plain objects.

    Parameters
    ----------
    registry
        None where none is named: then every record is refused.
    """

    def __init__(self, registry: SchemaRegistry | None) -> None:
        self._registry = registry
        self._unknown: dict[int, str] = {}
        self._decode: Any = None

    def begin(self) -> None:
        """Begin a block: what the registry did not know before, it may know now."""
        self._unknown.clear()

    def __call__(self, value: bytes) -> Any:
        """Read one record.

        Raises
        ------
        Refused
            No frame, a schema that nobody knows, or bytes that are none of it.
        RegistryAway
            The registry does not answer.
        """
        if value[0] != 0 or len(value) < FRAME_BYTES:
            raise Refused("undecodable", "$", "no Avro in Confluent's frame: a zero byte, four of the schema's number")
        schema = self._schema(int.from_bytes(value[1:FRAME_BYTES]))
        stream = io.BytesIO(value)
        stream.seek(FRAME_BYTES)
        try:
            said = self._decode(stream, schema, None)
        except Exception as error:  # whatever strange bytes make of the library
            raise Refused("undecodable", "$", f"no record of its schema: {type(error).__name__}: {error}") from None
        if stream.tell() != len(value):
            raise Refused("undecodable", "$", f"{len(value) - stream.tell()} bytes stand behind the record")
        return _as_json(said)

    def _schema(self, number: int) -> Any:
        if self._registry is None:
            told = f"Avro of schema {number}, and no registry is named; set schema_registry.url"
            raise Refused("unknown_schema", "$", told)
        if self._decode is None:
            from fastavro import schemaless_reader  # who reads JSON alone does not need it

            self._decode = schemaless_reader
        if number not in self._unknown:
            try:
                return self._registry.schema(number)
            except UnknownSchema as error:
                self._unknown[number] = str(error)  # a block of strangers asks once
        raise Refused("unknown_schema", "$", self._unknown[number])


class AvroDecoder:
    """Reads blocks of Avro requests."""

    def __init__(self, schemas: Schemas, registry: SchemaRegistry | None) -> None:
        self._schemas = schemas
        self._read = AvroReader(registry)

    def __call__(self, block: Block) -> tuple[dict[str, Rows], list[Refusal]]:
        """Decode a block: rows by model, and the refused records.

        Raises
        ------
        RegistryAway
            The block should come again.
        """
        self._read.begin()
        taken: dict[str, Gathering] = {}
        refused: list[Refusal] = []
        for at in range(len(block)):
            said: dict[str, Any] = {}
            try:
                said = self._record(block.values[at])
                model, schema = find(self._schemas, header(block, at, "model") or said.get("model"))
                request, features = _fitted(said, schema)
                id_, ts = id_of(block, at, request.id), time_of(block, at, request.ts)
            except Refused as why:
                found = self._schemas(header(block, at, "model") or said.get("model")) if said else None
                when = time_if_any(block, at, said.get("ts")) if said else None
                reason, field, detail = why.args
                refused.append(Refusal(at, reason, field, detail, found[0] if found else "", when))
                continue
            taken.setdefault(model, Gathering(schema)).add(at, id_, ts, features)
        rows: dict[str, Rows] = {}
        for model, gathering in taken.items():
            rows[model], incomplete = complete(gathering.rows(), model)
            refused += incomplete
        return rows, refused

    def _record(self, value: bytes | None) -> dict[str, Any]:
        if not value:
            raise Refused("empty", "$", "the record has no value")
        if len(value) > REQUEST_BYTES_MAX:
            raise Refused("oversize", "$", f"{len(value)} bytes, at most {REQUEST_BYTES_MAX} are read")
        said = self._read(value)
        if not isinstance(said, dict):
            raise Refused("wrong_type", "$", f"Expected `record`, got `{type(said).__name__}`")
        if isinstance(said.get("ts"), dt.datetime):
            said["ts"] = _milliseconds(said["ts"])
        if not isinstance(said.get("model"), str | None):
            raise Refused("wrong_type", "$.model", f"Expected `str | null`, got `{type(said['model']).__name__}`")
        return said


def _as_json(value: Any) -> Any:
    """Values of logical types that JSON has not, as it would say them: decimals as numbers, UUIDs as text.

    >>> _as_json({"fee": decimal.Decimal("1.50"), "n": [decimal.Decimal(7)], "who": uuid.UUID(int=1)})
    {'fee': 1.5, 'n': [7], 'who': '00000000-0000-0000-0000-000000000001'}
    """
    if isinstance(value, dict):
        return {name: _as_json(part) if type(part) in _COMPOSED else part for name, part in value.items()}
    if isinstance(value, list):
        return [_as_json(part) if type(part) in _COMPOSED else part for part in value]
    if isinstance(value, decimal.Decimal):
        return int(value) if value.is_finite() and value == int(value) else float(value)
    return str(value) if isinstance(value, uuid.UUID) else value


_COMPOSED = frozenset({dict, list, decimal.Decimal, uuid.UUID})


def _fitted(record: dict[str, Any], schema: FeatureSchema) -> tuple[Any, tuple[Any, ...]]:
    decoders = request_decoders(schema)
    # What stands beside an object of features is left alone, as in JSON.
    form = decoders.nested if "features" in record else decoders.either
    names, field = own_names(record), "$"
    if isinstance(nested := record.get("features"), dict):
        names, field = list(nested), "$.features"
    strange = unknown(names, schema, field) if nested is None or isinstance(nested, dict) else None
    if strange:
        raise strange
    try:
        request = convert(form, record)
        return request, features_of(request, schema)
    except msgspec.ValidationError as error:
        why = misfit(error)
    except Refused as error:
        why = error
    raise missing(why, names, schema) if why.args[0] == "missing_field" else why


def _milliseconds(moment: dt.datetime) -> int:
    """Milliseconds since 1970; a naive moment is UTC."""
    return (moment.replace(tzinfo=moment.tzinfo or dt.UTC) - _EPOCH) // dt.timedelta(milliseconds=1)
