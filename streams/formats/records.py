"""Formats whose messages are one request each, as a plain object: fields are found by name, exactly as in JSON."""

import datetime as dt
from typing import Any

import msgspec

from streams.formats.envelope import REQUEST_BYTES_MAX, Schemas, find, header, id_of, time_if_any, time_of
from streams.formats.known_names import missing, own_names, unknown
from streams.formats.misfit import misfit
from streams.formats.record_parts import OBJECTS
from streams.formats.request_types import convert, features_of, request_decoders
from streams.formats.row_batch import complete
from streams.wire.block import Block
from streams.wire.refusals import Refusal, Refused
from streams.wire.rows import Gathering, Rows
from streams.wire.schema import FeatureSchema

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class RecordReader:
    """Reads messages as plain objects.

    Attributes
    ----------
    expects
        What a request is called in this format.
    """

    expects = "record"

    def begin(self) -> None:
        """Begin a block: nothing to forget."""

    def __call__(self, value: bytes) -> Any:
        """Read one message, which is not empty.

        Raises
        ------
        Refused
            It is none of the format.
        RegistryAway
            What is needed to read it does not answer.
        """
        raise NotImplementedError


class RecordDecoder:
    """Reads blocks of requests that are one record each.

    Parameters
    ----------
    schemas
        Finds a model's schema.
    read
        Reads one record.
    """

    def __init__(self, schemas: Schemas, read: RecordReader) -> None:
        self._schemas = schemas
        self._read = read

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
            record: dict[str, Any] = {}
            try:
                record = self._record(block.values[at])
                model, schema = find(self._schemas, header(block, at, "model") or record.get("model"))
                request, features = _fitted(record, schema)
                id_, ts = id_of(block, at, request.id), time_of(block, at, request.ts)
            except Refused as why:
                refused.append(self._refusal(block, at, record, why))
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
        record = self._read(value)
        if not isinstance(record, dict):
            got = type(record).__name__
            raise Refused("wrong_type", "$", f"Expected `{self._read.expects}`, got `{got}`", got)
        if isinstance(record.get("ts"), dt.datetime):
            record["ts"] = _milliseconds(record["ts"])
        if not isinstance(record.get("model"), str | None):
            got = type(record["model"]).__name__
            raise Refused("wrong_type", "$.model", f"Expected `str | null`, got `{got}`", got)
        return record

    def _refusal(self, block: Block, at: int, record: dict[str, Any], why: Refused) -> Refusal:
        """The refusal of a record, with its model and time as far as they can be read."""
        model = self._schemas(header(block, at, "model") or record.get("model")) if record else None
        ts = time_if_any(block, at, record.get("ts")) if record else None
        return why.at(at, model[0] if model else "", ts)


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
        why = misfit(form, record, error, OBJECTS)
    except Refused as error:
        why = error
    raise missing(why, names, schema) if why.args[0] == "missing_field" else why


def _milliseconds(moment: dt.datetime) -> int:
    """Milliseconds since 1970; a naive moment is UTC."""
    return (moment.replace(tzinfo=moment.tzinfo or dt.UTC) - _EPOCH) // dt.timedelta(milliseconds=1)
