"""The same values through every way in, counted over one reference: equal bit for bit.

A `Table` holds Python values; each way writes them as its own kind of table, file or message, reads that back as the
product does, and counts it. What is missing is None in all of them.
"""

import decimal
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift import Reference
from drift.cells.sums import Sums, sum_rows
from drift.store import Store
from drift.store.table import StoreTable
from driftline.commands.row_files import RowFile
from inference.onboarding.table import matrix_of
from streams import tables
from streams.formats.arrow import ArrowDecoder
from streams.formats.avro import AvroReader
from streams.formats.json import JsonDecoder
from streams.formats.records import RecordDecoder
from streams.wire.block import Block
from streams.wire.observation import OWN, arrow_schema, feature_columns
from streams.wire.rows import Rows
from streams.wire.schema import Feature, FeatureSchema
from streams.wire.spelling import NULL_TEXTS

Table = dict[str, list[Any]]

#: Levels that are easily taken for something else.
TEXTS = ("01234", "02139", "90210", "NA", "null", "true", "1e5", "7", "7.0")
TEXTS += (" a ", "Zürich", "a,b", 'q"', "x;y", "-0", "😀")
SCHEMA = FeatureSchema(
    (
        Feature("real"),
        Feature("whole"),
        Feature("flag", "boolean"),
        Feature("text", "categorical", categories=TEXTS[:-2]),
        Feature("code", "categorical", categories=("1", "2", "3", "10")),
        Feature("bit", "categorical", categories=("0", "1")),
        Feature("rate", "categorical", categories=("0.1", "0.25", "3")),
        Feature("screen (\")", low=-5.0, high=5.0),
    )
)  # fmt: skip
AVRO_NAMES = {name: f"f{j}" for j, name in enumerate(SCHEMA.names)}
ROWS = 400


def made(seed: int) -> Table:
    """A table with everything in it."""
    rng = np.random.default_rng(seed)

    def holes(values: Any) -> list[Any]:
        gone = rng.random(ROWS) < 0.1
        return [None if missing else value for value, missing in zip(values, gone, strict=True)]

    return {
        "real": holes(rng.normal(size=ROWS).round(4).tolist()),
        "whole": holes(rng.integers(-50, 50, ROWS).tolist()),
        "flag": holes((rng.random(ROWS) < 0.3).tolist()),
        "text": holes(rng.choice(np.array(TEXTS, object), ROWS).tolist()),
        "code": holes(rng.choice([1, 2, 3, 10, 11], ROWS).tolist()),
        "bit": holes(rng.integers(0, 2, ROWS).tolist()),
        "rate": holes(rng.choice([0.1, 0.25, 3.0, 7.7], ROWS).tolist()),
        'screen (")': holes((10 * rng.normal(size=ROWS)).tolist()),
    }


REFERENCE = Reference.fit(pd.DataFrame(made(0), dtype=object), features=SCHEMA)
KINDS = {feature.name: feature.kind for feature in SCHEMA.features}


# Ways that give a table ------------------------------------------------------------------------------------------


def arrow(table: Table) -> pa.Table:
    kinds = {"real": pa.float64(), "whole": pa.int64(), "flag": pa.bool_(), "text": pa.string(), "code": pa.int64()}
    kinds |= {"bit": pa.int64(), "rate": pa.float64(), 'screen (")': pa.float64()}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in table.items()})


def in_other_types(table: Table) -> pa.Table:
    """The same values, laid out as few people do."""
    found = arrow(table)
    other = {
        "real": found["real"].dictionary_encode(),
        "whole": pa.array([None if v is None else decimal.Decimal(v) for v in table["whole"]], pa.decimal128(9, 2)),
        "text": pa.chunked_array([found["text"].combine_chunks().cast(pa.string_view())]),
        "code": found["code"].cast(pa.int16()).dictionary_encode(),
        "bit": found["bit"].cast(pa.bool_()),
        "rate": found["rate"].cast(pa.float32()),
        "flag": found["flag"].cast(pa.float32()),
        'screen (")': found['screen (")'],
    }
    return pa.table(other)


def frame(table: Table) -> pd.DataFrame:
    """Objects, as a frame read from a database has them."""
    return pd.DataFrame(table, dtype=object)


def numpy_frame(table: Table) -> pd.DataFrame:
    """What NumPy makes of it: numbers with holes are floats, truth values with holes objects, or 1.0."""
    found = frame(table).astype(dict.fromkeys(("real", "whole", "code", "flag", "rate", 'screen (")'), float))
    return found.assign(text=found["text"].astype("category"), bit=found["bit"].astype(float))


def nullable_frame(table: Table) -> pd.DataFrame:
    kinds = {
        "real": "Float64",
        "whole": "Int64",
        "flag": "boolean",
        "text": "string",
        "code": "Int64",
        "bit": "Int64",
        "rate": "Float64",
    }
    return frame(table).astype(kinds | {'screen (")': "Float64"})


def sparse_frame(table: Table) -> pd.DataFrame:
    sparse = pd.SparseDtype(float, 0.0)
    return numpy_frame(table).astype({"real": "Sparse[float64, nan]", "whole": sparse, 'screen (")': sparse})


def mixed_frame(table: Table) -> pd.DataFrame:
    """Decimals, NumPy's numbers, pandas.NA and NaN side by side."""
    found = frame(table)
    whole = table["whole"]
    found["whole"] = [pd.NA if v is None else decimal.Decimal(v) if k % 2 else float(v) for k, v in enumerate(whole)]
    found["flag"] = [np.nan if v is None else v if k % 2 else int(v) for k, v in enumerate(table["flag"])]
    found["code"] = [None if v is None else np.float32(v) if k % 2 else str(v) for k, v in enumerate(table["code"])]
    return found


def parquet(table: Table, folder: Path) -> Path:
    pq.write_table(arrow(table), folder / "t.parquet", row_group_size=150)
    return folder / "t.parquet"


def parquet_folder(table: Table, folder: Path) -> Path:
    (folder / "lake").mkdir()
    whole = arrow(table)
    for k in range(3):
        pq.write_table(whole.slice(150 * k, 150), folder / "lake" / f"part-{k}.parquet")
    return folder / "lake"


def csv(
    table: Table, folder: Path, separator: str = ",", name: str = "t.csv", how: Any = frame, **options: Any
) -> Path:
    how(table).to_csv(folder / name, index=False, sep=separator, **options)
    return folder / name


TABLES: dict[str, Callable[[Table, Path], Any]] = {
    "pandas objects": lambda table, _: frame(table),
    "pandas of numpy": lambda table, _: numpy_frame(table),
    "pandas nullable": lambda table, _: nullable_frame(table),
    "pandas sparse": lambda table, _: sparse_frame(table),
    "pandas mixed": lambda table, _: mixed_frame(table),
    "arrow": lambda table, _: arrow(table),
    "arrow in other types": lambda table, _: in_other_types(table),
    "arrow batch": lambda table, _: arrow(table).to_batches()[0],
    "parquet": parquet,
    "a folder of parquet": parquet_folder,
    "csv": csv,
    "csv of numpy": lambda table, folder: csv(table, folder, how=numpy_frame),
    "csv, semicolons": lambda table, folder: csv(table, folder, ";"),
    "csv, decimal commas": lambda table, folder: csv(table, folder, ";", decimal=",", how=nullable_frame),
    "tsv, gzip, byte order mark": lambda table, folder: csv(table, folder, "\t", "t.csv.gz", encoding="utf-8-sig"),
}


# Ways that give rows of requests ---------------------------------------------------------------------------------


def schemas(_: str | None) -> tuple[str, FeatureSchema]:
    return "m", SCHEMA


def json_of(values: Any) -> Rows:
    rows, refused = JsonDecoder(schemas)(Block.of("requests", 0, list(values)))
    assert not refused, refused[:3]
    return rows["m"]


def json_of_file(path: Path) -> Rows:
    return json_of(json.dumps({"features": row}).encode() for batch in RowFile(path).batches() for row in batch)


def json_lines(table: Table, folder: Path) -> Rows:
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in records(table)))
    return json_of_file(path)


def records(table: Table) -> Iterator[dict[str, Any]]:
    for row in zip(*table.values(), strict=True):
        yield dict(zip(table, row, strict=True))


class OneSchema:
    """A registry of one schema."""

    def schema(self, _: int) -> Any:
        maybe = {
            "rate": "float",
            "whole": "long",
            "flag": "boolean",
            "text": "string",
            "code": "long",
            "bit": "boolean",
        }
        fields = [{"name": AVRO_NAMES[n], "type": ["null", maybe.get(n, "double")]} for n in SCHEMA.names]
        return fastavro.parse_schema({"type": "record", "name": "Request", "fields": fields})


def avro(table: Table, _: Path) -> Rows:
    several = (Feature(AVRO_NAMES[f.name], f.kind, categories=f.categories) for f in SCHEMA.features)
    renamed, schema = FeatureSchema(tuple(several)), OneSchema().schema(0)
    values = []
    for row in records(table | {"bit": [None if bit is None else bool(bit) for bit in table["bit"]]}):
        sink = io.BytesIO(bytes(5))
        sink.seek(5)
        fastavro.schemaless_writer(sink, schema, {AVRO_NAMES[name]: value for name, value in row.items()})
        values.append(sink.getvalue())
    decode = RecordDecoder(lambda _: ("m", renamed), AvroReader(OneSchema()))  # type: ignore[arg-type]
    rows, refused = decode(Block.of("requests", 0, values))
    assert not refused, refused[:3]
    return rows["m"]


def arrow_message(table: pa.Table) -> Rows:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    rows, refused = ArrowDecoder(schemas)(Block.of("requests", 0, [sink.getvalue().to_pybytes()]))
    assert not refused, refused[:3]
    return rows["m"]


REQUESTS: dict[str, Callable[[Table, Path], Rows]] = {
    "json": lambda table, _: json_of(json.dumps({"features": row}).encode() for row in records(table)),
    "json, flat": lambda table, _: json_of(json.dumps(row).encode() for row in records(table)),
    "json, numbers as floats": lambda table, _: json_of(
        json.dumps({"features": {k: float(v) if isinstance(v, bool | int) else v for k, v in row.items()}}).encode()
        for row in records(table)
    ),
    "produce of csv": lambda table, folder: json_of_file(csv(table, folder)),
    "produce of csv of numpy": lambda table, folder: json_of_file(csv(table, folder, how=numpy_frame)),
    "produce of tsv": lambda table, folder: json_of_file(csv(table, folder, "\t", "t.tsv")),
    "produce of parquet": lambda table, folder: json_of_file(parquet(table, folder)),
    "json lines": json_lines,
    "avro": avro,
    "arrow message": lambda table, _: arrow_message(arrow(table)),
}


def of_rows(rows: Rows) -> Sums:
    """Count rows of requests as the count stage does: by way of an observation."""
    columns = feature_columns(SCHEMA, rows.matrix, rows.unseen)
    kinds = [arrow_schema(SCHEMA).field(len(OWN) + j).type for j in range(len(SCHEMA))]
    assert [column.type for column in columns] == kinds
    return sum_rows(REFERENCE, pa.RecordBatch.from_arrays(columns, names=list(SCHEMA.names)))


def same(found: Sums, expected: Sums) -> None:
    assert found.rows == expected.rows
    for name, first, last in zip(SCHEMA.names, REFERENCE.offsets[:-1], REFERENCE.offsets[1:], strict=True):
        np.testing.assert_array_equal(found.cells[first:last], expected.cells[first:last], err_msg=name)
    np.testing.assert_array_equal(found.moments, expected.moments)
    np.testing.assert_array_equal(found.extremes, expected.extremes)


def by_hand(table: Table) -> np.ndarray:
    """Counts of levels, truth values and nulls, from Python's values alone."""
    found = np.zeros(REFERENCE.offsets[-1], np.int64)
    for cells, first in zip(REFERENCE.columns, REFERENCE.offsets, strict=False):
        for value in table[cells.name]:
            if value is None:
                found[first + cells.null] += 1
            elif cells.kind == "numeric":
                found[first + np.searchsorted(cells.bounds, np.float32(value), side="right")] += 1
            elif cells.kind == "boolean":
                found[first + int(value)] += 1
            else:
                known = {level: place for place, level in enumerate(cells.levels)}
                known |= dict.fromkeys(cells.others, cells.other)
                text = str(value).removesuffix(".0") if cells.name == "rate" else str(value)
                found[first + known.get(text, cells.unseen)] += 1
    return found


TABLE = made(1)
EXPECTED = sum_rows(REFERENCE, REFERENCE.align(arrow(TABLE)))


def test_the_counts_are_those_of_a_hand_calculation() -> None:
    np.testing.assert_array_equal(EXPECTED.cells, by_hand(TABLE))


@pytest.mark.parametrize("way", TABLES)
def test_a_table_counts_the_same_whatever_holds_it(way: str, tmp_path: Path) -> None:
    same(sum_rows(REFERENCE, REFERENCE.align(TABLES[way](TABLE, tmp_path))), EXPECTED)


@pytest.mark.parametrize("way", TABLES)
def test_a_reference_is_the_same_whatever_holds_its_table(way: str, tmp_path: Path) -> None:
    found = Reference.fit(TABLES[way](TABLE, tmp_path), features=SCHEMA)
    assert found.id == Reference.fit(arrow(TABLE), features=SCHEMA).id


@pytest.mark.parametrize("way", TABLES)
def test_a_model_is_given_the_same_matrix_whatever_holds_its_table(way: str, tmp_path: Path) -> None:
    found = matrix_of(tables.read(TABLES[way](TABLE, tmp_path), KINDS), SCHEMA)
    np.testing.assert_array_equal(found, REQUESTS["json"](TABLE, tmp_path).matrix)


@pytest.mark.parametrize("way", REQUESTS)
def test_requests_count_the_same_whatever_they_are_written_in(way: str, tmp_path: Path) -> None:
    same(of_rows(REQUESTS[way](TABLE, tmp_path)), EXPECTED)


def test_a_table_in_the_store_gives_the_same_reference(store: Store) -> None:
    store.rows(
        "CREATE TABLE t (at UInt32, real Nullable(Float64), whole Nullable(Decimal(9, 2)), flag Nullable(Bool), "
        "text Nullable(String), code Nullable(Int16), bit Nullable(UInt8), rate Nullable(Float32), "
        '`screen (")` Nullable(Float64)) '
        "ENGINE = MergeTree ORDER BY at"
    )
    columns: Table = {"at": list(range(ROWS)), **TABLE}
    store.insert("t", columns | {"whole": [None if v is None else decimal.Decimal(v) for v in TABLE["whole"]]})
    found = Reference.fit(StoreTable(store, "t", order_by=("at",)), features=SCHEMA)
    expected = Reference.fit(arrow(TABLE), features=SCHEMA)
    np.testing.assert_array_equal(found.counts, expected.counts)
    assert found.id == expected.id


CELLS = st.fixed_dictionaries(
    {
        "real": st.none() | st.floats(width=64, allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30),
        "whole": st.none() | st.integers(-(2**53), 2**53),
        "flag": st.none() | st.booleans(),
        "text": st.none()
        | st.sampled_from(TEXTS)
        # An empty text is null in CSV; control characters other than tab are no part of a CSV file.
        | st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8),
        "code": st.none() | st.integers(-(2**40), 2**40),
        "bit": st.none() | st.integers(0, 1),
        "rate": st.none() | st.floats(-100, 100, width=32) | st.sampled_from([0.1, 0.25, 3.0]),
        'screen (")': st.none() | st.floats(-1e6, 1e6, width=32),
    }
)


#: Not for any values: they need three files, or cannot hold large whole numbers.
EXACT = TABLES.keys() - {
    "a folder of parquet",
    "arrow in other types",
    "pandas of numpy",
    "csv of numpy",
    "pandas sparse",
}
EXACT_REQUESTS = REQUESTS.keys() - {"produce of csv of numpy"}


@pytest.mark.system  # each table through every door
def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(CELLS, min_size=1, max_size=12))
def test_any_values_count_the_same_through_every_door(rows: list[dict[str, Any]], tmp_path_factory: Any) -> None:
    table = {name: [row[name] for row in rows] for name in SCHEMA.names}
    expected = sum_rows(REFERENCE, REFERENCE.align(arrow(table)))
    for way in sorted(EXACT):
        held = REFERENCE.align(TABLES[way](table, tmp_path_factory.mktemp("t")))
        same(sum_rows(REFERENCE, held), expected)
    # `produce` reads CSV without a schema: a column of nothing but such texts may as well be one of numbers, and one
    # of numbers may hold no infinity.
    spelled = [text for text in table["text"] if text is not None and text not in NULL_TEXTS]
    numbers = [number for number in map(_number, spelled) if number is not None]
    undecided = not spelled or (len(numbers) == len(spelled) and any(map(math.isinf, numbers)))
    for way in sorted(EXACT_REQUESTS):
        if undecided and way in ("produce of csv", "produce of tsv"):
            continue
        same(of_rows(REQUESTS[way](table, tmp_path_factory.mktemp("t"))), expected)
