"""One spelling of levels, booleans, numbers and nulls."""

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.wire.spelling import Levels, boolean_of, level_text, missing


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), "0.1"),
        (np.float64(0.1), "0.1"),
        (np.float32(16), "16"),
        (np.int8(-3), "-3"),
        (np.bool_(True), "true"),
        (Decimal("16.00"), "16"),
        (Decimal("1e3"), "1000"),
        (Decimal("0.30"), "0.3"),
        (2**70, str(2**70)),
        (-0.0, "0"),
        (float("inf"), "inf"),
        ("01234", "01234"),
        ("True", "True"),
        (b"xx", "xx"),
        ("bad\ud83d", "bad\\ud83d"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (dt.date(2024, 1, 31), "2024-01-31"),
        (dt.datetime(2024, 1, 31, 8), "2024-01-31T08:00:00.000Z"),
        (dt.datetime(2024, 1, 31, 8, tzinfo=dt.timezone(dt.timedelta(hours=2))), "2024-01-31T06:00:00.000Z"),
        (pd.Timestamp("2024-01-31 08:00"), "2024-01-31T08:00:00.000Z"),
        (pd.Period("2024-01", "M"), "2024-01"),
    ],
)
def test_a_value_has_one_spelling(value: object, text: str) -> None:
    assert level_text(value) == text


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value: float) -> None:
    assert float(level_text(value)) == float(value)


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_spelled_alike_as_integer_float_and_decimal(value: int) -> None:
    assert level_text(value) == level_text(float(value)) == level_text(Decimal(value)) == level_text(np.int64(value))


def test_what_is_missing() -> None:
    nothing = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("NaN")]
    assert all(missing(value) for value in nothing)
    assert not any(missing(value) for value in (0, "", False))


@pytest.mark.parametrize("value", [True, 1, 1.0, "true", "True", "TRUE", "1", "1.0", np.bool_(True), np.int8(1)])
def test_true_is_read_by_value(value: object) -> None:
    assert boolean_of(value) is True


@pytest.mark.parametrize("value", ["yes", "", 2, -1, 0.5, None, "on"])
def test_what_is_no_boolean(value: object) -> None:
    assert boolean_of(value) is None


def test_a_level_is_found_by_value_and_a_listed_one_means_itself() -> None:
    codes = Levels({"16": 0, "07": 1, "x": 2})
    assert [codes.get(text) for text in ("16", "16.0", "16.00", "07", "7", "7.0", "016", "x")] == [
        *(0, 0, 0, 1),
        *(None, None, None, 2),
    ]
    assert Levels({"16": 0, "16.0": 1})["16.0"] == 1


@pytest.mark.parametrize("levels", [("0", "1"), ("false", "true"), ("False", "True")])
def test_two_truth_values_are_found_in_any_spelling(levels: tuple[str, str]) -> None:
    codes = Levels({text: place for place, text in enumerate(levels)})
    assert [codes.get(text) for text in ("true", "True", "1", "1.0", "false", "0")] == [1, 1, 1, 1, 0, 0]


def test_truth_values_beside_other_levels_are_texts() -> None:
    assert Levels({"0": 0, "1": 1, "2": 2}).get("true") is None
    assert Levels({"true": 0, "1": 1}).get("True") is None
