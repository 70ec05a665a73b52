import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.serving.projection import Projection, union
from streams.formats.json import JsonDecoder
from streams.wire.block import Block
from streams.wire.schema import Feature, FeatureSchema, SchemaError

LEVELS = ["Rome", "Oslo", "Bari", "16"]
CITY = st.lists(st.sampled_from(LEVELS), min_size=1, unique=True).map(
    lambda levels: Feature("city", "categorical", categories=tuple(levels))
)
SCHEMAS = st.lists(
    st.tuples(CITY, st.sampled_from([(0, 1, 2), (2, 1, 0), (0,), (1, 0), (2, 0)])).map(
        lambda drawn: FeatureSchema(
            tuple([drawn[0], Feature("age"), Feature("vip", "boolean")][place] for place in drawn[1])
        )
    ),
    min_size=1,
    max_size=3,
)
REQUESTS = st.lists(
    st.fixed_dictionaries(
        # Every schema knows the city: a request that names none of a model's features is refused.
        {"city": st.sampled_from([*LEVELS, "Nice", 16, None])},
        optional={
            "age": st.none() | st.floats(0, 99, width=32),
            "vip": st.none() | st.booleans(),
        },
    ),
    min_size=1,
    max_size=6,
)


def decoded(schema, requests):
    block = Block.of("requests", 0, [json.dumps({"features": request}).encode() for request in requests])
    rows, refused = JsonDecoder(lambda model: ("m", schema))(block)
    assert not refused
    return rows["m"]


@given(SCHEMAS, REQUESTS)
def test_a_version_sees_what_it_would_have_decoded_itself(schemas, requests):
    whole = decoded(union(schemas), requests)
    for schema in schemas:
        seen, alone = Projection(union(schemas), schema)(whole), decoded(schema, requests)
        assert np.array_equal(seen.matrix, alone.matrix, equal_nan=True)
        assert {j: texts for j, texts in seen.unseen.items() if texts} == alone.unseen
        assert seen.schema.names == schema.names


def test_a_shadow_makes_no_feature_required():
    answering = FeatureSchema((Feature("age"), Feature("vip", "boolean", required=True)))
    shadow = FeatureSchema((Feature("age", required=True), Feature("new", required=True)))
    whole = union([answering, shadow], answering=1)
    assert {feature.name: feature.required for feature in whole.features} == {"age": False, "vip": True, "new": False}


def test_only_what_all_who_answer_require_is_required_of_everybody():
    old = FeatureSchema((Feature("age", required=True), Feature("vip", "boolean", required=True)))
    new = FeatureSchema((Feature("age", required=True), Feature("vip", "boolean"), Feature("score2", required=True)))
    whole = union([old, new])
    assert {f.name: f.required for f in whole.features} == {"age": True, "vip": False, "score2": False}
    rows = decoded(whole, [{"age": 1, "vip": True, "score2": 3}, {"age": 1, "score2": 3}, {"age": 1, "vip": False}])
    lacking = [dict(Projection(whole, own).lacking(rows)) for own in (old, new)]
    assert lacking == [{1: "vip"}, {2: "score2"}]


def test_versions_that_disagree_on_a_kind_are_refused():
    with pytest.raises(SchemaError, match="'x' is numeric in one version and boolean in another"):
        union([FeatureSchema((Feature("x"),)), FeatureSchema((Feature("x", "boolean"),))])


@given(REQUESTS, st.data())
def test_picked_rows_are_those_rows(requests, data):
    rows = decoded(FeatureSchema((Feature("city", "categorical", categories=("Rome",)), Feature("age"))), requests)
    chosen = data.draw(st.sets(st.integers(0, len(requests) - 1), min_size=1).map(sorted))
    picked = rows.pick(np.array(chosen))
    alone = decoded(rows.schema, [requests[n] for n in chosen])
    assert np.array_equal(picked.matrix, alone.matrix, equal_nan=True)
    assert {j: texts for j, texts in picked.unseen.items() if texts} == alone.unseen
    assert picked.ids == [rows.ids[n] for n in chosen] and picked.at.tolist() == chosen
