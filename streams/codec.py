"""Requests in, rows out: JSON by a model's schema; what cannot be read is refused with its place and field.

A request is ``{"id"?, "ts"?, "model"?, "features": {...}}`` or the same with the features at the top level. Fields that
the schema does not know are left alone. What the body leaves out comes from the record: the model from the header
``model``, the id from ``ce_id``, else it is ``topic/partition/offset``, the time from ``ce_time``, else it is Kafka's.

Other formats, by the same rules, are in `streams.formats`.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal, get_args

import msgspec
import numpy as np
from msgspec import UNSET
from msgspec.structs import astuple

from streams.block import Block
from streams.schema import Feature, FeatureSchema, level_text
from streams.stage import Headers

#: Finds a model's name and schema; None asks for the default model, and gets None where there is none.
Schemas = Callable[[str | None], tuple[str, FeatureSchema] | None]

Reason = Literal[
    "empty",
    "oversize",
    "undecodable",
    "unknown_schema",
    "wrong_type",
    "missing_field",
    "unknown_model",
    "impossible_timestamp",
    "impossible_id",
    "model_failed",
    "unknown_prediction",
]
REASONS: tuple[str, ...] = get_args(Reason)

REQUEST_BYTES_MAX = 512_000
ID_CHARACTERS_MAX = 512
AHEAD_MS_MAX = 3_600_000
# An integer time below this is 1973 in milliseconds and this century in seconds: a client that sends seconds.
_SECONDS_BELOW_MS = 100_000_000_000


class Refusal(msgspec.Struct, frozen=True):
    """Why a record has no outcome but a dead letter: its position in the block, the reason, the field's path."""

    at: int
    reason: Reason
    field: str
    detail: str


class Rows(msgspec.Struct, frozen=True):
    """Decoded requests of one model, in block order.

    Attributes
    ----------
    matrix
        float32 [rows, features]; see `streams.schema`.
    unseen
        Per categorical column: row -> text of a level outside its categories.
    ids
        Request id, else ``topic/partition/offset``.
    ts
        int64 [rows], event time in ms.
    at
        int64 [rows], position in the block.
    row
        int32 [rows], place within the message; 0 but for messages of many requests.
    """

    schema: FeatureSchema
    matrix: np.ndarray
    unseen: dict[int, dict[int, str]]
    ids: list[str]
    ts: np.ndarray
    at: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def pick(self, chosen: np.ndarray) -> "Rows":
        """Some of the rows, by position: int64, ascending."""
        if len(chosen) == len(self):
            return self
        place = {int(old): new for new, old in enumerate(chosen)}
        return Rows(
            self.schema,
            self.matrix[chosen],
            {j: {place[n]: text for n, text in texts.items() if n in place} for j, texts in self.unseen.items()},
            [self.ids[n] for n in chosen],
            self.ts[chosen],
            self.at[chosen],
            self.row[chosen],
        )


class Refused(Exception):
    """Why one record, or one row of it, is refused: reason, field, detail; whoever reads a block catches it."""

    def __init__(self, reason: Reason, field: str, detail: str) -> None:
        super().__init__(reason, field, detail)


class JsonDecoder:
    """Reads blocks of JSON requests.

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
            plain = _Plain(*default)
            taken[default[0]], others = plain(block)
        refused: list[Refusal] = []
        for at in others:
            try:
                model, schema, request, features = self._read(block, at)
                id_, ts = _id(block, at, request.id), _time(block, at, request.ts)
            except Refused as why:
                refused.append(Refusal(at, *why.args))
                continue
            gathering = taken.get(model)
            if gathering is None:
                gathering = taken[model] = Gathering(schema)
            gathering.add(at, id_, ts, features)
        return {model: gathering.rows() for model, gathering in taken.items() if gathering.at}, refused

    def _read(self, block: Block, at: int) -> tuple[str, FeatureSchema, Any, tuple[Any, ...]]:
        value = block.values[at]
        if not value:
            raise Refused("empty", "$", "the record has no value")
        if len(value) > REQUEST_BYTES_MAX:
            raise Refused("oversize", "$", f"{len(value)} bytes, at most {REQUEST_BYTES_MAX} are read")
        named = header(block, at, "model") if block.headers[at] else None
        if named is None and (default := self._schemas(None)) is not None:
            try:
                request, features = _decode(value, default[1])
                if request.model in (None, default[0]):
                    return *default, request, features
            except Refused:
                if _model_field(value) in (None, default[0]):
                    raise  # else it is another model's request, and fails by that one's schema
        found = find(self._schemas, _model_field(value) if named is None else named)
        return *found, *_decode(value, found[1])


_OWN = attrgetter("id", "ts", "model", "features")


class _Plain:
    """Reads what nearly every request is: the default model's, right, complete, and without a header that says more.

    It goes through a block a column at a time, which takes half as long. Of whatever is not plain it leaves the
    position: `JsonDecoder._read` finds out what that is.
    """

    def __init__(self, model: str, schema: FeatureSchema) -> None:
        self._model = model
        self._schema = schema
        self._decode = request_decoders(schema).either.decode

    def __call__(self, block: Block) -> tuple["Gathering", list[int]]:
        """Read what is plain; returns it, and the positions of the others."""
        decode, at, requests = self._decode, [], []
        others: list[int] = []
        for n, (value, headers) in enumerate(zip(block.values, block.headers, strict=True)):
            if not value or len(value) > REQUEST_BYTES_MAX or (headers and _say_more(headers)):
                others.append(n)
                continue
            try:
                requests.append(decode(value))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                others.append(n)
            else:
                at.append(n)
        gathering = Gathering(self._schema)
        while odd := self._gather(gathering, block, at, requests):
            others += [at[n] for n in odd]
            at, requests = ([one for n, one in enumerate(own) if n not in odd] for own in (at, requests))
        return gathering, sorted(others)

    def _gather(self, gathering: "Gathering", block: Block, at: list[int], requests: list[Any]) -> set[int]:
        """Gather requests, all or none: returns those that are not plain after all."""
        if not requests:
            return set()
        as_first = astuple if requests[0].features is UNSET else _OWN
        ids, times, models, nested, *flat = zip(*map(as_first, requests), strict=True)
        odd: set[int] = set()
        if models.count(None) < len(models):
            odd |= {n for n, model in enumerate(models) if model not in (None, self._model)}
        if (count := nested.count(UNSET)) < len(nested):  # in an object of their own, or at least some
            most = count * 2 > len(nested)
            odd |= {n for n, own in enumerate(nested) if (own is UNSET) != most}
            if not most:
                flat = [] if odd else list(zip(*map(astuple, nested), strict=True))
        for j, feature in enumerate(self._schema.features if flat else ()):
            if UNSET in flat[j]:
                odd |= {n for n, value in enumerate(flat[j]) if value is UNSET and feature.required}
                flat[j] = tuple(None if value is UNSET else value for value in flat[j])
        names = [id_ if type(id_) is str and len(id_) <= ID_CHARACTERS_MAX else "" for id_ in ids]
        moments = [block.times[n] for n in at]
        if "" in names or times.count(None) < len(times) or min(moments) < 0:
            for n, (id_, ts) in enumerate(zip(ids, times, strict=True)):
                try:
                    names[n] = names[n] or _id(block, at[n], id_)
                    moments[n] = _time(block, at[n], ts)
                except Refused:
                    odd.add(n)
        if not odd:
            gathering.add_all(at, names, moments, flat)
        return odd


def _say_more(headers: Headers) -> bool:
    """Whether headers name a model, an id or a time."""
    return any(name in ("model", "ce_id", "ce_time") for name, _ in headers)


def _id(block: Block, at: int, own: str | int | None) -> str:
    return default_id(block, at) if own is None else request_id(own)


def _time(block: Block, at: int, own: float | str | None) -> int:
    return default_time(block, at) if own is None else event_time(own, block.times[at])


def find(schemas: Schemas, model: str | None) -> tuple[str, FeatureSchema]:
    """Find a model's name and schema.

    Raises
    ------
    Refused
        There is none.
    """
    found = schemas(model)
    if found is None:
        raise Refused("unknown_model", "$.model", f"no route for {model!r}" if model else "no model is named")
    return found


class _Named(msgspec.Struct):
    model: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


def _model_field(value: bytes) -> str | None:
    """Read the model's name alone: which schema holds is not known before it."""
    named: _Named = _said(_NAMED, value)
    return named.model


class Decoders(msgspec.Struct, frozen=True):
    """``either`` takes both forms, features in an object of their own or at the top level, in one pass; ``nested`` the
    first alone, and leaves the top level alone; ``features`` is the Struct of that object.
    """

    either: msgspec.json.Decoder[Any]
    nested: msgspec.json.Decoder[Any]
    features: type[msgspec.Struct]


@lru_cache(maxsize=256)
def request_decoders(schema: FeatureSchema) -> Decoders:
    """Make what checks a request by a schema; ``.type`` of either one is a Struct for `msgspec.convert`."""
    fields = [(f"f{j}", *_field(feature)) for j, feature in enumerate(schema.features)]
    rename = {f"f{j}": feature.name for j, feature in enumerate(schema.features)}
    # gc=False: they hold no cycles, and thousands live at once, which the collector would walk again and again.
    features = msgspec.defstruct("Features", fields, rename=rename, kw_only=True, gc=False)
    flat = [(name, kind | msgspec.UnsetType, UNSET) for name, kind, *_ in fields]
    own = [
        ("id", str | int | None, None),
        ("ts", int | float | str | None, None),
        ("model", str | None, None),
        ("features", features | msgspec.UnsetType, UNSET),
    ]
    either = msgspec.defstruct("Request", [*own, *flat], rename=rename, gc=False)
    return Decoders(msgspec.json.Decoder(either), msgspec.json.Decoder(msgspec.defstruct("Nested", own)), features)


def _field(feature: Feature) -> tuple[Any, ...]:
    kind: Any = {"numeric": float, "boolean": bool | Literal[0, 1], "categorical": str | int | float}[feature.kind]
    return (kind,) if feature.required else (kind | None, None)


_AT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>.*)`", re.DOTALL)


def _said(decoder: msgspec.json.Decoder[Any], value: bytes) -> Any:
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise misfit(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("undecodable", "$", str(error)) from None


def misfit(error: msgspec.ValidationError) -> Refused:
    """Say which field does not fit, and how."""
    said = _AT.match(str(error))
    what, path = (said["what"], said["path"] or "$") if said else (str(error), "$")
    missing = _MISSING.search(what)
    return Refused("missing_field", f"{path}.{missing['name']}", what) if missing else Refused("wrong_type", path, what)


class _Form(msgspec.Struct):
    features: msgspec.Raw | msgspec.UnsetType = UNSET


_FORM = msgspec.json.Decoder(_Form)


def _decode(value: bytes, schema: FeatureSchema) -> tuple[Any, tuple[Any, ...]]:
    decoders = request_decoders(schema)
    try:
        request = _said(decoders.either, value)
    except Refused:
        # What stands at the top level is nobody's business where features lie in their own object; asked only of
        # what fails, because one pass for both forms is what makes reading quick.
        if _said(_FORM, value).features is UNSET:
            raise
        request = _said(decoders.nested, value)
    return request, features_of(request, schema)


def features_of(request: Any, schema: FeatureSchema) -> tuple[Any, ...]:
    """Values of a request in schema order, in whichever form it came.

    Raises
    ------
    Refused
        A required one is missing at the top level.
    """
    if request.features is not UNSET:
        return astuple(request.features)
    features = astuple(request)[4:]
    if UNSET in features:
        return tuple(_flat(v, f) for v, f in zip(features, schema.features, strict=True))
    return features


def _flat(value: Any, feature: Feature) -> Any:
    if value is not UNSET:
        return value
    if feature.required:
        raise Refused("missing_field", f"$.{feature.name}", f"Object missing required field `{feature.name}`")
    return None


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
    """Text of a record's header; None where it has none, or an empty one."""
    for own, value in block.headers[at] or ():
        if own == name and value:
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
    said = header(block, at, "ce_time") if block.headers[at] else None
    arrived = block.times[at]
    if said is not None:
        return event_time(said, arrived, "ce_time")
    if arrived < 0:
        raise Refused("impossible_timestamp", "$.ts", f"no time is said, and Kafka's is {arrived}")
    return arrived


def event_time_ms(value: float | str) -> int | None:
    """Read a time: integer milliseconds or RFC 3339 text (naive means UTC); None if it is neither.

    >>> event_time_ms("1970-01-02T00:00:00Z"), event_time_ms(1_700_000_000_000), event_time_ms(1_700_000_000)
    (86400000, 1700000000000, None)
    """
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        ms = int(moment.timestamp() * 1000)
        return ms if ms >= 0 else None
    if not _SECONDS_BELOW_MS <= value < 2**53 or value != int(value):
        return None
    return int(value)


class Gathering:
    """Rows of one model on their way into columns: some as columns already, others a record a row."""

    def __init__(self, schema: FeatureSchema) -> None:
        self.schema = schema
        self.at: list[int] = []
        self._ids: list[str] = []
        self._ts: list[int] = []
        self._columns: Sequence[Sequence[Any]] = ()
        self._features: list[tuple[Any, ...]] = []

    def add_all(self, at: list[int], ids: list[str], ts: list[int], columns: Sequence[Sequence[Any]]) -> None:
        """Add rows before all others: their values by feature, in schema order."""
        self.at, self._ids, self._ts, self._columns = at, ids, ts, columns

    def add(self, at: int, id_: str, ts: int, features: tuple[Any, ...]) -> None:
        """Add a row: its values in schema order."""
        self.at.append(at)
        self._ids.append(id_)
        self._ts.append(ts)
        self._features.append(features)

    def rows(self) -> Rows:
        """All that were added, in block order."""
        if self._columns and self._features:
            self._put_in_order()
        columns = self._columns or list(zip(*self._features, strict=True))
        n = len(self.at)
        matrix = np.empty((n, len(self.schema)), np.float32)
        unseen: dict[int, dict[int, str]] = {}
        for j, (feature, column) in enumerate(zip(self.schema.features, columns, strict=True)):
            if feature.kind == "categorical":
                matrix[:, j], strange = categorical_codes(feature, column)
                if strange:
                    unseen[j] = strange
            else:
                with np.errstate(over="ignore"):  # beyond float32 is infinity, a cell of its own
                    matrix[:, j] = np.array(column, np.float64)
        at, ts = np.array(self.at, np.int64), np.array(self._ts, np.int64)
        return Rows(self.schema, matrix, unseen, self._ids, ts, at, np.zeros(n, np.int32))

    def _put_in_order(self) -> None:
        features = [*zip(*self._columns, strict=True), *self._features]
        order = sorted(range(len(self.at)), key=self.at.__getitem__)
        self.at, self._ts = [self.at[n] for n in order], [self._ts[n] for n in order]
        self._ids, self._features, self._columns = [self._ids[n] for n in order], [features[n] for n in order], ()


def categorical_codes(feature: Feature, column: Sequence[Any]) -> tuple[list[int], dict[int, str]]:
    """Codes of a categorical column as the matrix holds them, and the texts of unknown levels by row.

    >>> categorical_codes(Feature("c", "categorical", categories=("16", "17")), [17.0, "16", None, "x"])
    ([1, 0, 3, 2], {3: 'x'})
    """
    codes: dict[Any, int] = {level: code for code, level in enumerate(feature.categories)}
    codes[None] = feature.null_code
    strange: dict[int, str] = {}
    out: list[int] = []
    for row, value in enumerate(column):
        code = codes.get(value)
        if code is None:
            text = level_text(value)
            code = codes[value] = codes.get(text, feature.unseen_code)
        if code == feature.unseen_code:
            strange[row] = level_text(value)
        out.append(code)
    return out, strange
