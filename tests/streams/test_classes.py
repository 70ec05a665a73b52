"""One class, one name: every spelling of a value, and what is no spelling of it."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.wire.classes import Classes, class_names

ONES = (1, 1.0, "1", "1.0", " 1 ", "1e0", "+1", True, "true", "True", "TRUE", np.int8(1), np.float32(1), np.True_)
ZEROS = (0, 0.0, -0.0, "0", "0.0", "-0", False, "false", "False", "FALSE", np.False_, Decimal("0E+3"))
NO_CLASS = (
    "yes",
    "Yes",
    "no",
    "maybe",
    "",
    "2",
    2,
    -1,
    "01",
    "1_0",
    "0x1",
    "\u0661",
    "1.5",
    float("inf"),
    "truee",
    "nan",
)
MISSING = (None, float("nan"), np.nan, pd.NA, pd.NaT, Decimal("NaN"))


@pytest.mark.parametrize("names", [("0", "1"), ("false", "true"), ("False", "True"), ("0.0", "1.0"), ("0", "true")])
def test_a_pair_is_read_by_value_in_every_spelling(names):
    classes = Classes(names)
    assert classes.of_all(ONES) == [names[1]] * len(ONES)
    assert classes.of_all(ZEROS) == [names[0]] * len(ZEROS)
    assert classes.of_all(NO_CLASS) == [None] * len(NO_CLASS)
    assert classes.of_all(MISSING) == [None] * len(MISSING)


def test_exact_text_goes_before_value():
    classes = Classes(("1", "1.0", "true"))
    assert classes.of_all(["1", "1.0", "true", 1, True]) == ["1", "1.0", "true", "1", "true"]
    assert classes.of("1.00") is None, "it could be either"


def test_numbers_are_read_by_value_and_truth_is_no_number_where_there_are_more_than_two():
    classes = Classes(("1", "2", "3"))
    assert classes.of_all([1.0, "2.0", "3e0", True, "true", 4]) == ["1", "2", "3", None, None, None]
    assert Classes(("-1", "1")).of_all([True, -1.0, "false"]) == [None, "-1", None]


def test_codes_with_leading_zeros_and_words_are_text():
    assert Classes(("01", "02")).of_all(["01", 1, "1"]) == ["01", None, None]
    assert Classes(("no", "yes")).of_all(["yes", "Yes", True, 1]) == ["yes", None, None, None]


def test_open_classes_take_any_other_text_for_a_class_of_its_own():
    assert Classes(("0", "1"), open=True).of_all(["2", True, None, "x"]) == ["2", "1", None, "x"]


def test_large_integers_do_not_run_together():
    classes = Classes(("9007199254740992", "9007199254740993"))
    assert classes.of_all([9007199254740993, "9007199254740992.0"]) == ["9007199254740993", "9007199254740992"]


def test_columns_name_each_class_once():
    assert class_names({"False": 9, "True": 2}, {"0": 4, "1": 4}) == ("False", "True")
    assert class_names({}, {"1.0": 1, "1": 5, "0": 3}) == ("1", "0")
    assert class_names({"1": 1}, {"yes": 2}) == ("1", "yes")
    assert class_names({"01": 1, "1": 1}) == ("01", "1")
    assert class_names({}) == ()


@given(
    st.lists(st.one_of(st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False), st.text(max_size=3)), min_size=1)
)
def test_every_name_names_itself(values):
    from streams.wire.spelling import level_text

    names = class_names(dict.fromkeys(map(level_text, values), 1))
    assert Classes(names).of_all(names) == list(names)
    # And every value that the columns held names one of them.
    assert None not in Classes(names).of_all(values)
