"""Tables as people have them: strange columns, numbers in disguise, times in any unit, CSV beside Parquet."""

import decimal
import enum
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import drift
from drift.cells.frames import FrameError
from drift.cells.sums import sum_rows
from inference.onboarding.draft import draft_package
from inference.onboarding.table import matrix_of

RNG = np.random.default_rng(7)
N = 2_000
BASE = pd.DataFrame({"x": RNG.normal(size=N), "c": RNG.choice(list("abc"), N)})


class Colour(enum.Enum):
    RED = 1


def sparse(values: np.ndarray) -> Any:
    return pd.arrays.SparseArray(np.where(values > 0, values, 0.0))


STRANGE = {
    "mixed with NA": np.where(np.arange(N) % 7 == 0, pd.NA, RNG.choice(np.array(["a", "b", 123], object), N)),
    "wei": pd.Series([int(v) * 10**18 for v in RNG.integers(1, 500, N)], dtype=object),
    "surrogates": RNG.choice(np.array(["ok", "bad\ud83d"], object), N),
    "uuid": [uuid.UUID(int=i) for i in range(N)],
    "longdouble": RNG.normal(size=N).astype(np.longdouble),
    "complex": RNG.normal(size=N) + 1j,
    "enum": [Colour.RED] * N,
    "sets": [{1}] * N,
    "lists": [[1]] * N,
    "dicts": [{"a": 1}] * N,
    "bytes": [b"xx"] * N,
    "intervals": pd.cut(RNG.normal(size=N), 4),
    "timedelta": pd.Series([pd.Timedelta(1, "h")] * N),
    "period": pd.period_range("2024-01-01", periods=N),
    "zoned": pd.date_range("2024-01-01", periods=N, tz="Europe/Rome"),
    "all null": [None] * N,
    "infinite": np.full(N, np.inf),
}
NUMERIC, LEFT_OUT = {"wei", "longdouble", "all null", "infinite"}, {
    *("complex", "enum", "sets", "lists", "dicts", "bytes", "timedelta", "period", "zoned")
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_one_strange_column_never_ends_the_fit(name: str) -> None:
    reference = drift.Reference.fit(BASE.assign(v=STRANGE[name]))
    kinds = {cells.name: cells.kind for cells in reference.columns}
    assert {"x", "c"} <= kinds.keys()
    assert kinds.get("v") == ("numeric" if name in NUMERIC else None if name in LEFT_OUT else "categorical")
    assert name not in LEFT_OUT or any(note.startswith("'v' is left out: ") for note in reference.notes)
    drift.backtest(reference, BASE.assign(v=STRANGE[name]))


@pytest.mark.parametrize("name", STRANGE)
def test_nor_the_init_of_a_package(name: str) -> None:
    frame = BASE.assign(v=STRANGE[name], y=RNG.integers(0, 2, N))
    draft = draft_package(frame, name="m", artefact="m.pt2", label="y")
    names = [feature.name for feature in draft.package.inputs]
    assert names[:2] == ["x", "c"]
    assert ("v" in names) != any(note.startswith("'v' is left out: ") for note in draft.notes)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array(RNG.choice(["a", "b"], N).tolist(), pa.string_view()), "categorical"),
        (pa.array([b"xx"] * N, pa.binary(2)), None),
        (pa.array(RNG.normal(size=N)).dictionary_encode(), "numeric"),
        (pa.array(RNG.normal(size=N).astype(np.float16)), "numeric"),
        (pa.array([decimal.Decimal(k) for k in range(N)]), "numeric"),
        (pa.array([uuid.UUID(int=i).bytes for i in range(N)], pa.uuid()), "categorical"),
        (pa.nulls(N), "numeric"),
        (pa.array(range(N)).cast(pa.duration("s")), None),
    ],
    ids=str,
)
def test_columns_of_arrow(column: pa.Array, kind: str | None) -> None:
    reference = drift.Reference.fit(pa.table({"x": RNG.normal(size=N), "v": column}))
    assert {cells.name: cells.kind for cells in reference.columns}.get("v") == kind


def test_what_a_refusal_advises_works() -> None:
    frame = BASE.assign(u=STRANGE["uuid"], z=STRANGE["complex"], b=[b"k"] * N)
    assert "u" in drift.Reference.fit(frame, kinds={"u": "categorical"}).schema.names
    assert "b" in drift.Reference.fit(frame, kinds={"b": "categorical"}).schema.names
    with pytest.raises(FrameError, match=r"'z': .*got complex.*leave the column out"):
        drift.Reference.fit(frame, features=["x", "z"])
    assert drift.Reference.fit(frame, features=["x"]).schema.names == ("x",)


def disguised(mean: float, how: str) -> Any:
    values = RNG.normal(mean, 5, N)
    if how == "sparse":
        return pd.arrays.SparseArray(np.where(RNG.random(N) > 0.5, values, 0.0))
    if how == "decimal beside float":
        found = np.array([decimal.Decimal(f"{value:.3f}") for value in values], object)
        found[::10] = 0.0
        return found
    if how == "numpy beside NA":
        return np.where(np.arange(N) % 9 == 0, pd.NA, values.astype(object))
    if how == "beyond 64 bit beside null":
        return [None if k % 9 == 0 else int(value * 2**60) for k, value in enumerate(values)]
    return pd.Series(values, dtype=how)


@pytest.mark.parametrize(
    "how",
    ["sparse", "decimal beside float", "numpy beside NA", "beyond 64 bit beside null", "Float32", "float16", "object",
     "double[pyarrow]"],
)  # fmt: skip
def test_numbers_in_disguise_are_numbers_and_their_moves_are_seen(how: str) -> None:
    reference = drift.Reference.fit(BASE.assign(v=disguised(100, how)))
    assert next(cells.kind for cells in reference.columns if cells.name == "v") == "numeric"
    assert drift.backtest(reference, BASE.assign(v=disguised(100, how))).alerts.empty
    assert not drift.backtest(reference, BASE.assign(v=disguised(130, how))).alerts.empty


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (1e9 + RNG.normal(0, 5, N).round(), "steps of 64"),
        (1.7e12 + RNG.normal(0, 1_000, N).round(), "steps of 1.31e\\+05"),
        (RNG.normal(size=N) * 1e-50, "takes as 0"),
    ],
)
def test_fit_and_init_say_what_float32_hides(values: np.ndarray, words: str) -> None:
    frame = BASE.assign(v=values, y=RNG.integers(0, 2, N))
    drafted = draft_package(frame, name="m", artefact="m.pt2", label="y").notes
    for notes in (drift.Reference.fit(frame).notes, drafted):
        assert pd.Series(" ".join(notes)).str.contains(f"'v' .*{words}").item(), notes
    # What is advised helps: less its middle, the move of three deviations is seen.
    middle = np.median(values)
    if middle > 1:
        reference = drift.Reference.fit(BASE.assign(v=values - middle))
        assert not drift.backtest(reference, BASE.assign(v=values - middle + 3 * values.std())).alerts.empty


def test_an_integer_is_a_number_at_init_and_at_fit_and_a_segment_a_level() -> None:
    frame = BASE.assign(hour=RNG.integers(5, 24, N), flag=RNG.integers(0, 2, N), y=RNG.integers(0, 2, N))
    inputs = {
        feature.name: feature.kind for feature in draft_package(frame, name="m", artefact="m", label="y").package.inputs
    }
    reference = drift.Reference.fit(frame, exclude=["y"])
    assert inputs == {feature.name: feature.kind for feature in reference.schema.features}
    assert inputs["hour"] == inputs["flag"] == "numeric"
    assert "'hour' is taken as numeric: an integer with 19 distinct values; if they are codes, make it categorical" in (
        reference.notes
    )
    assert drift.Reference.fit(frame, segments=["hour"]).schema["hour"].kind == "categorical"
    drafted = draft_package(frame, name="m", artefact="m", label="y", categorical=["hour"]).package
    assert next(feature for feature in drafted.inputs if feature.name == "hour").kind == "categorical"


def test_names_of_columns_that_are_no_text_or_are_ours() -> None:
    frame = pd.DataFrame(
        {0: RNG.normal(size=N), 1: RNG.choice(list("ab"), N), "minute": 1.5, "segment": 2.5, "route": "a"}
    )
    reference = drift.Reference.fit(frame)
    drafted = draft_package(frame.assign(y=RNG.integers(0, 2, N)), name="m", artefact="m", label="y")
    assert reference.schema.names == ("0", "1", "minute", "segment")
    assert tuple(feature.name for feature in drafted.package.inputs) == reference.schema.names
    (why,) = (note for note in reference.notes if "route" in note)
    assert why in drafted.notes and "the name is Driftline's own" in why and "rename it to keep it" in why
    assert drift.backtest(reference, frame).alerts.empty


def test_no_rows_are_no_windows() -> None:
    reference = drift.Reference.fit(BASE)
    empty = BASE.iloc[:0]
    assert drift.backtest(reference, empty).reports.empty
    timed = empty.assign(ts=pd.Series(dtype="datetime64[ns, UTC]"))
    assert drift.backtest(reference, timed, time="ts", window="1h").reports.empty
    with pytest.raises(FrameError, match="lacks the column 'x'"):
        drift.backtest(reference, empty.drop(columns="x"))


SECONDS = 1_700_000_000 + np.arange(N) * 30


@pytest.mark.parametrize(
    "times",
    [SECONDS, SECONDS.astype(float), SECONDS * 1000, SECONDS * 10**6, SECONDS * 10**9, SECONDS.astype(str)],
    ids=["s", "float s", "ms", "us", "ns", "text"],
)
def test_event_times_in_any_unit_make_the_same_windows(times: np.ndarray) -> None:
    found = drift.backtest(drift.Reference.fit(BASE), BASE.assign(ts=times), time="ts", window="1h").reports
    exact = BASE.assign(ts=pd.to_datetime(SECONDS, unit="s"))
    pd.testing.assert_frame_equal(
        found, drift.backtest(drift.Reference.fit(BASE), exact, time="ts", window="1h").reports
    )


def test_text_ids_meet_integer_ids() -> None:
    x = RNG.normal(size=N)
    p = 1 / (1 + np.exp(-x))
    frame = pd.DataFrame({"id": np.arange(N), "x": x, "p": p, "hat": (p > 0.5).astype(int)})
    frame["y"] = (RNG.random(N) < p).astype(int)
    reference = drift.Reference.fit(frame, task="binary", score="p", prediction="hat", label="y", exclude=["id"])
    stream, labels = frame.drop(columns="y"), frame[["id", "y"]]
    expected = drift.backtest(reference, stream, labels=labels).performance
    assert expected.realised.notna().any()
    for ids in (labels.id.astype(str), labels.id.astype(float), labels.id.astype(object)):
        pd.testing.assert_frame_equal(
            drift.backtest(reference, stream, labels=labels.assign(id=ids)).performance, expected
        )
    missing = labels.assign(id=labels.id.where(labels.id % 2 == 0))  # Rows without an id are nobody's.
    half = drift.backtest(reference, stream, labels=missing).performance
    assert (half.coverage.dropna() <= 0.51).all()
    with pytest.raises(FrameError, match="'7' stands twice"):
        drift.backtest(reference, stream, labels=pd.DataFrame({"id": [7, "7", 7.0], "y": [0, 1, 1]}))


def written(frame: pd.DataFrame, folder: Path, name: str) -> tuple[Path, Path]:
    frame.to_parquet(folder / f"{name}.parquet")
    frame.to_csv(folder / f"{name}.csv", index=False)
    return folder / f"{name}.parquet", folder / f"{name}.csv"


CODES = BASE.assign(
    zip=RNG.choice(["01234", "02139", "90210"], N),
    holes=np.where(np.arange(N) % 4 == 0, None, RNG.choice(["u", "v"], N).astype(object)),
    land=RNG.choice(["NA", "DE"], N),
    flag=RNG.random(N) < 0.4,
    maybe=np.where(np.arange(N) % 4 == 0, None, (RNG.random(N) < 0.4).astype(object)),
    n=np.where(np.arange(N) % 5 == 0, np.nan, RNG.integers(0, 9, N)),
)


def test_a_csv_beside_parquet_both_ways(tmp_path: Path) -> None:
    parquet, csv = written(CODES, tmp_path, "t")
    for then, now in ((parquet, csv), (csv, parquet)):
        reference = drift.Reference.fit(then)
        assert drift.backtest(reference, now).alerts.empty
    assert drift.Reference.fit(csv).id == drift.Reference.fit(parquet).id
    inputs = [draft_package(path, name="m", artefact="m", label="flag").package.inputs for path in (parquet, csv)]
    assert inputs[0] == inputs[1]


def test_a_csv_of_codes_is_read_as_codes_if_so_asked(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    BASE.assign(code=RNG.choice(["7", "1e5", "12"], N)).to_csv(path, index=False)
    assert drift.Reference.fit(path).schema["code"].kind == "numeric"
    found = drift.Reference.fit(path, kinds={"code": "categorical"})
    assert set(found.schema["code"].categories) == {"7", "12", "1e5"}


def test_a_wrong_cell_of_a_csv_stream_is_named(tmp_path: Path) -> None:
    reference, path = drift.Reference.fit(BASE), tmp_path / "t.csv"
    BASE.assign(x=["oops" if k == 1_234 else "1.5" for k in range(N)]).to_csv(path, index=False)
    with pytest.raises(FrameError, match=r"t\.csv: x: numeric expected, got 'oops' in row 1234"):
        drift.backtest(reference, path)


@pytest.mark.parametrize(("separator", "name"), [(";", "s.csv"), ("\t", "t.txt"), ("|", "b.csv")])
def test_other_separators(tmp_path: Path, separator: str, name: str) -> None:
    BASE.to_csv(tmp_path / name, index=False, sep=separator)
    assert drift.Reference.fit(tmp_path / name).id == drift.Reference.fit(BASE).id


def test_a_model_that_was_drafted_from_decimals_takes_them() -> None:
    frame = pd.DataFrame({"fee": [decimal.Decimal(f"{v:.2f}") for v in RNG.normal(5, 1, 300)], "y": [0, 1, 1] * 100})
    (feature,) = draft_package(frame, name="m", artefact="m.pt2", label="y").package.inputs
    assert feature.kind == "numeric"
    found = matrix_of(
        pa.Table.from_pandas(frame), draft_package(frame, name="m", artefact="m", label="y").package.schema
    )
    np.testing.assert_array_equal(found[:, 0], frame.fee.astype(np.float32))


@pytest.mark.parametrize("odd", ["yes", 2, 0.5])
def test_what_is_no_truth_value_is_refused_and_not_taken_for_missing(odd: Any) -> None:
    frame = BASE.assign(flag=RNG.random(N) < 0.4)
    reference = drift.Reference.fit(frame)
    for spelled in (
        frame.flag.astype(int),
        frame.flag.astype(float),
        frame.flag.astype(str),
        frame.flag.astype(object),
    ):
        assert drift.backtest(reference, frame.assign(flag=spelled)).alerts.empty
        assert (
            sum_rows(reference, reference.align(frame.assign(flag=spelled))).cells.tolist() == reference.counts.tolist()
        )
    with pytest.raises(ValueError, match=f"flag: true or false expected, got '{odd}'"):
        drift.backtest(reference, frame.assign(flag=[odd if k == 9 else 1 for k in range(N)]))


class Exporter:
    """Another library's frame, which exports itself as Arrow."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pa.Table.from_pandas(BASE).__arrow_c_stream__(requested_schema)


def test_whoever_speaks_arrow_is_read() -> None:
    assert drift.Reference.fit(Exporter()).id == drift.Reference.fit(BASE).id
    with pytest.raises(FrameError, match="expected, got list"):
        drift.Reference.fit([1, 2])


def test_kinds_that_cannot_be_are_refused() -> None:
    frame = BASE.assign(flag=RNG.integers(0, 2, N))
    assert drift.Reference.fit(frame, kinds={"flag": "boolean"}).schema["flag"].kind == "boolean"
    with pytest.raises(ValueError, match=r"c: true or false expected, got '[abc]'"):
        drift.Reference.fit(frame, kinds={"c": "boolean"})
    with pytest.raises(ValueError, match="c: numeric expected"):
        drift.Reference.fit(frame, kinds={"c": "numeric"})


def test_text_that_spells_numbers_is_told_of() -> None:
    text = pd.Series(RNG.normal(size=N).round(2)).astype(str)
    reference = drift.Reference.fit(BASE.assign(v=text))
    assert "'v' is text that spells numbers, taken as levels; if they are numbers, make it numeric" in reference.notes
    assert drift.Reference.fit(BASE.assign(v=text), kinds={"v": "numeric"}).schema["v"].kind == "numeric"
    for other in (text.str.zfill(8), text.where(text.index != 5, "n/a"), pd.Series(RNG.integers(0, 9, N)).astype(str)):
        assert "spells numbers" not in " ".join(drift.Reference.fit(BASE.assign(v=other)).notes)


def test_a_score_that_float32_is_too_coarse_for_is_told_of() -> None:
    frame = BASE.assign(y=1e9 + RNG.normal(0, 5, N).round())
    notes = drift.Reference.fit(frame.assign(p=frame.y + 1), task="regression", score="p", label="y").notes
    assert any(note.startswith("'p' is kept in steps of 64") for note in notes)
