"""Labels meet predictions: by lists, and once on a real store."""

from functools import partial

import msgspec
import numpy as np
import pandas as pd
import pytest

from drift import Reference
from drift.labels.feedback import ARRIVED, WAITED
from drift.labels.stage import ROUND_MS_MAX, Join, PredictionRow, Recent
from drift.labels.step import Joining
from drift.performance import label_sums
from drift.reference.catalogue import Unwatched
from drift.store import ensure_observations
from drift.store.predictions import look_up
from drift.store.sink import Sink
from streams.clock import ticks_ms
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.records import CountsMessage, LabelSums, Outcome

TS = 1_780_000_000_000
MINUTE = TS // 60_000 * 60_000
WAIT_MS_MAX = 600_000


@pytest.fixture(scope="module")
def reference() -> Reference:
    rng = np.random.default_rng(7)
    score = rng.random(400)
    frame = pd.DataFrame({"age": rng.normal(size=400), "score": score, "said": (score > 0.5) * 1})
    frame["truth"] = (rng.random(400) < score) * 1
    return Reference.fit(frame, task="binary", score="score", prediction="said", label="truth", positive="1")


@pytest.fixture(scope="module")
def prices() -> Reference:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"age": rng.normal(size=400), "score": rng.random(400), "truth": rng.random(400)})
    return Reference.fit(frame, task="regression", score="score", label="truth")


def row(id_: str, ts: int = TS, version: str = "v1", **more) -> PredictionRow:
    return PredictionRow(id=id_, model="m", version=version, ts=ts, score=0.75, prediction="1", **more)


def joining(reference: Reference, rows: list[PredictionRow], now: int = TS, **more) -> Join:
    def found(ids: list[str]) -> dict[str, list[PredictionRow]]:
        return {id_: mine for id_ in ids if (mine := [one for one in rows if one.id == id_])}

    def catalogue(model: str, version: str) -> Reference:
        if version == "unwatched":
            raise Unwatched(model, version)
        return reference

    return Join(found, catalogue, lambda: now, WAIT_MS_MAX, **more)


def feedback(*labels: object, first: int = 0, topic: str = "feedback") -> Block:
    return Block.of(topic, 3, [msgspec.json.encode(label) for label in labels], first=first, time=TS + 5)


def said(id_: str, label: object, ts: int | str | None = None) -> dict[str, object]:
    return {"id": id_, "label": label} if ts is None else {"id": id_, "label": label, "ts": ts}


def outcomes(effects) -> list[Outcome]:
    return [msgspec.json.decode(p.value, type=Outcome) for p in effects.publish if p.topic == "outcomes"]


def sums(effects) -> list[LabelSums]:
    return [msgspec.msgpack.decode(p.value, type=CountsMessage) for p in effects.publish if p.topic == "counts"]


def total(messages: list[LabelSums]) -> np.ndarray:
    return sum(np.frombuffer(m.cells, "<i8") for m in messages)


def signed(effects) -> list[tuple[int, str, int]]:
    return [(o.sign, o.label, o.label_ts) for o in outcomes(effects)]


def test_every_version_of_a_prediction_has_an_outcome(reference):
    effects = joining(reference, [row("a"), row("a", version="v2")]).process(feedback(said("a", 1)))
    assert [(o.version, o.label, o.label_ts, o.sign) for o in outcomes(effects)] == [
        ("v1", "1", TS + 5, 1),
        ("v2", "1", TS + 5, 1),
    ]
    assert {p.key for p in effects.publish} == {b"m"}
    for message in sums(effects):
        assert (message.minute_ms, message.segment, message.reference) == (MINUTE, "", reference.id)
        # One row, its label 1 and its score .75 in fixed point 2^12, and the prediction was right.
        assert np.frombuffer(message.cells, "<i8").reshape(-1, 4).sum(0).tolist() == [1, 4096, 3072, 1]


def test_sums_are_apart_by_minute_and_segment_and_add_up_to_the_same_over_any_split(reference):
    rows = [row(str(i), ts=TS + i * 30_000, segments=(f"city={i % 2}",)) for i in range(6)]
    labels = [said(str(i), i % 3 == 0) for i in range(6)]
    whole = sums(joining(reference, rows).process(feedback(*labels)))
    pieces = joining(reference, rows)
    split = [m for i, label in enumerate(labels) for m in sums(pieces.process(feedback(label, first=i)))]
    for segment in ("", "city=0", "city=1"):
        mine, theirs = ([m for m in part if m.segment == segment] for part in (whole, split))
        assert {m.minute_ms for m in mine} == {m.minute_ms for m in theirs}
        assert (total(mine) == total(theirs)).all()


def test_a_minute_without_predicted_classes_is_summed_as_if_it_came_alone(reference):
    """As where a watched topic names its predicted class only since a while."""
    later = [msgspec.structs.replace(row(id_, ts=TS + 60_000), prediction="") for id_ in ("b", "c")]
    rows = [row("a"), *later]
    labels = [said(r.id, 1, TS + 90_000) for r in rows]
    together = sums(joining(reference, rows).process(feedback(*labels)))
    alone = joining(reference, rows)
    apart = sums(alone.process(feedback(labels[0]))) + sums(alone.process(feedback(*labels[1:], first=1)))
    assert [(m.segment, m.minute_ms, m.cells) for m in together] == [(m.segment, m.minute_ms, m.cells) for m in apart]
    assert total([m for m in together if m.segment == ""]).reshape(-1, 4)[:, 0].sum() == 3


@pytest.mark.parametrize("together", [True, False])
def test_a_correction_takes_the_old_outcome_back(reference, together):
    join, labels = joining(reference, [row("a")]), [said("a", 0, TS + 1), said("a", 1, TS + 2)]
    blocks = [feedback(*labels)] if together else [feedback(labels[0]), feedback(labels[1], first=1)]
    effects = [join.process(block) for block in blocks]
    assert [o for e in effects for o in signed(e)] == [(1, "0", TS + 1), (-1, "0", TS + 1), (1, "1", TS + 2)]
    alone = label_sums(reference, [0.75], ["1"], ["1"]).ravel()
    assert (total([m for e in effects for m in sums(e)]) == alone).all()


def test_a_correction_of_what_the_store_remembers(reference):
    join = joining(reference, [row("a", label="0", label_ts=TS + 1)])
    assert signed(join.process(feedback(said("a", 1, TS + 9)))) == [(-1, "0", TS + 1), (1, "1", TS + 9)]


def test_an_older_label_and_a_repeated_one_change_nothing(reference):
    join = joining(reference, [row("a", label="0", label_ts=TS + 5)])
    assert not join.process(feedback(said("a", 1, TS + 4), said("a", 0))).publish


def test_a_repeated_id_means_the_latest_prediction_before_the_label(reference):
    join = joining(reference, [row("a", ts=TS), row("a", ts=TS + 100), row("b", ts=TS + 100)])
    effects = join.process(feedback(said("a", 1, TS + 50), said("a", 1, TS + 200), said("b", 1, TS)))
    assert [(o.id, o.ts) for o in outcomes(effects)] == [("a", TS), ("a", TS + 100), ("b", TS + 100)]


def test_a_label_without_a_prediction_waits_and_is_joined_with_its_first_time(reference):
    [waiting] = joining(reference, [], now=TS + 50).process(feedback(said("a", 1))).publish
    headers = dict(waiting.headers)
    assert (waiting.topic, waiting.key, waiting.value) == ("feedback-waiting", b"a", b'{"id":"a","label":1}')
    assert headers == {WAITED: b"0", ARRIVED: str(TS + 5).encode()}

    def again(now: int, before: list[tuple[str, bytes]]) -> Publish:
        block = Block("feedback-waiting", 3, [0], [TS + 60], [b"a"], [waiting.value], [before])
        return joining(reference, [], now=now).process(block).publish[0]

    later = again(TS + 60 + 400, waiting.headers)
    assert (later.topic, dict(later.headers)) == ("feedback-waiting", headers | {WAITED: b"400"})
    last = [(WAITED, str(WAIT_MS_MAX).encode()), (ARRIVED, headers[ARRIVED])]
    letter = again(TS + 61, last)
    assert (letter.topic, letter.value) == ("dead-letters", waiting.value)
    assert dict(letter.headers)["driftline-reason"] == b"unknown_prediction"
    block = Block("feedback-waiting", 3, [0], [TS + 60], [b"a"], [waiting.value], [waiting.headers])
    assert signed(joining(reference, [row("a")]).process(block)) == [(1, "1", TS + 5)]


@pytest.mark.parametrize(("step_ms", "counts"), [(600_000_000, ROUND_MS_MAX), (-600_000_000, 0)])
def test_neither_a_step_of_the_clock_nor_an_outage_gives_a_waiting_label_up(reference, step_ms, counts):
    block = Block("feedback-waiting", 3, [0], [TS], [b"a"], [b'{"id":"a","label":1}'], [[(WAITED, b"7")]])
    [waiting] = joining(reference, [], now=TS + step_ms).process(block).publish
    assert (waiting.topic, dict(waiting.headers)[WAITED]) == ("feedback-waiting", b"%d" % (7 + counts))


def test_headers_of_ours_on_feedback_are_not_believed(reference):
    forged = [(WAITED, b"never"), (ARRIVED, b"never"), ("trace", b"7")]
    block = Block("feedback", 3, [0], [TS], [None], [b'{"id":"a","label":1}'], [forged])
    [waiting] = joining(reference, [], now=TS).process(block).publish
    assert waiting.headers == [("trace", b"7"), (WAITED, b"0"), (ARRIVED, str(TS).encode())]


def test_what_cannot_be_read_is_a_dead_letter_and_stops_nobody(reference):
    values = [b"{", None, b'{"id":"a"}', b'{"id":"a","label":1,"ts":"soon"}', b'{"id":"a","label":1}']
    effects = joining(reference, [row("a")]).process(Block.of("feedback", 0, values))
    reasons = [dict(p.headers)["driftline-reason"] for p in effects.publish if p.topic == "dead-letters"]
    assert reasons == [b"undecodable", b"empty", b"missing_field", b"impossible_timestamp"]
    assert len(outcomes(effects)) == 1


def test_a_regression_wants_numbers(prices):
    effects = joining(prices, [row("a"), row("b")]).process(feedback(said("a", "dear"), said("b", 0.5)))
    assert [o.label for o in outcomes(effects)] == ["0.5"]
    [message] = sums(effects)
    assert (total([message]) == label_sums(prices, [0.75], None, [0.5]).ravel()).all()
    assert dict(effects.publish[-1].headers)["driftline-reason"] == b"wrong_type"


def test_an_unwatched_version_has_outcomes_and_no_sums(reference):
    effects = joining(reference, [row("a", version="unwatched")]).process(feedback(said("a", 1)))
    assert [p.topic for p in effects.publish] == ["outcomes"]


def test_the_store_finds_predictions_with_the_labels_that_hold(store, reference):
    ensure_observations(store, "m", [])
    n = 3
    place = {"source_topic": ["requests"] * n, "source_partition": [0] * n, "source_offset": range(n), "row": [0] * n}
    columns = {"id": ["a", "a", "b"], "ts": [TS] * n, "model": ["m"] * n, "version": ["v1", "v2", "v1"]}
    columns |= {"score": [0.75] * n, "prediction": ["1"] * n, "route": ["champion"] * n, "batch_rows": [n] * n}
    store.insert("observations_m", columns | place)
    find = partial(look_up, store)
    assert find(["a", "b", "strange"]) == {"a": [row("a"), row("a", version="v2")], "b": [row("b")]}

    for offset, label in enumerate((0, 1)):
        join = Join(find, lambda model, version: reference, lambda: TS, WAIT_MS_MAX)
        effects = join.process(feedback(said("b", label, TS + offset)))
        values = [p.value for p in effects.publish if p.topic == "outcomes"]
        Sink(store).prepare(Block.of("outcomes", 0, values, first=offset * 10)).write(f"t/outcomes/{offset}")
    assert find(["b"]) == {"b": [row("b", label="1", label_ts=TS + 1)]}
    assert store.rows("SELECT sum(sign), count() FROM outcomes") == [(1, 3)]


class Log:
    """`outcomes`, as far as it is settled, and how much of it the store has."""

    def __init__(self, outcomes: list[Outcome] | None = None) -> None:
        self.outcomes, self.sunk = outcomes or [], 0

    def ends(self) -> dict[int, int]:
        return {0: len(self.outcomes)}

    def stored(self) -> dict[int, int]:
        return {0: self.sunk}

    def unread(self) -> list[Block]:
        return [Block.of("outcomes", 0, [msgspec.json.encode(one) for one in self.outcomes[self.sunk :]])]


def stepping(reference: Reference, outcomes: list[Outcome]) -> Joining:
    return Joining(lambda recent: joining(reference, [row("a")], recent=recent), Log(outcomes))


def joined(step: Joining, *labels: object) -> list[Outcome]:
    effects = step.process([feedback(*labels)])
    return [
        msgspec.json.decode(said.value, type=Outcome)
        for one in effects
        for said in one.publish
        if said.topic == "outcomes"
    ]


def test_a_correction_finds_what_a_predecessor_joined_and_the_store_has_not(reference):
    before = joined(stepping(reference, []), {"id": "a", "label": "1", "ts": TS + 1})
    step = stepping(reference, before)
    step.assign("feedback", 3, 0, "")
    corrected = joined(step, {"id": "a", "label": "0", "ts": TS + 2})
    assert [(one.label, one.sign) for one in corrected] == [("1", -1), ("0", 1)]


def test_what_was_never_settled_is_forgotten_with_the_assignment(reference):
    step = stepping(reference, [])
    first = joined(step, {"id": "a", "label": "1", "ts": TS + 1})
    assert joined(step, {"id": "a", "label": "1", "ts": TS + 1}) == []  # known: the label came again
    step.assign("feedback", 3, 0, "")  # the commit was aborted: the consumer reads again
    assert joined(step, {"id": "a", "label": "1", "ts": TS + 1}) == first


def wait_for(step: Joining, held: bool, ask_ms: int = 2_000) -> None:
    """Ask as a consumer does, until the answer is as expected."""
    until = ticks_ms() + 5 * ask_ms
    while bool(step.held()) != held:
        assert ticks_ms() < until, step.held()


@pytest.mark.parametrize("behind", [True, False], ids=["behind", "in-step"])
def test_no_correction_is_counted_twice_while_the_sink_is_behind(reference, monkeypatch, behind):
    """Labels are forgotten when the store has them, and none is joined while there are too many of the others."""
    monkeypatch.setattr("drift.labels.step._ASK_MS", 0)
    log, ids = Log(), [f"r{n}" for n in range(60)]

    def stored(asked: list[str]) -> dict[str, list[PredictionRow]]:
        held = {one.id: one for one in log.outcomes[: log.sunk] if one.sign > 0}
        labels = {id_: {"label": one.label, "label_ts": one.label_ts} for id_, one in held.items()}
        return {id_: [row(id_, **labels.get(id_, {}))] for id_ in asked}

    def make(recent: Recent) -> Join:
        return Join(stored, lambda model, version: reference, lambda: TS, WAIT_MS_MAX, recent)

    step, waited, most = Joining(make, log, recent_max=20), 0, 0
    sent = [said(id_, 1, TS + 1) for id_ in ids] + [said(id_, 0, TS + 2) for id_ in ids]
    step.assign("feedback", 3, 0, "")
    turn: list[Outcome] = []
    for first in range(0, len(sent), 4):
        if behind and step.held():
            wait_for(step, held=True)
            waited += 1
            log.sunk = len(log.outcomes)
            wait_for(step, held=False)
        folded = joined(step, *sent[first : first + 4])
        log.outcomes = log.outcomes + turn  # while one turn is folded the one before it settles
        turn = folded
        log.sunk = log.sunk if behind else len(log.outcomes)
        step.held()
        most = max(most, sum(step._recent.sizes))
    found = log.outcomes + turn
    assert [(one.id, one.label, one.sign) for one in found] == [
        *((id_, "1", 1) for id_ in ids),
        *(each for id_ in ids for each in ((id_, "1", -1), (id_, "0", 1))),
    ]
    assert most <= 30 and (waited > 3) == behind


def test_a_join_waits_for_a_sink_that_is_far_behind_before_it_remembers_anything(reference, monkeypatch):
    monkeypatch.setattr("drift.labels.step._ASK_MS", 1)
    log = Log(joined(stepping(reference, []), said("a", 1, TS + 1)) * 21)
    step = Joining(lambda recent: joining(reference, [row("a")], recent=recent), log, recent_max=20)
    step.assign("feedback", 3, 0, "")
    wait_for(step, held=True)
    log.sunk = 1
    wait_for(step, held=False)
    assert [one.sign for one in joined(step, said("a", 0, TS + 2))] == [-1, 1]


def letters(effects) -> list[tuple[str, str]]:
    headers = [dict(p.headers) for p in effects.publish if p.topic == "dead-letters"]
    return [(h["driftline-reason"].decode(), h["driftline-detail"].decode()) for h in headers]


@pytest.mark.parametrize("label", [True, 1, 1.0, "1.0", "TRUE", "1"])
def test_a_label_is_joined_as_the_class_that_it_means(reference, label):
    effects = joining(reference, [row("a")]).process(feedback(said("a", label)))
    assert [o.label for o in outcomes(effects)] == ["1"] and not letters(effects)
    assert total(sums(effects)).reshape(-1, 4).sum(0).tolist() == [1, 4096, 3072, 1]


def test_the_same_class_in_another_spelling_is_no_correction(reference):
    effects = joining(reference, [row("a")]).process(feedback(said("a", 1, TS + 1), said("a", True, TS + 1)))
    assert signed(effects) == [(1, "1", TS + 1)]


def test_a_label_of_no_class_is_a_dead_letter_and_counted_and_nothing_else(reference):
    labels = [said("a", "maybe"), said("b", "maybe"), said("c", "Yes"), said("d", 1)]
    effects = joining(reference, [row(id_) for id_ in "abcd"]).process(feedback(*labels))
    assert [o.id for o in outcomes(effects)] == ["d"]
    found = letters(effects)
    assert found[0] == ("unknown_class", "'maybe' is none of the classes of m v1: 0, 1") and len(found) == 3
    (message,) = sums(effects)
    assert message.faults == {"'maybe'": 2, "'Yes'": 1} and total([message]).reshape(-1, 4).sum(0)[0] == 1


def test_a_correction_to_no_class_leaves_the_label_that_holds(reference):
    effects = joining(reference, [row("a")]).process(feedback(said("a", 1, TS + 1), said("a", "?", TS + 2)))
    assert signed(effects) == [(1, "1", TS + 1)] and len(letters(effects)) == 1


def test_a_label_that_one_version_can_use_is_an_outcome_of_that_version(reference, prices):
    def catalogue(model: str, version: str) -> Reference:
        return {"v1": reference, "v2": prices}[version]

    def found(ids: list[str]) -> dict[str, list[PredictionRow]]:
        return {"a": [row("a"), row("a", version="v2")]}

    effects = Join(found, catalogue, lambda: TS, WAIT_MS_MAX).process(feedback(said("a", "true")))
    assert [(o.version, o.label) for o in outcomes(effects)] == [("v1", "1")] and not letters(effects)
    assert {m.version: m.faults for m in sums(effects)} == {"v1": {}, "v2": {"'true'": 1}}


@pytest.mark.parametrize("label", ["nan", "inf", "1e99", "dear", True])
def test_a_regression_refuses_what_is_no_finite_number(prices, label):
    effects = joining(prices, [row("a")]).process(feedback(said("a", label)))
    assert not outcomes(effects) and [reason for reason, _ in letters(effects)] == ["wrong_type"]


def test_sums_of_before_are_read(reference):
    place = {"topic": "feedback", "partition": 0, "first": 0, "last": 0, "format": 1}
    of = {"model": "m", "version": "v1", "reference": reference.id, "segment": "", "minute_ms": MINUTE}
    old = {"type": "labels", "cells": bytes(8), **of, **place}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=CountsMessage).faults == {}
