"""References: what is inferred, what is refused, and what survives bytes."""

import subprocess
import sys
from importlib.resources import files

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drift import Reference, count_rows
from drift.cells import frames
from drift.cells.frames import FrameError
from drift.reference.file import NoReference
from streams.wire.schema import Feature, FeatureSchema, SchemaError

EMPLOYMENT = files("driftline") / "demo/data/employment_reference.parquet"
STREAM = files("driftline") / "demo/data/employment_stream.parquet"


@pytest.fixture(scope="module")
def employment() -> Reference:
    return Reference.fit(
        str(EMPLOYMENT),
        task="binary",
        score="predicted_probability",
        prediction="prediction",
        label="employed",
        exclude=("id", "year"),
    )


def test_real_data(employment):
    kinds = {cells.name: cells.kind for cells in employment.columns}
    assert len(kinds) == 18 and kinds.pop("AGEP") == kinds.pop("score") == "numeric"
    assert set(kinds.values()) == {"categorical"}
    table = pq.read_table(str(EMPLOYMENT))
    relp = table.column("RELP").to_pandas().astype(str).value_counts()
    named = dict(zip(employment.columns[employment.place("RELP")].labels, employment.of("RELP"), strict=True))
    assert {level: n for level, n in named.items() if n} == relp.to_dict()
    assert employment.positive == "1" and employment.rows == 68_785
    assert all(
        employment.counts[a:b].sum() == 68_785 for a, b in zip(employment.offsets, employment.offsets[1:], strict=False)
    )


def test_real_change_shows_in_counts(employment):
    stream = employment.align(str(STREAM))
    group_quarters = employment.columns[employment.place("RELP")].index(["16", "17"])
    gone = employment.of("RELP", count_rows(employment, stream.slice(69_126, 133_618 - 69_126)))
    alone = employment.of("RELP", count_rows(employment, stream.slice(133_619, 143_889 - 133_619)))
    assert gone[group_quarters].sum() == 0
    assert alone[group_quarters].sum() == alone.sum()


def test_bytes_keep_everything(employment):
    again = Reference.from_bytes(employment.to_bytes())
    assert again.id == employment.id and again.to_bytes() == employment.to_bytes()
    assert again.columns == employment.columns and again.schema == employment.schema
    for name in ("counts", "moments", "extremes", "centre", "scale", "spread", "labels", "positive_share"):
        np.testing.assert_array_equal(getattr(again, name), getattr(employment, name))
        assert getattr(again, name).dtype == getattr(employment, name).dtype
    assert again.performance == employment.performance
    assert pa.ipc.open_file(employment.to_bytes()).read_all().column("name").to_pylist()[0] == "AGEP"


def test_the_id_is_the_content(employment):
    frame = pd.DataFrame({"x": np.arange(200.0), "y": ["a", "b"] * 100})
    assert Reference.fit(frame).id == Reference.fit(pa.Table.from_pandas(frame)).id
    assert Reference.fit(frame).id != Reference.fit(frame[:-1]).id
    assert len(employment.id) == 32


@pytest.mark.parametrize("blob", [b"", b"PAR1 not arrow", b"ARROW1\0\0"])
def test_other_bytes_are_refused(blob):
    with pytest.raises(NoReference, match="not a reference"):
        Reference.from_bytes(blob)


def test_arrow_of_someone_else_is_refused():
    sink = pa.BufferOutputStream()
    table = pa.table({"x": [1]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(NoReference):
        Reference.from_bytes(sink.getvalue().to_pybytes())


def test_a_format_from_the_future_is_refused(employment, monkeypatch):
    monkeypatch.setattr("drift.reference.file.FORMAT", 2)
    with pytest.raises(NoReference, match="reference format 1, this version reads 2"):
        Reference.from_bytes(employment.to_bytes())


def test_kinds_are_inferred_and_said():
    frame = pd.DataFrame(
        {
            "real": np.linspace(0, 1, 50),
            "few": [1, 2] * 25,
            "many": np.arange(50),
            "text": ["a", "b"] * 25,
            "flag": [True, False] * 25,
            "sparse_flag": [True, None] * 25,
            "mixed": [1, "one"] * 25,
            "when": pd.date_range("2026-01-01", periods=50),
            "vector": [[1.0, 2.0]] * 50,
            "nothing": [None] * 50,
            "id": np.arange(50),
        }
    ).astype({"text": "category"})
    reference = Reference.fit(frame)
    assert {c.name: c.kind for c in reference.columns} == {
        "real": "numeric",
        "few": "numeric",
        "many": "numeric",
        "text": "categorical",
        "flag": "boolean",
        "sparse_flag": "boolean",
        "mixed": "categorical",
        "nothing": "numeric",
    }
    said = " ".join(reference.notes)
    for word in ("'few' is taken as numeric", "'when' is left out", "'vector' is left out", "'id' is left out"):
        assert word in said
    assert {c.name: c.kind for c in Reference.fit(frame, kinds={"few": "numeric"}).columns}["few"] == "numeric"


def test_a_category_type_keeps_its_order_and_a_schema_its_levels():
    frame = pd.DataFrame({"size": pd.Categorical(["s", "l", "s"], categories=["s", "m", "l", "xl"])})
    assert Reference.fit(frame).schema["size"].categories == ("s", "m", "l", "xl")
    schema = FeatureSchema((Feature("size", "categorical", categories=("xl", "s", "l")),))
    cells = Reference.fit(frame, features=schema).columns[0]
    assert cells.levels == ("xl", "s", "l")
    assert cells.index(["m"]).tolist() == [cells.unseen]


@pytest.mark.parametrize(
    ("frame", "rows"),
    [
        (pd.DataFrame({"x": [3.0] * 40}), 40),
        (pd.DataFrame({"x": [np.nan] * 40}), 40),
        (pd.DataFrame({"x": [np.inf, -np.inf] * 20}), 40),
        (pd.DataFrame({"x": [1.5]}), 1),
        (pd.DataFrame({"x": ["only"]}), 1),
        (pd.DataFrame({"x": [1e300, 1e-300, 0.0, -0.0]}), 4),
        (pd.DataFrame({"x": [2**62, 5, 7]}).assign(y=[2**62, 2**61, 3]), 3),
    ],
)
def test_odd_columns_are_profiled(frame, rows):
    reference = Reference.fit(frame, kinds={"y": "numeric"})
    assert reference.of("x").sum() == rows
    again = Reference.from_bytes(reference.to_bytes())
    np.testing.assert_array_equal(count_rows(again, again.align(frame)), reference.counts)


def test_levels_that_look_alike_are_kept_apart_with_a_note():
    reference = Reference.fit(pd.DataFrame({"city": ["Rome", "rome", "Rome ", "Oslo"]}))
    assert reference.columns[0].size == 4 + 2
    assert "differ only in case or spaces" in " ".join(reference.notes)


REFUSED = [
    (pd.DataFrame({"x": []}), {}, "holds no row"),
    (pd.DataFrame({"x": [1.0]}), {"score": "p"}, "lacks the column 'p'"),
    (pd.DataFrame({"age": [1.0]}), {"features": ["agee"]}, "did you mean 'age'"),
    (pd.DataFrame({"x": [1.0]}), {"segments": ("x",)}, "segment 'x' is no categorical feature"),
    (pd.DataFrame({"id": [1.0]}), {}, "no column is left"),
    (pd.DataFrame([[1.0, 2.0]], columns=["x", "x"]), {}, "stands twice"),
    (pd.DataFrame({"x": [1.0] * 3, "y": [0, 1, 2]}), {"task": "binary", "label": "y"}, "has two classes"),
    (pd.DataFrame({"x": [1.0] * 2, "y": [0, 1]}), {"task": "binary", "label": "y", "positive": "2"}, "not among"),
    (pd.DataFrame({"x": ["n/a", "1"]}), {"kinds": {"x": "numeric"}}, "x: numeric expected"),
    ("nowhere.parquet", {}, "no such file"),
    ([1, 2], {}, "DataFrame, an Arrow table or a path"),
]


@pytest.mark.parametrize(("frame", "options", "said"), REFUSED, ids=[said for *_, said in REFUSED])
def test_what_cannot_be_profiled_is_refused_by_name(frame, options, said):
    with pytest.raises((FrameError, SchemaError, ValueError), match=said):
        Reference.fit(frame, **options)


def test_sorted_rows_and_a_change_inside_fail_their_own_check(employment):
    assert employment.checks == ()
    table = pq.read_table(str(EMPLOYMENT))
    assert "AGEP" in Reference.fit(table.sort_by("AGEP"), features=["AGEP", "SEX"]).checks
    half = pd.DataFrame({"x": np.random.default_rng(0).normal(size=4000), "y": ["a", "b"] * 2000})
    half.loc[2000:, "x"] += 0.5
    assert Reference.fit(half).checks == ("x",)


def test_households_make_a_design_effect(employment):
    assert employment.design_effects.min() >= 1 and employment.design_effects.max() > 1.5
    alone = pd.DataFrame({"x": np.random.default_rng(0).normal(size=20_000)})
    assert np.median(Reference.fit(alone).design_effects) == 1.0


def test_align_names_the_missing_column(employment):
    table = pq.read_table(str(STREAM)).drop_columns(["SEX"])
    with pytest.raises(FrameError, match="lacks the column 'SEX'"):
        employment.align(table)


def test_paths_and_csv(tmp_path):
    frame = pd.DataFrame({"x": np.linspace(0, 1, 50), "y": ["a", "b"] * 25})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    assert Reference.fit(tmp_path / "t.csv").id == Reference.fit(tmp_path / "t.parquet").id == Reference.fit(frame).id
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    with pytest.raises(FrameError, match="neither Parquet nor CSV"):
        Reference.fit(tmp_path / "bad.parquet")


@pytest.mark.system  # a process
def test_importing_drift_loads_no_heavy_library():
    heavy = ("faust", "confluent_kafka", "torch", "chdb", "evidently", "clickhouse_driver")
    used = "drift.Reference, drift.compare, drift.count_rows"
    code = f"import sys, drift; {used}; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# --- larger than memory -----------------------------------------------------------------------------


@pytest.fixture
def several() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    rows = 3_000
    frame = pd.DataFrame(
        {
            "x": rng.lognormal(size=rows),
            "city": pd.Categorical(rng.choice(["Rome", "Oslo", "Bern"], rows)),
            "text": rng.choice(["a", "b", None], rows),
            "rooms": rng.integers(1, 6, rows),
            "flag": rng.random(rows) < 0.3,
            "p": rng.random(rows),
            "said": rng.choice(["0", "1"], rows),
            "y": rng.integers(0, 2, rows),
        }
    )
    frame.loc[::7, "x"] = None
    return frame


ROLES = {"task": "binary", "score": "p", "prediction": "said", "label": "y", "segments": ("city",)}


def test_parquet_read_a_column_at_a_time_gives_the_same_reference_to_the_bit(tmp_path, several):
    wanted = Reference.fit(several, **ROLES).id
    several.to_parquet(tmp_path / "whole.parquet", row_group_size=170)
    assert Reference.fit(tmp_path / "whole.parquet", **ROLES).id == wanted
    (tmp_path / "parts").mkdir()
    for part, first in enumerate(range(0, 3_000, 700)):
        several.iloc[first : first + 700].to_parquet(tmp_path / "parts" / f"{part:03}.parquet", row_group_size=90)
    assert Reference.fit(tmp_path / "parts", **ROLES).id == wanted


def test_one_column_at_a_time_is_in_memory(tmp_path):
    rows, columns = 100_000, 24
    frame = pd.DataFrame(
        np.random.default_rng(1).standard_normal((rows, columns)), columns=[f"x{k}" for k in range(24)]
    )
    frame.to_parquet(tmp_path / "wide.parquet", row_group_size=20_000)
    before = pa.total_allocated_bytes()
    table = frames.scan(tmp_path / "wide.parquet")
    held = []
    for name in table.column_names:
        column = table.column(name)
        held.append(pa.total_allocated_bytes() - before)
        del column
    # Of 24 columns' worth. Arrow's own threads let go of what they have decoded a moment later than we do.
    assert np.median(held) < 3 * rows * 8 and max(held) < 6 * rows * 8


def test_a_folder_of_parquet_that_is_no_table_is_refused(tmp_path):
    with pytest.raises(FrameError, match=r"no \*.parquet in this folder"):
        Reference.fit(tmp_path)
    pd.DataFrame({"x": [1.5]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"z": [1.5]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(FrameError, match=r"b\.parquet: its columns are not those of"):
        Reference.fit(tmp_path)
    (tmp_path / "no.parquet").write_text("text")
    with pytest.raises(FrameError, match="neither Parquet nor CSV"):
        Reference.fit(tmp_path / "no.parquet")
    with pytest.raises(FrameError, match="no such file"):
        Reference.fit(tmp_path / "gone.parquet")


def test_a_reference_shows_itself_on_a_screen_with_its_warnings_first():
    rng = np.random.default_rng(0)
    n = 2_000
    wide = pd.DataFrame(rng.normal(size=(n, 120)), columns=[f"x{i}" for i in range(120)])
    for i in range(40):
        wide[f"id{i}"] = [f"{i}-{j}" for j in range(n)]
    truth = rng.choice(["churned", "stayed"], n)
    wide = wide.assign(p=np.where(truth == "churned", 0.9, 0.1), y=truth, sorted=np.arange(n) * 1.0)
    reference = Reference.fit(wide, task="binary", score="p", label="y")
    shown = repr(reference).splitlines()
    assert len(reference.notes) > 30 and len(shown) <= 15 and max(map(len, shown)) <= 120
    assert shown[0].startswith("Reference of 2,000 rows, binary, id ") and "sorted" in shown[1]
    assert shown[1].startswith("  warning: ") and "almost perfect" in shown[2]
    assert any(line.startswith("  classes: 'churned', 'stayed'; the score is of 'churned'") for line in shown)
    again = Reference.from_bytes(reference.to_bytes())
    assert repr(again) == repr(reference) and set(reference.warnings) <= set(reference.notes)


@pytest.mark.parametrize(
    ("parts", "missing"), [({"task": "binary"}, "a score: name its column, score="), ({}, "a task and a score")]
)
def test_what_labels_need_is_named_and_nothing_that_is_there(parts, missing):
    table = pd.DataFrame({"x": range(200), "y": [0, 1] * 100})
    reference = Reference.fit(table, label="y", **parts)
    assert any(f"no performance: labels need {missing}" in note for note in reference.notes)
