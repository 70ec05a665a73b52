import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.serving.routing import by_version, place
from streams.wire.records import Route
from streams.wire.route import RouteError, check


def route(canary=None, shadows=(), **more):
    return Route(model="churn", epoch=1, ts=0, champion="v1", canary=canary or {}, shadows=shadows, **more)


@given(st.lists(st.text(max_size=20)), st.floats(0, 0.5), st.floats(0, 0.5))
def test_each_id_is_answered_exactly_once_and_seen_by_every_shadow(ids, one, two):
    found = by_version(route({"v2": one, "v3": two}, ("v4",)), ids)
    answering = np.concatenate([lane.rows for lane in found if lane.role != "shadow"] or [np.array([], int)])
    assert sorted(answering.tolist()) == list(range(len(ids)))
    assert all(np.array_equal(lane.rows, np.arange(len(ids))) for lane in found if lane.role == "shadow")
    assert all((np.diff(lane.rows) > 0).all() for lane in found)


@given(st.lists(st.text(max_size=20), unique=True), st.floats(0, 1), st.floats(0, 1))
def test_a_growing_canary_keeps_its_ids(ids, one, two):
    small, large = sorted((one, two))

    def chosen(share):
        return {ids[n] for lane in by_version(route({"v2": share}), ids) if lane.role == "canary" for n in lane.rows}

    assert chosen(small) <= chosen(large)


def test_a_canary_gets_its_share():
    n, share = 20_000, 0.05
    got = next(
        len(lane.rows) for lane in by_version(route({"v2": share}), [str(i) for i in range(n)]) if lane.role == "canary"
    )
    deviation = math.sqrt(n * share * (1 - share))  # binomial; the ids are fixed, so this passes always or never
    assert abs(got - n * share) < 4 * deviation


def test_the_ids_of_one_models_canary_are_not_those_of_another():
    ids = [str(i) for i in range(2_000)]
    one, two = (np.array([place(model, id_) for id_ in ids]) for model in ("churn", "fraud"))
    assert abs(np.corrcoef(one, two)[0, 1]) < 4 / math.sqrt(len(ids))


def test_a_split_is_the_same_for_any_batching():
    ids = [f"requests/0/{i}" for i in range(500)]
    r = route({"v2": 0.3})
    whole = {ids[n]: lane.version for lane in by_version(r, ids) for n in lane.rows}
    alone = {id_: by_version(r, [id_])[0].version for id_ in ids}
    assert whole == alone


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (route({"v2": 1.5}), "between 0 and 1"),
        (route({"v2": 0.6, "v3": 0.6}), "add up to 1.2"),
        (route({"v1": 0.1}), "each version is champion, canary or shadow, and named once; got ['v1']"),
        (route({"v2": 0.1}, ("v2",)), "got ['v2']"),
        (route({"v2": math.nan}), "between 0 and 1"),
    ],
)
def test_a_route_that_contradicts_itself_is_refused(bad, said):
    with pytest.raises(RouteError) as refused:
        check(bad)
    assert said in str(refused.value) and "churn" in str(refused.value)
