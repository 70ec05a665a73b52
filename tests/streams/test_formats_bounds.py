"""What a message may cost and whom it may stop: little to send and much to read is refused, as is the unforeseen."""

import tracemalloc

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from streams.formats.decoder import Decoder
from streams.formats.schema_registry import RegistryAway
from streams.wire.arrow_bounds import UNPACKED_BYTES_MAX
from streams.wire.block import UNREADABLE, Block
from streams.wire.message_limits import ROWS_MAX
from streams.wire.schema import Feature, FeatureSchema

ARRIVED_MS = 1_700_000_000_000
SCHEMA = FeatureSchema((Feature("age"), Feature("city", "categorical", categories=("Rome",))))


def known(model):
    return ("churn", SCHEMA) if model in (None, "churn") else None


def decode(*values, headers=None, **more):
    made = Block.of("requests", 3, values, first=1041, time=ARRIVED_MS)
    return Decoder(known, **more)(msgspec.structs.replace(made, headers=headers or made.headers))


def arrow(columns, kind=pa.ipc.new_stream, compression=None):
    sink = pa.BufferOutputStream()
    batch = pa.record_batch(columns)
    options = pa.ipc.IpcWriteOptions(compression=compression, allow_64bit=True)
    with kind(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def refusal(value, **more):
    rows, refused = decode(value, **more)
    assert rows == {}
    return [(r.reason, r.field) for r in refused]


def without_bytes(rows):
    return pa.Array.from_buffers(pa.null(), rows, [None])


def overlapping_texts():
    views = np.tile(np.array([700_000, int.from_bytes(b"xxxx", "little"), 0, 0], np.int32), 1_000)
    return pa.Array.from_buffers(
        pa.string_view(), 1_000, [None, pa.py_buffer(views.tobytes()), pa.py_buffer(b"x" * 700_000)]
    )


@pytest.mark.parametrize(
    "bomb",
    [
        arrow({"age": np.zeros(UNPACKED_BYTES_MAX // 8 + 1)}, compression="zstd"),
        arrow({"later": pa.array(["x" * UNPACKED_BYTES_MAX], pa.large_string())}, compression="zstd"),
        arrow({"age": without_bytes(ROWS_MAX + 1)}),
        arrow({"age": without_bytes(2**40)}),
        arrow({"age": pa.RunEndEncodedArray.from_arrays(pa.array([2**40]), pa.array([1.0]))}),
        arrow({"city": overlapping_texts()}),
    ],
    ids=["zeros", "text", "nulls", "many-nulls", "runs", "views"],
)
def test_a_message_that_unpacks_to_more_than_is_read_is_refused_before_it_is_unpacked(bomb):
    before = pa.total_allocated_bytes()
    assert refusal(bomb) == [("oversize", "$")]
    assert pa.total_allocated_bytes() == before


def test_one_long_text_in_every_row_is_kept_once():
    level = pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS_MAX, np.int8)), pa.array(["x" * 400_000]))
    value = arrow({"age": np.zeros(ROWS_MAX), "city": level})
    tracemalloc.start()
    rows, refused = decode(value)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert refused == []
    assert set(rows["churn"].matrix[:, 1]) == {SCHEMA["city"].unseen_code}


def test_a_null_in_a_dictionary_is_a_missing_level():
    level = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array(["Rome", None]))
    rows, _ = decode(arrow({"city": level}))
    assert rows["churn"].matrix[:, 1].tolist() == [0, SCHEMA["city"].null_code, SCHEMA["city"].null_code]
    assert rows["churn"].unseen == {}


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("kind", [pa.ipc.new_stream, pa.ipc.new_file])
def test_a_message_within_bounds_is_read(kind, compression):
    columns = {"age": np.arange(ROWS_MAX, dtype=np.float64), "city": ["Rome"] * ROWS_MAX}
    rows, refused = decode(arrow(columns, kind, compression))
    assert refused == []
    assert rows["churn"].matrix[:, 0].tolist() == columns["age"].tolist()


def test_several_batches_of_one_message_are_one():
    batches = [pa.record_batch({"age": [k, k + 0.5], "city": pa.array(["Rome", f"c{k}"]).dictionary_encode()})
               for k in range(3)]  # fmt: skip
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    rows, _ = decode(sink.getvalue().to_pybytes())
    assert rows["churn"].matrix.tolist() == [[0, 0], [0.5, 1], [1, 0], [1.5, 1], [2, 0], [2.5, 1]]
    assert rows["churn"].unseen == {1: {1: "c0", 3: "c1", 5: "c2"}}
    assert rows["churn"].row.tolist() == list(range(6))


@pytest.mark.parametrize(
    "model",
    [
        pa.array([{"a": 1}]),
        pa.array([[1]]),
        pa.array([1_700_000_000], pa.timestamp("s", tz="Nowhere/Atlantis")),
        pa.array([2**62], pa.timestamp("ns")),
        pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["churn"])),
    ],
    ids=lambda array: str(array.type)[:20],
)
def test_a_model_that_is_no_text_is_refused(model):
    assert refusal(arrow({"model": model, "age": [1.0]})) == [("wrong_type", "$.model")]


def test_a_message_of_packed_rows_has_no_more_of_them_than_any_other():
    rows, refused = decode(bytes(8 * ROWS_MAX), bytes(8 * (ROWS_MAX + 1)), format="packed")
    assert len(rows["churn"]) == ROWS_MAX
    assert [(r.at, r.reason) for r in refused] == [(1, "oversize")]


@pytest.mark.parametrize("format_", ["auto", "json"])
def test_a_record_whose_headers_nobody_can_read_is_refused_alone(format_):
    class Record:
        """A record of librdkafka's, as the client library gives it where a header's name is no UTF-8."""

        def __init__(self, offset, headers):
            self._headers = headers
            self.offset, self.timestamp = lambda: offset, lambda: (1, ARRIVED_MS)
            self.key, self.value = lambda: None, lambda: b'{"age": 1}'

        def headers(self):
            return self._headers if self._headers is not Exception else b"\xff".decode()

    block = Block.of_messages("requests", 3, [Record(n, h) for n, h in enumerate([None, Exception, [("a", b"b")]])])
    assert block.headers == [None, UNREADABLE, [("a", b"b")]]
    rows, refused = Decoder(known, format=format_)(block)
    assert rows["churn"].at.tolist() == [0, 2]
    assert [(r.at, r.reason, r.field) for r in refused] == [(1, "undecodable", "headers")]


def test_a_record_without_any_time_is_refused():
    values = [b'{"age": 1}', b'{"age": 1, "ts": 1700000000000}', b'{"age": 1}']
    block = msgspec.structs.replace(Block.of("requests", 0, values), times=[-1, ARRIVED_MS, 5])
    rows, refused = Decoder(known)(block)
    assert [(r.at, r.reason) for r in refused] == [(0, "impossible_timestamp")]
    assert rows["churn"].ts.tolist() == [ARRIVED_MS, 5]


class Registry:
    def __init__(self, error):
        self._error = error

    def schema(self, number):
        raise self._error


def test_what_no_rule_foresaw_refuses_its_own_record_and_no_other():
    values = [b'{"age": %d}' % n for n in range(9)]
    values[5] = b"\0\0\0\0\7"
    rows, refused = decode(*values, registry=Registry(ZeroDivisionError("who knows")))
    assert rows["churn"].matrix[:, 0].tolist() == rows["churn"].at.tolist() == [0, 1, 2, 3, 4, 6, 7, 8]
    assert [(r.at, r.reason, r.detail) for r in refused] == [
        (5, "undecodable", "unforeseen: ZeroDivisionError: who knows")
    ]


def test_a_registry_that_is_away_is_no_fault_of_a_record():
    with pytest.raises(RegistryAway):
        decode(b'{"age": 1}', b"\0\0\0\0\7", registry=Registry(RegistryAway("away")))
