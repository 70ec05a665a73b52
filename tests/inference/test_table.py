import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import TableError, infer_features, init_package, matrix_of, read_package
from streams.formats.json import JsonDecoder
from streams.wire.block import Block
from streams.wire.schema import Feature, FeatureSchema

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "age": st.none() | st.floats(-1e6, 1e6, width=32),
            "rooms": st.none() | st.integers(-9, 9),
            "city": st.none() | st.sampled_from(["Rome", "Oslo", "16", "", "x y"]),
            "code": st.none() | st.integers(0, 30),
            "vip": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=8,
)
SCHEMA = FeatureSchema(
    (
        Feature("vip", "boolean"),
        Feature("city", "categorical", categories=("Oslo", "16")),
        Feature("age"),
        Feature("code", "categorical", categories=("16", "3")),
        Feature("rooms"),
    )
)
TYPES = pa.schema(
    [("age", pa.float64()), ("rooms", pa.int32()), ("city", pa.string()), ("code", pa.int64()), ("vip", pa.bool_())]
)


@given(ROWS, st.sampled_from(["plain", "dictionary", "chunks"]))
def test_a_tables_rows_are_what_requests_with_the_same_values_are(rows, layout):
    """The model is trained on what it will be asked."""
    table = pa.Table.from_pylist(rows, schema=TYPES)
    if layout == "dictionary":
        table = table.set_column(2, "city", table["city"].dictionary_encode())
    elif layout == "chunks":
        table = pa.concat_tables([table.slice(0, 1), table.slice(1)])
        table = table.set_column(2, "city", table["city"].dictionary_encode())
    block = Block.of("requests", 0, [json.dumps(row).encode() for row in rows])
    asked, refused = JsonDecoder(lambda model: ("m", SCHEMA))(block)
    assert not refused
    assert np.array_equal(matrix_of(table, SCHEMA), asked["m"].matrix, equal_nan=True)


def test_kinds_levels_and_ranges_are_inferred():
    frame = pd.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "age": [0.0, 50.0, 100.0, np.nan],
            "balance": [-100, 0, 100, 50],
            "debt": [-100, -20, -60, -100],
            "size": pd.Categorical(["m", "s", None, "m"]),
            "code": ["10", "9", "A", None],
            "vip": [True, False, True, True],
            "only": [7, 7, 7, 7],
        }
    )
    features = {f.name: f for f in infer_features(frame)}
    assert list(features) == ["age", "balance", "debt", "size", "code", "vip", "only"]  # id is Driftline's own name
    assert features["age"] == Feature("age", low=0.0, high=110.0)  # a tenth of the width more, not across zero
    assert features["balance"] == Feature("balance", low=-120.0, high=120.0)
    assert features["debt"] == Feature("debt", low=-108.0, high=-12.0)
    assert features["size"] == Feature("size", "categorical", categories=("m", "s"))
    assert features["code"] == Feature("code", "categorical", categories=("9", "10", "A"))
    assert features["vip"] == Feature("vip", "boolean")
    assert (features["only"].low, features["only"].high) == (7.0, 7.0)
    assert not any(feature.required for feature in features.values())


@pytest.mark.parametrize(
    ("column", "more", "said"),
    [
        (pa.array([f"u{n}" for n in range(1001)]), {}, "'x' has 1001 levels, at most 1000 are taken; exclude it"),
        (pa.array([None, None], pa.string()), {}, "'x' holds nothing but nulls; exclude it"),
        (pa.array([[1], [2]]), {}, "features are numbers, text or booleans"),
        (pa.array([1, 2], pa.timestamp("ms")), {}, "features are numbers, text or booleans"),
        (pa.array([1]), {"features": ["y"]}, "column 'y' is not in the table"),
        (pa.array([1]), {"exclude": ["xx"]}, "column 'xx' is not in the table; did you mean x?"),
    ],
)
def test_a_column_that_is_no_feature_is_named(column, more, said):
    with pytest.raises(TableError) as refused:
        infer_features(pa.table({"x": column}), **more)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("label", "task", "classes"),
    [
        (pa.array([1, 0, 1, None]), "binary", ("0", "1")),
        (pa.array(["yes", "no", "no", "yes"]), "binary", ("no", "yes")),
        (pa.array([True, False, True, True]), "binary", ("false", "true")),
        (pa.array(["b", "a", "c", "a"]), "multiclass", ("a", "b", "c")),
        (pa.array([2, 0, 1, 0]), "multiclass", ("0", "1", "2")),
        (pa.array([1.5, 2.5, 3.5, 4.5]), "regression", ()),
    ],
)
def test_the_label_says_the_task(tmp_path, label, task, classes):
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0], "y": label, "p": [0.1, 0.2, 0.3, 0.4]})
    made = init_package(tmp_path, table, name="m", artefact="model.pt2", label="y", score="p")
    assert (made.task, made.outputs.classes, made.schema.names) == (task, classes, ("x",))
    assert read_package(tmp_path) == made


def test_a_model_file_from_elsewhere_is_brought_along(tmp_path):
    (tmp_path / "best.pt2").write_bytes(b"PK")
    table = tmp_path / "train.parquet"
    pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]}).to_parquet(table)
    made = init_package(tmp_path / "m", table, name="m", artefact=str(tmp_path / "best.pt2"), label="y")
    assert made.artefact == "best.pt2" and (tmp_path / "m" / "best.pt2").read_bytes() == b"PK"


def test_an_unknown_label_is_named(tmp_path):
    with pytest.raises(TableError, match="column 'z' is not in the table; known: x"):
        init_package(tmp_path, pa.table({"x": [1.0]}), name="m", artefact="model.pt2", label="z")
