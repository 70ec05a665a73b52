"""JSON: one request a message.

A request is ``{"id"?, "ts"?, "model"?, "features": {...}}`` or the same with the features at the top level. Fields that
the schema does not know are left alone.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from streams.formats.envelope import REQUEST_BYTES_MAX, Schemas, find, header, id_of, time_if_any, time_of
from streams.formats.json_fast_path import JsonColumns
from streams.formats.json_text import undecodable, unmarked
from streams.formats.known_names import missing, own_names, unknown
from streams.formats.misfit import misfit
from streams.formats.request_types import Reader, features_of, request_decoders
from streams.wire.block import Block
from streams.wire.refusals import Refusal, Refused
from streams.wire.rows import Gathering, Rows, without_values
from streams.wire.schema import FeatureSchema


class JsonDecoder:
    """Reads blocks of JSON requests.

    >>> from streams.wire.schema import Feature
    >>> schema = FeatureSchema((Feature("age", required=True), Feature("city", "categorical", categories=("Rome",))))
    >>> decode = JsonDecoder(lambda model: ("m", schema))
    >>> values = [b'{"id":"a","features":{"age":41,"city":"Rome"}}', b'{"age":"x"}']
    >>> rows, refused = decode(Block.of("requests", 0, values))
    >>> rows["m"].matrix.tolist(), rows["m"].ids
    ([[41.0, 0.0]], ['a'])
    >>> refused[0].reason, refused[0].field, refused[0].detail
    ('wrong_type', '$.age', 'Expected `float`, got `str`')
    """

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def __call__(self, block: Block) -> tuple[dict[str, Rows], list[Refusal]]:
        """Decode a block: rows by model, and the refused records."""
        default = self._schemas(None)
        taken: dict[str, Gathering] = {}
        others: Iterable[int] = range(len(block))
        if default is not None:
            plain = JsonColumns(*default)
            taken[default[0]], others = plain(block)
        refused: list[Refusal] = []
        for at in others:
            try:
                model, schema, request, features = self._read(block, at)
                id_, ts = id_of(block, at, request.id), time_of(block, at, request.ts)
            except Refused as why:
                refused.append(why.at(at, *self._whose(block, at)))
                continue
            gathering = taken.get(model)
            if gathering is None:
                gathering = taken[model] = Gathering(schema)
            gathering.add(at, id_, ts, features)
        by_model: dict[str, Rows] = {}
        for model, gathering in taken.items():
            if gathering.at:
                rows, strangers = _part(gathering.rows(), model, block)
                refused += strangers
                if len(rows):
                    by_model[model] = rows
        return by_model, refused

    def _read(self, block: Block, at: int) -> tuple[str, FeatureSchema, Any, tuple[Any, ...]]:
        value = block.values[at]
        if not value:
            raise Refused("empty", "$", "the record has no value")
        if len(value) > REQUEST_BYTES_MAX:
            raise Refused("oversize", "$", f"{len(value)} bytes, at most {REQUEST_BYTES_MAX} are read")
        value = unmarked(value)
        named = header(block, at, "model") if block.headers[at] else None
        if named is None and (default := self._schemas(None)) is not None:
            try:
                request, features = _decode(value, default[1])
                if request.model in (None, default[0]):
                    return *default, request, features
            except Refused:
                if _model_field(value) in (None, default[0]):
                    raise  # else it is another model's request, and fails by that one's schema
        model_schema = find(self._schemas, _model_field(value) if named is None else named)
        return *model_schema, *_decode(value, model_schema[1])

    def _whose(self, block: Block, at: int) -> tuple[str, int | None]:
        """Whose request one that is refused was, and its time, as far as they can be read."""
        try:
            envelope = _ENVELOPE.decode(unmarked(block.values[at] or b""))
        except _UNREADABLE:
            return "", None
        model_schema = self._schemas(header(block, at, "model") or envelope.model)
        return model_schema[0] if model_schema else "", time_if_any(block, at, envelope.ts)


class _Envelope(msgspec.Struct):
    model: str | None = None
    ts: Any = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)


class _Named(msgspec.Struct):
    model: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


def _model_field(value: bytes) -> str | None:
    """Read the model's name alone: which schema holds is not known before it."""
    named: _Named = _read(_NAMED, value)
    return named.model


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _read(decoder: Reader, value: bytes) -> Any:
    try:
        return decoder.decode(value)
    except _UNREADABLE as error:
        raise _refused(decoder, value, error) from None


def _refused(decoder: Reader, value: bytes, error: Exception) -> Refused:
    if isinstance(error, msgspec.ValidationError):
        return misfit(decoder, value, error)
    return undecodable(value, error)


class _Form(msgspec.Struct):
    features: msgspec.Raw | msgspec.UnsetType = UNSET


_FORM = msgspec.json.Decoder(_Form)


def _part(rows: Rows, model: str, block: Block) -> tuple[Rows, list[Refusal]]:
    """Part rows from requests that name no feature of the model, of which one without required features takes all."""
    refused = {}
    for n in without_values(rows).tolist():
        at = int(rows.at[n])
        names, field = _names(unmarked(block.values[at] or b""))
        if why := unknown(names, rows.schema, field):
            reason, where, detail = why.args
            refused[n] = Refusal(at, reason, where, detail, model, int(rows.ts[n]))
    if not refused:
        return rows, []
    return rows.pick(np.delete(np.arange(len(rows)), list(refused))), list(refused.values())


_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _names(value: bytes) -> tuple[list[str], str]:
    """Names of a request's features, or of what may be some, and where they stand."""
    try:
        top = _KEYS.decode(value)
        if "features" in top:
            return list(_KEYS.decode(top["features"])), "$.features"
    except _UNREADABLE:  # in fields that the request's own decoder skips
        return [], "$"
    return own_names(top), "$"


def _decode(value: bytes, schema: FeatureSchema) -> tuple[Any, tuple[Any, ...]]:
    try:
        return _fitted(value, schema)
    except Refused as why:
        if why.args[0] != "missing_field":
            raise
        names, field = _names(value)
        raise unknown(names, schema, field) or missing(why, names, schema) from None


def _fitted(value: bytes, schema: FeatureSchema) -> tuple[Any, tuple[Any, ...]]:
    decoders = request_decoders(schema)
    try:
        request = decoders.either.decode(value)
    except _UNREADABLE as error:
        # Where features lie in their own object, the top level is ignored. Checked only here, on failure: one pass for
        # both forms is what makes reading quick.
        if _read(_FORM, value).features is UNSET:
            raise _refused(decoders.either, value, error) from None
        request = _read(decoders.nested, value)
    return request, features_of(request, schema)
