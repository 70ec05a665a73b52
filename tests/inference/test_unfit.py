"""What is left out of a model's inputs, and what is said about it."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from inference import TableError, draft_package


def draft(frame, **known):
    return draft_package(frame, name="m", artefact="model.pt2", **known)


@pytest.fixture
def frame():
    rng = np.random.default_rng(1)
    n = 200
    return pd.DataFrame(
        {
            "Unnamed: 0": range(n),
            "user_id": rng.permutation(10**6)[:n],
            "token": [f"{k:08x}" for k in rng.permutation(n)],
            "bought": pd.date_range("2026-01-01", periods=n, freq="h"),
            "empty": [None] * n,
            "cents": rng.permutation(10**6)[:n],  # as many values as rows, and a quantity none the less
            "city": rng.choice(["Rome", "Oslo"], n),
            "district": rng.integers(0, 9, n),
            "y": rng.choice(["no", "yes"], n),
        }
    )


def test_identifiers_times_and_empty_columns_are_left_out_with_a_word(frame):
    made = draft(frame, label="y")
    assert made.package.schema.names == ("cents", "city", "district")
    said = "\n".join(made.notes)
    for name in ("Unnamed: 0", "user_id", "token", "bought", "empty"):
        assert f"'{name}' is left out: " in said
    assert "200 different texts in 200 rows" in said


def test_a_null_is_no_text(frame):
    frame["token"] = frame["token"].where(frame.index % 4 > 0)
    assert "150 different texts in 200 rows" in "\n".join(draft(frame, label="y").notes)


def test_named_features_are_taken_at_their_word_or_refused(frame):
    assert draft(frame, label="y", features=["user_id", "cents"]).package.schema.names == ("user_id", "cents")
    with pytest.raises(TableError, match="'bought' is timestamp"):
        draft(frame, label="y", features=["bought"])


def test_numbers_that_are_names(frame):
    made = draft(frame, label="y", categorical=["district"])
    assert made.package.schema["district"].categories == tuple("012345678")
    with pytest.raises(TableError, match="did you mean district"):
        draft(frame, label="y", categorical=["distrikt"])


def test_integer_classes_are_said_to_be_a_guess(frame):
    made = draft(frame, label="district", exclude=["y"])
    assert made.package.task == "multiclass"
    assert any("--task regression" in note for note in made.notes)


def test_a_label_of_one_value_is_no_label():
    with pytest.raises(TableError, match="label 'y' holds only the value 'a'"):
        draft(pa.table({"x": [1.0, 2.0], "y": ["a", "a"]}), label="y")


def answers(labels: list) -> pa.Table:
    return pa.table({"age": [float(n) for n in range(len(labels))], "y": labels})


@pytest.mark.parametrize(
    ("labels", "options", "says"),
    [
        (["yes", "no"] * 5, {"positive": "maybe"}, "the positive class 'maybe' is none of the values of 'y': no, yes"),
        (
            [0.5 + n for n in range(30)],
            {"task": "binary"},
            "'y' holds 30 distinct values (0.5, 1.5, 2.5, 3.5, ...), and",
        ),
        (["yes"] * 10, {}, "label 'y' holds only the value 'yes'; a model needs two classes or a quantity"),
        (["yes", "no"] * 5, {"task": "regression"}, "'y' holds no, yes, and a regression needs numbers; use"),
        (pa.array([], pa.string()), {}, "the table has column names and no rows"),
    ],
)
def test_what_the_label_contradicts_is_said_in_one_short_line(labels, options, says) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        draft_package(answers(labels), name="m", artefact="model.pt2", label="y", **options)
    assert len(str(refused.value)) < 200
