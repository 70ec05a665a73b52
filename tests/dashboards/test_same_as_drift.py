"""What the page says again because it may import nothing of the packages that it shows: both must say the same."""

from itertools import product

import pytest

from dashboards import words
from dashboards.page import clauses, fleet
from drift.incidents import predictions
from drift.incidents.verdict import word
from drift.performance.outside import OUTSIDE_MAX
from streams.wire.records import Watch


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 1.0])
def test_an_effect_has_the_same_word(tolerance):
    ends = [0.0, 0.01, 0.05, 0.2, 1.0, 2.0]
    intervals = [(low, high) for low, high in product(ends, ends) if low <= high]
    assert [words.verdict(*ends, tolerance) for ends in intervals] == [word(*ends, tolerance) for ends in intervals]


def test_estimates_are_not_trusted_from_the_same_share_on():
    assert fleet.OUTSIDE_MAX == OUTSIDE_MAX


def test_a_loss_may_grow_by_the_default_tolerance():
    assert Watch().tolerances["performance"] == clauses._TOLERATED


def test_the_answers_of_a_model_have_the_same_names():
    assert clauses._ANSWERS == predictions.NAMES
