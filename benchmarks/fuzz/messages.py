"""What is sent: requests of every format, whole, maimed and made up. Message ``n`` of a seed is always the same."""

import datetime as dt
import io
import json
import random
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import fastavro
import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.fuzz.subject import PARSED, SCHEMA, UNBEARABLE

Headers = list[tuple[str, bytes | None]]

_PACKED = ("content-type", b"application/vnd.driftline.float32")


class Message(NamedTuple):
    """One record. ``answers`` is how many predictions it must get, 0 for one that must be refused; None where the kind
    alone does not say.
    """

    kind: str
    value: bytes | None
    headers: Headers | None = None
    answers: int | None = None


def message(seed: int, n: int) -> Message:
    """Make message ``n``."""
    rng = random.Random(f"{seed}/{n}")
    make = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    made = make(rng)
    if rng.random() > 0.2:
        return made
    return made._replace(headers=_with_odd_headers(rng, made), answers=None if made.answers else made.answers)


# --- values -----------------------------------------------------------------------------------------

_NUMBERS = (0, -1, 41, 0.5, -0.0, 1e308, -1e308, 5e-324, 2**31, 2**53, 2**63, 2**64, 10**30, UNBEARABLE, 3.4e38, 3.5e38)
_TEXTS = (
    "",
    "Rome",
    "16",
    "16.0",
    "a",
    "b",
    "x" * 600,
    "\x00",
    "é",
    "\U0001f600",
    "\u202e",
    "NaN",
    "null",
    "2024-01-01",
)
_NAMES = ("id", "ts", "model", "features", *SCHEMA.names)


def _leaf(rng: random.Random) -> Any:
    return rng.choice((None, True, False, rng.choice(_NUMBERS), rng.choice(_TEXTS), rng.gauss(0, 100)))


def _anything(rng: random.Random, depth: int = 3) -> Any:
    draw = rng.random()
    if depth and draw < 0.15:
        return [_anything(rng, depth - 1) for _ in range(rng.randrange(4))]
    if depth and draw < 0.3:
        return {rng.choice((*_NAMES, *_TEXTS)): _anything(rng, depth - 1) for _ in range(rng.randrange(4))}
    return _leaf(rng)


def _features(rng: random.Random) -> dict[str, Any]:
    """A row that is well."""
    every = {
        "tenure": rng.choice((None, rng.gauss(5, 3))),
        "age": rng.uniform(0, 120),
        "city": rng.choice((None, "Rome", "Oslo", "Bari", 16)),
        "member": rng.choice((None, True, False)),
        "plan": rng.choice("ab"),
    }
    return {name: value for name, value in every.items() if name in ("age", "plan") or rng.random() < 0.8}


def _request(rng: random.Random) -> dict[str, Any]:
    own = {"id": f"r{rng.randrange(10**9)}"} if rng.random() < 0.5 else {}
    features = _features(rng)
    return {**own, **features} if rng.random() < 0.5 else {**own, "features": features}


def _maimed(rng: random.Random, value: bytes) -> bytes:
    """A few wounds: bytes flipped, cut out, doubled, put in, or the end torn off."""
    made = bytearray(value)
    for _ in range(rng.randrange(1, 5)):
        at, more = rng.randrange(len(made) + 1), rng.choice((1, 1, 4, 8, 40))
        wound = rng.randrange(5)
        if wound == 0 and at < len(made):
            made[at] ^= 1 << rng.randrange(8)
        elif wound == 1:
            del made[at : at + more]
        elif wound == 2:
            made[at:at] = made[at : at + more] * rng.randrange(1, 4)
        elif wound == 3:
            made[at : at + rng.randrange(2) * more] = rng.choice((rng.randbytes(more), b"\xff" * more, bytes(more)))
        elif rng.random() < 0.3:
            del made[at:]
    return bytes(made)


# --- JSON -------------------------------------------------------------------------------------------


def _good_json(rng: random.Random) -> Message:
    return Message("JSON", json.dumps(_request(rng)).encode(), answers=1)


def _odd_json(rng: random.Random) -> Message:
    """Right but for a value or two that may be anything, NaN and infinity among them."""
    request = _request(rng)
    for _ in range(rng.randrange(1, 3)):
        features = request.get("features", request)
        place = rng.choice((request, features if isinstance(features, dict) else request))
        place[rng.choice(_NAMES)] = rng.choice((float("nan"), float("inf"), _anything(rng), _anything(rng)))
    return Message("JSON, odd values", json.dumps(request).encode("utf-8", "surrogatepass"))


def _made_up_json(rng: random.Random) -> Message:
    """Texts that no library writes: names that stand twice, numbers without end, half a surrogate."""
    strange = (
        '"\\ud800"',
        '"\\udc00\\ud800"',
        "1" * 500,
        "1" * 6000,
        "1e999",
        "-",
        "01",
        "1.",
        ".5",
        "tru",
        '"\\x"',
        '"\t"',
    )
    fields = [
        f"{json.dumps(rng.choice(_NAMES))}:{rng.choice((*strange, json.dumps(_leaf(rng)), json.dumps(_features(rng))))}"
        for _ in range(rng.randrange(6))
    ]
    return Message("JSON, made up", ("{" + ",".join(fields) + rng.choice(("}", "}", "}", "", "}}", ",}"))).encode())


def _maimed_json(rng: random.Random) -> Message:
    return Message("JSON, maimed", _maimed(rng, json.dumps(_request(rng)).encode()))


def _deep(rng: random.Random) -> Message:
    """Nested as deeply as bytes allow, where it is looked at and where it is passed over."""
    one = rng.choice((b"[", b'{"a":', b'{"features":'))
    before = rng.choice((b"", b'{"age":1,"plan":"a","later":', b'{"features":', b'{"age":'))
    return Message("JSON, deep", before + one * rng.choice((20, 1_100, 60_000)))


def _huge(rng: random.Random) -> Message:
    """At and over the limits, by a field that is read or by one that is left alone."""
    size = rng.choice((300_000, 511_000, 513_000, 890_000, 980_000))
    request = {**_features(rng), "age": 41.0, rng.choice(("city", "later", "id", "model", "ts")): "x" * size}
    return Message("JSON, huge", json.dumps(request).encode())


def _nothing(rng: random.Random) -> Message:
    return Message("nothing", rng.choice((None, None, b"", b" ", b"\n" * 9, b"null", b"{}", b"[]", b'""')), answers=0)


def _noise(rng: random.Random) -> Message:
    start = rng.choice((b"", b"{", b"[", b"\xff\xff\xff\xff", b"ARROW1\0\0", b"\0\0\0\0" + bytes([rng.randrange(8)])))
    return Message("random bytes", start + rng.randbytes(rng.choice((1, 3, 8, 40, 200, 1_000))))


# --- Avro -------------------------------------------------------------------------------------------


def framed(number: int, record: Any) -> bytes:
    """A record in Confluent's frame."""
    out = io.BytesIO()
    out.write(b"\0" + number.to_bytes(4))
    fastavro.schemaless_writer(out, PARSED[number], record)
    return out.getvalue()


def _avro_record(rng: random.Random) -> tuple[int, Any]:
    features = {**dict.fromkeys(SCHEMA.names), **_features(rng)}
    features["city"] = None if features["city"] is None else str(features["city"])
    if rng.random() < 0.5:
        return 1, {"id": rng.choice((None, f"r{rng.randrange(10**9)}")), **features}
    return 2, {"ts": None, "features": features}


def _good_avro(rng: random.Random) -> Message:
    return Message("Avro", framed(*_avro_record(rng)), answers=1)


def _odd_avro(rng: random.Random) -> Message:
    """Values that JSON has not, and schemas that mean something else."""
    if rng.random() < 0.3:
        number, record = _avro_record(rng)
        inner = record.get("features", record)
        inner["age"] = rng.choice((float("nan"), float("inf"), -1e308, UNBEARABLE))
        inner["tenure"] = rng.choice((float("nan"), float("-inf")))
        if "ts" in record:
            record["ts"] = rng.choice((-1, 2**63 - 1, -(2**63), 1_700_000_000))
        return Message("Avro, odd values", framed(number, record))
    if rng.random() < 0.2:
        return Message(
            "Avro, odd values", b"\0" + rng.choice((4, 4, 5, 7)).to_bytes(4) + rng.randbytes(16) + b"\x02" * 200
        )
    strange = {
        "age": rng.choice((None, b"\xff\xfe", True, "41", [1, 2], [])),
        "plan": rng.choice("abc"),
        "ts": rng.choice((0, -(10**15), 1_700_000_000_000_000, 253_402_300_800_000_000)),
        "city": rng.choice((b"", b"\x01\x02", b"\xff" * 30)),
        "features": rng.choice((None, {}, {"age": 41.0, "plan": "a"}, {"age": None}, {"age": "x", "plan": 1.0})),
    }
    out = io.BytesIO()
    out.write(b"\0" + (3).to_bytes(4))
    out.write(_strange(strange))
    return Message("Avro, odd values", out.getvalue())


def _strange(record: dict[str, Any]) -> bytes:
    """Written field by field: the library would refuse a time of the year 10,000, and our reader may meet it."""
    long = {"type": "long"}
    parts = (
        (["null", "bytes", "boolean", "string", {"type": "array", "items": "long"}], record["age"]),
        ({"type": "enum", "name": "Plan", "symbols": ["a", "b", "c"]}, record["plan"]),
        (long, record["ts"]),
        ("bytes", record["city"]),
        (["null", {"type": "map", "values": ["null", "double", "string"]}], record["features"]),
    )
    out = io.BytesIO()
    for schema, value in parts:
        fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def _maimed_avro(rng: random.Random) -> Message:
    whole = framed(*_avro_record(rng))
    return Message("Avro, maimed", whole[:5] + _maimed(rng, whole[5:]))


# --- Arrow ------------------------------------------------------------------------------------------


def written(batch: pa.RecordBatch, *, file: bool = False, compression: str | None = None) -> bytes:
    """A batch as one message."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression, allow_64bit=True)
    with (pa.ipc.new_file if file else pa.ipc.new_stream)(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def _good_columns(rng: random.Random, n: int) -> dict[str, pa.Array]:
    rows = [_features(rng) for _ in range(n)]
    columns = {
        "tenure": pa.array([row.get("tenure") for row in rows], pa.float32()),
        "age": pa.array([row["age"] for row in rows], rng.choice((pa.float32(), pa.float64()))),
        "city": pa.array([None if (c := row.get("city")) is None else str(c) for row in rows], pa.string()),
        "member": pa.array([row.get("member") for row in rows], pa.bool_()),
        "plan": pa.array([row["plan"] for row in rows]),
    }
    if rng.random() < 0.3:
        columns["plan"] = columns["plan"].dictionary_encode()
    return columns


def _as_message(rng: random.Random, columns: dict[str, pa.Array]) -> bytes:
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    return written(batch, file=rng.random() < 0.3, compression=rng.choice((None, None, None, "lz4", "zstd")))


def _good_arrow(rng: random.Random) -> Message:
    n = rng.choice((1, 1, 3, 10, 40))
    return Message("Arrow", _as_message(rng, _good_columns(rng, n)), answers=n)


def _odd_arrow(rng: random.Random) -> Message:
    """A column or two of any type at all, or missing."""
    n = rng.choice((0, 1, 3, 10))
    columns = _good_columns(rng, n)
    for _ in range(rng.randrange(1, 3)):
        name = rng.choice((*_NAMES, "later"))
        if rng.random() < 0.15:
            columns.pop(name, None)
        else:
            columns[name] = rng.choice(_COLUMNS)(rng, n)
    return Message("Arrow, odd columns", _as_message(rng, columns) if columns else b"ARROW1")


def _maimed_arrow(rng: random.Random) -> Message:
    return Message("Arrow, maimed", _maimed(rng, _as_message(rng, _good_columns(rng, rng.choice((1, 4, 30))))))


def _bomb(rng: random.Random) -> Message:
    return Message("Arrow, bomb", rng.choice(bombs()))


@cache
def bombs() -> tuple[bytes, ...]:
    """Little to send and much to read: rows that cost nothing, one long text in every row, zeros under zstd."""
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(9_000, np.int8)), pa.array(["x" * 100_000]))
    views = np.tile(np.array([700_000, int.from_bytes(b"xxxx", "little"), 0, 0], np.int32), 9_000)
    over = [None, pa.py_buffer(views.tobytes()), pa.py_buffer(b"x" * 700_000)]
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2**40], pa.int64()), pa.array([1.0]))
    return tuple(
        written(pa.record_batch({name: column}), compression=compression)
        for name, column, compression in (
            ("later", pa.nulls(9_000), None),
            ("later", pa.Array.from_buffers(pa.null(), 2**40, [None]), None),
            ("city", same, None),
            ("id", same, None),
            ("model", same, None),
            ("city", pa.Array.from_buffers(pa.string_view(), 9_000, over), None),
            ("age", runs, None),
            ("later", runs, None),
            ("age", pa.array(np.zeros(9_000_000, np.int64)), "zstd"),
            ("later", pa.array(["x" * 60_000_000] * 2, pa.large_string()), "zstd"),
        )
    )


_Column = Callable[[random.Random, int], pa.Array]


def _of(kind: pa.DataType, values: Sequence[Any]) -> _Column:
    return lambda rng, n: pa.array([rng.choice(values) for _ in range(n)], kind)


_COLUMNS: tuple[_Column, ...] = (
    _of(pa.float64(), (None, float("nan"), float("inf"), 1e308, UNBEARABLE)),
    _of(pa.float16(), (None, 1.5)),
    _of(pa.int64(), (None, 0, 1, 2**62, -(2**63), 1_700_000_000_000)),
    _of(pa.uint64(), (None, 2**64 - 1)),
    _of(pa.bool_(), (None, True, False)),
    _of(pa.string(), (None, *_TEXTS)),
    _of(pa.string_view(), (None, *_TEXTS)),
    _of(pa.binary(), (None, b"\xff\xfe", b"")),
    _of(pa.decimal128(20, 3), (None, 41)),
    _of(pa.decimal256(70, 3), (None, 41)),
    _of(pa.date32(), (None, 19_000)),
    _of(pa.time64("ns"), (None, 1)),
    _of(pa.duration("s"), (None, 2**40)),
    _of(pa.timestamp("ns"), (None, 0, 2**62, -(2**62))),
    _of(pa.timestamp("s", tz="UTC"), (None, 1_700_000_000, 2**60, -(2**60))),
    _of(pa.timestamp("us", tz="Nowhere/Atlantis"), (None, 1_700_000_000_000_000)),
    _of(pa.list_(pa.int8()), (None, [], [1, None])),
    _of(pa.large_list(pa.list_(pa.string())), (None, [["a"], None])),
    _of(pa.struct([("age", pa.float64())]), (None, {"age": 1.0})),
    _of(pa.map_(pa.string(), pa.float64()), (None, [("age", 1.0)])),
    _of(pa.list_(pa.int8(), 2), (None, [1, 2])),
    lambda rng, n: pa.nulls(n),
    lambda rng, n: pa.array(["a", None, "Rome"] * n).dictionary_encode()[:n],
    lambda rng, n: pa.array([41.0, None, 7.0] * n).dictionary_encode()[:n],
    lambda rng, n: pa.RunEndEncodedArray.from_arrays(pa.array([n] if n else [], pa.int32()), pa.array([1.5][:n])),
    lambda rng, n: pa.UnionArray.from_sparse(pa.array([0] * n, pa.int8()), [pa.array([1.5] * n)]),
    lambda rng, n: pa.ListViewArray.from_arrays(
        pa.array([0] * n, pa.int32()), pa.array([1] * n, pa.int32()), pa.array([1.5])
    ),
)


# --- MessagePack ------------------------------------------------------------------------------------


def _good_messagepack(rng: random.Random) -> Message:
    return Message("MessagePack", msgspec.msgpack.encode(_request(rng)), answers=1)


def _odd_messagepack(rng: random.Random) -> Message:
    """Values and names that JSON has not: bytes, moments, extensions, lists for names."""
    request: dict[Any, Any] = dict(_request(rng))
    strange = (
        b"\xff\xfe", dt.datetime(2023, 11, 14, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC), float("nan"),
        msgspec.msgpack.Ext(5, b"x"), 2**64 - 1, -(2**63), [1], {1: 2}, {b"age": 1}, "\x00",
    )  # fmt: skip
    for _ in range(rng.randrange(1, 3)):
        request[rng.choice((*_NAMES, 7, b"age", None, (1, 2)))] = rng.choice(strange)
    return Message("MessagePack, odd values", msgspec.msgpack.encode(request))


def _maimed_messagepack(rng: random.Random) -> Message:
    return Message("MessagePack, maimed", _maimed(rng, msgspec.msgpack.encode(_request(rng))))


# --- packed -----------------------------------------------------------------------------------------


def _good_packed(rng: random.Random) -> Message:
    n = rng.choice((1, 1, 2, 20))
    row = (5.0, 41.0, float("nan"), 1.0, 0.0)
    return Message("packed", struct.pack(f"<{5 * n}f", *row * n), [_PACKED], answers=n)


def _odd_packed(rng: random.Random) -> Message:
    cells = [
        rng.choice((0.0, 1.0, 2.0, 0.5, -1.0, float("nan"), float("inf"), UNBEARABLE))
        for _ in range(5 * rng.randrange(9))
    ]
    return Message(
        "packed, odd", struct.pack(f"<{len(cells)}f", *cells) + rng.randbytes(rng.choice((0, 0, 1, 4))), [_PACKED]
    )


def _long_packed(rng: random.Random) -> Message:
    return Message("packed, long", bytes(20 * rng.choice((9_999, 10_001, 44_000))), [_PACKED])


# --- headers ----------------------------------------------------------------------------------------

_ODD_HEADERS: Headers = [
    ("content-type", b"application/json"),
    ("content-type", b"application/avro"),
    ("Content-Type", b"application/vnd.apache.arrow.stream; x=y"),
    ("content-type", b"\xff\xfe"),
    ("content-type", None),
    ("model", b"subject"),
    ("model", b"nobody"),
    ("model", b"\xff"),
    ("model", b""),
    ("model", None),
    ("model", b"x" * 3_000),
    ("ce_id", b"event-7"),
    ("ce_id", b"y" * 600),
    ("ce_id", b"\xf0\x28\x8c"),
    ("ce_time", b"2023-11-14T22:13:20Z"),
    ("ce_time", b"yesterday"),
    ("ce_time", b"\xff" * 9),
    ("ce_source", None),
    ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("traceparent", b"\0" * 80),
    ("", b""),
    ("\x00", b"\x00"),
    ("é\u202e" * 9, b"z" * 2_000),
    ("driftline-stage", b"mine"),
    ("driftline-offset", b"not a number"),
    ("driftline-redrives", b"9" * 5_000),
    ("driftline-redriven", b"1"),
    _PACKED,
]


def _with_odd_headers(rng: random.Random, made: Message) -> Headers:
    return [*(made.headers or ()), *rng.choices(_ODD_HEADERS, k=rng.randrange(1, 5))]


_KINDS: dict[Callable[[random.Random], Message], float] = {
    _good_json: 20,
    _odd_json: 20,
    _made_up_json: 10,
    _maimed_json: 15,
    _nothing: 3,
    _noise: 6,
    _deep: 0.2,
    _huge: 0.05,
    _good_avro: 3,
    _odd_avro: 4,
    _maimed_avro: 5,
    _good_arrow: 2,
    _odd_arrow: 5,
    _maimed_arrow: 5,
    _bomb: 0.02,
    _good_messagepack: 3,
    _odd_messagepack: 3,
    _maimed_messagepack: 4,
    _good_packed: 1,
    _odd_packed: 2,
    _long_packed: 0.02,
}
