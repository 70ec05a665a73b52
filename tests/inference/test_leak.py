"""Features that give the label away are named when a package is drafted, and honest ones are not."""

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from inference import draft_package

RNG = np.random.default_rng(7)


def notes(frame, label="y", **more):
    return [
        note for note in draft_package(frame, name="m", artefact="m.pt2", label=label, **more).notes if "away" in note
    ]


def binary(rows=2_000, share=0.3):
    x = RNG.normal(size=rows)
    y = RNG.random(rows) < share
    return pd.DataFrame({"x": x + y, "city": RNG.choice(["a", "b", "c"], rows), "y": np.where(y, "churned", "stayed")})


@pytest.mark.parametrize("share", [0.5, 0.05])
@pytest.mark.parametrize(
    "leak",
    [
        lambda y: y == "churned",
        lambda y: np.where(y == "churned", "closed", "open"),
        lambda y: np.where(y == "churned", RNG.normal(9, 1, len(y)), RNG.normal(-9, 1, len(y))),
        lambda y: np.where(y == "churned", RNG.normal(size=len(y)), np.nan),  # only the missing value tells
    ],
    ids=["boolean", "text", "number", "null"],
)
def test_a_column_that_says_the_class_is_named(leak, share):
    frame = binary(share=share)
    frame["late"] = leak(frame["y"].to_numpy())
    (note,) = notes(frame)
    assert note.startswith("'late' gives 'y' away: it alone tells the class of ") and note.endswith("--exclude late")
    assert notes(frame, exclude=["late"]) == []


def test_a_rare_class_is_not_given_away_by_guessing_the_other():
    assert notes(binary(share=0.004)) == []


def test_codes_that_no_two_rows_share_give_nothing_away():
    frame = binary(600)
    frame["code"] = [f"k{n // 2}" for n in range(len(frame))]
    frame["number"] = RNG.permutation(len(frame)) + 0.5
    assert notes(frame, features=["x", "city", "code", "number"]) == []


def test_a_quantity_is_given_away_by_its_own_conversion():
    km = RNG.gamma(2, 5, 3_000)
    frame = pd.DataFrame({"km": km, "hour": RNG.integers(0, 24, 3_000), "y": 2.5 * km + RNG.normal(0, 6, 3_000)})
    assert notes(frame) == []
    frame["taxed"] = frame["y"] * 1.19 + RNG.normal(0, 0.1, 3_000)
    (note,) = notes(frame)
    assert "'taxed' gives 'y' away: it alone explains 99." in note


def test_a_table_in_the_order_of_its_label_is_judged_alike():
    frame = binary().sort_values("y", ignore_index=True)
    assert notes(frame) == []
    frame["late"] = frame["y"] == "churned"
    assert len(notes(frame)) == 1


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris", "diabetes"])
def test_honest_tables_have_no_warning(name):
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    assert notes(frame, "target") == []


def test_missing_labels_are_left_out():
    frame = binary()
    frame["late"] = frame["y"] == "churned"
    frame.loc[::3, "y"] = None
    assert len(notes(frame)) == 1


def test_what_never_was_null_is_required():
    frame = pd.DataFrame(
        {
            "whole": [1, 2, 3, 4],
            "gaps": [1.0, np.nan, 3.0, 4.0],
            "city": ["a", "b", "a", "b"],
            "town": ["a", None, "a", "b"],
            "vip": [True, False, True, False],
            "opt": pd.array([True, None, False, True], "boolean"),
            "y": ["n", "y", "n", "y"],
        }
    )
    inputs = draft_package(frame, name="m", artefact="m.pt2", label="y").package.inputs
    assert {one.name: one.required for one in inputs} == {
        "whole": True, "gaps": False, "city": True, "town": False, "vip": True, "opt": False,
    }  # fmt: skip
