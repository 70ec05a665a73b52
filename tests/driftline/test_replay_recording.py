"""What follows the reading is pure: a recording made by hand, of lists, is replayed without a broker."""

import textwrap
from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
import pandas as pd
import pytest

from drift import Reference
from drift.counting.stage import Count
from drift.judge.stage import Judge
from driftline.replay import Change, Replay
from driftline.replay import text as words
from driftline.replay.judge_log import JudgeLog
from driftline.replay.recording import Recording
from driftline.replay.report_fields import ReportComparison
from driftline.replay.rerun import rerun
from driftline.replay.served import Observed
from inference import Limits, Registry, Score, Serving, draft_package, write_package
from streams.wire.block import Block
from streams.wire.records import Alert, Outcome, Report, Route, RouteCopy, Watch

MINUTE, PER_MINUTE, MINUTES, SHIFT_AT = 60_000, 100, 24, 12
WATCH = Watch(false_alarm_every=100.0, window_rows_min=60, lateness_ms_max=0)
ROUTE = Route(model="taste", epoch=1, ts=0, champion="v1", watch=WATCH)
FIRST_MS = 1_700_000_000_000 // MINUTE * MINUTE
NOW_MS = FIRST_MS + MINUTES * MINUTE
MODEL = """
    import numpy as np

    class Taste:
        def load(self, device):
            pass

        def predict(self, batch):
            return 1 / (1 + np.exp(-({slope} * batch["x"])))
"""


def table(rows: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    x = np.random.default_rng(seed).normal(shift, 1, rows).astype(np.float32)
    return pd.DataFrame({"x": x})


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Registry:
    registry = Registry(tmp_path_factory.mktemp("registry"))
    trained = table(4_000, seed=1)
    for version, slope in (("v1", 1.0), ("v2", -0.5)):
        folder = tmp_path_factory.mktemp(version)
        (folder / "model.py").write_text(textwrap.dedent(MODEL).format(slope=slope))
        package = draft_package(
            trained,
            name="taste",
            version=version,
            artefact="model.py:Taste",
            task="binary",
            limits=Limits(batch_rows=64),
        ).package
        write_package(package, folder)
        p = (1 / (1 + np.exp(-np.float32(slope) * trained["x"].to_numpy()))).astype(np.float32)
        scored = trained.assign(p=p, hat=np.where(p >= 0.5, "1", "0"))
        reference = Reference.fit(scored, task="binary", score="p", prediction="hat", features=package.schema)
        (folder / "reference.arrow").write_bytes(reference.to_bytes())
        registry.add(folder)
    return registry


class Parts:
    """What loads versions and finds references, as `replay` is handed it."""

    def __init__(self, registry: Registry) -> None:
        self.load = cache(lambda name, version: registry.load(name, version, "cpu"))
        self.catalogue = cache(lambda name, version: Reference.from_bytes(_reference(registry, name, version)))

    def rerun(self, recording: Recording, **change) -> Replay:
        return rerun(recording, self.load, self.catalogue, Change(**change))


def _reference(registry: Registry, name: str, version: str) -> bytes:
    return (registry.folder(name, version) / "reference.arrow").read_bytes()


@pytest.fixture(scope="module")
def parts(registry) -> Parts:
    return Parts(registry)


@pytest.fixture(scope="module")
def recording(parts) -> Recording:
    """24 minutes of requests that have moved from minute 12 on, served by v1: the live stages, fed with lists."""
    return recorded(parts, snapshot_at=None)


def recorded(parts: Parts, snapshot_at: int | None) -> Recording:
    """Play the stages.

    Parameters
    ----------
    snapshot_at
        Requests of which so many blocks have been judged are before the stretch, which begins with a snapshot.
    """
    frame = pd.concat([table(SHIFT_AT * PER_MINUTE, 5), table((MINUTES - SHIFT_AT) * PER_MINUTE, 6, shift=1.0)])
    values = [
        msgspec.json.encode({"id": f"r{n}", "ts": FIRST_MS + n * MINUTE // PER_MINUTE, "features": {"x": float(x)}})
        for n, x in enumerate(frame["x"])
    ]
    values[7] = b"{broken"
    blocks = [Block.of("requests", 0, values[n : n + 150], first=n, time=NOW_MS) for n in range(0, len(values), 150)]
    serving = Serving(parts.load)
    serving.follow(ROUTE)
    score, count, judge = Score(serving), Count(parts.catalogue, lambda _: WATCH, 1), Judge(parts.catalogue)
    topics: dict[str, list[bytes]] = {
        name: [] for name in ("predictions", "observations", "counts", "reports", "alerts")
    }
    topics["counts"].append(msgspec.msgpack.encode(RouteCopy(model="taste", route=ROUTE)))
    start, snapshot, judged = 0, None, 0
    for n, block in enumerate(blocks):
        if n == snapshot_at:
            start, snapshot = judged, judge.snapshot()
            topics |= {name: [] for name in ("predictions", "observations", "reports", "alerts")}
        for effects in score.process([block]):
            for message in effects.publish:
                topics.setdefault(message.topic, []).append(message.value)
                if message.topic == "observations":
                    counted = count.process(Block.of("observations", 0, [message.value]))
                    topics["counts"] += [m.value for m in counted.publish if m.topic == "counts"]
        for value in topics["counts"][judged:]:
            for message in judge.process(Block.of("counts", 0, [value])).publish:
                topics.setdefault(message.topic, []).append(message.value)
        judged = len(topics["counts"])
    served = [Observed.read(value, time=1) for value in topics["observations"]]
    bounds = {0: ((snapshot_at or 0) * 150, len(values))}
    return Recording(
        routes=[ROUTE],
        stretch=bounds,
        whole=bounds,
        to_end=True,
        served={0: served},
        requests={0: blocks[snapshot_at or 0 :]},
        predictions={0: [Block.of("predictions", 0, topics["predictions"])]},
        judges=[
            JudgeLog(
                partition=0,
                start=start,
                end=judged,
                snapshot=snapshot,
                counts=[Block.of("counts", 0, topics["counts"][start:], first=start)],
                reports=[Block.of("reports", 0, topics["reports"])],
                alerts=[Block.of("alerts", 0, topics["alerts"])],
            )
        ],
    )


def with_reports(recording: Recording, change: Callable[[dict], dict]) -> Recording:
    """The recording, as if another Driftline had written its reports."""
    (log,) = recording.judges
    values = [msgspec.json.encode(change(msgspec.json.decode(v))) for block in log.reports for v in block.values]
    changed = msgspec.structs.replace(log, reports=[Block.of("reports", 0, values)])
    return msgspec.structs.replace(recording, judges=[changed])


def test_a_recording_of_lists_replays_to_the_same_bytes(parts, recording):
    result = parts.rerun(recording)
    assert not result.differs, "\n".join(words.lines(result))
    predictions, drift = result.predictions, result.drift
    assert (predictions.requests, predictions.refused) == (MINUTES * PER_MINUTE, 1)
    assert predictions.equal == predictions.compared == MINUTES * PER_MINUTE - 1
    assert drift.begins == ["the beginning of the log"]
    assert drift.windows.equal == sum(len(block) for block in recording.judges[0].reports) > 15
    assert drift.counts.equal == drift.counts.minutes > 20
    (pair,) = drift.incidents
    assert pair.served == pair.replayed and set(pair.served.columns) & {"x", "p"}
    assert (drift.windows.new_fields, drift.windows.gone_fields) == ([], [])


def test_it_may_be_replayed_twice(parts, recording):
    assert parts.rerun(recording) == parts.rerun(recording)


def test_a_recording_that_begins_with_a_snapshot(parts):
    recording = recorded(parts, snapshot_at=8)
    result = parts.rerun(recording)
    assert not result.differs, "\n".join(words.lines(result))
    assert result.drift.begins == [f"the snapshot at counts/0/{recording.judges[0].start}"]
    assert result.predictions.compared == MINUTES * PER_MINUTE - 8 * 150


def test_counts_whose_beginning_is_gone_are_judged_from_nothing(parts):
    recording = recorded(parts, snapshot_at=8)
    (log,) = recording.judges
    lost = msgspec.structs.replace(recording, judges=[msgspec.structs.replace(log, snapshot=None)])
    (begins,) = parts.rerun(lost).drift.begins
    assert begins == f"counts/0/{log.start}, from nothing: what came before is gone"


def test_one_prediction_of_another_score_is_one_difference(parts, recording):
    (block,) = recording.predictions[0]
    values = list(block.values)
    values[9] = values[9].replace(b'"score":0.', b'"score":0.0', 1)
    other = msgspec.structs.replace(recording, predictions={0: [Block.of("predictions", 0, values)]})
    result = parts.rerun(other)
    assert result.differs
    assert result.predictions.compared - result.predictions.equal == len(result.predictions.examples) == 1
    assert result.predictions.examples[0].id == msgspec.json.decode(values[9])["id"]


def test_predictions_that_retention_has_taken_are_counted_and_not_compared(parts, recording):
    result = parts.rerun(msgspec.structs.replace(recording, predictions={0: ()}))
    assert (result.predictions.unread, result.predictions.compared) == (MINUTES * PER_MINUTE - 1, 0)


def test_under_other_settings_the_judge_says_what_a_log_watched_so_had_said(parts, recording):
    """The law, without a broker: judging the counts under the new settings from the start gives the same incidents."""
    watch = msgspec.structs.replace(WATCH, window_ms=2 * MINUTE)
    judge = Judge(parts.catalogue)
    route = msgspec.structs.replace(ROUTE, watch=watch)
    values = [msgspec.msgpack.encode(RouteCopy(model="taste", route=route)), *recording.judges[0].counts[0].values[1:]]
    published = judge.process(Block.of("counts", 0, values)).publish
    opened = {
        alert.incident: alert.ts
        for alert in (msgspec.json.decode(m.value, type=Alert) for m in reversed(published) if m.topic == "alerts")
        if alert.event == "open"
    }
    result = parts.rerun(recording, watch={"window_ms": 2 * MINUTE}, settings="slow.toml")
    assert {pair.replayed.id: pair.replayed.opened for pair in result.drift.incidents if pair.replayed} == opened
    assert result.drift.windows.replayed == sum(message.topic == "reports" for message in published)
    assert result.predictions.equal == result.predictions.compared


def test_another_version_answers_everything_and_its_labels_are_held_against_it(parts, recording):
    (block,) = recording.predictions[0]
    answers = [msgspec.json.decode(value) for value in block.values[:400]]
    joined = [
        (
            1,
            Outcome(
                id=answer["id"],
                model="taste",
                version="v1",
                ts=answer["ts"],
                score=answer["score"],
                prediction=answer["prediction"],
                label=answer["prediction"],
                label_ts=answer["ts"],
            ),
        )
        for answer in answers
    ]
    result = parts.rerun(msgspec.structs.replace(recording, outcomes=joined), model="v2")
    accuracy = next(metric for metric in result.performance if metric.metric == "accuracy")
    # v2 turns the slope round: what v1 calls 1 it calls 0, so by v1's own answers as labels it is always wrong.
    assert (accuracy.rows, accuracy.served, accuracy.replayed) == (400, 1.0, 0.0)
    assert result.predictions.changed == result.predictions.compared
    assert {pair.replayed.version for pair in result.drift.incidents if pair.replayed} <= {"v2"}


def test_a_field_that_an_older_version_did_not_write_is_new_and_no_difference(parts, recording):
    """A report before ``ks`` and ``learning`` were written is equal in what both have."""

    def older(report: dict) -> dict:
        columns = [{name: value for name, value in c.items() if name != "ks"} for c in report["columns"]]
        return {name: value for name, value in report.items() if name != "late_rows"} | {"columns": columns}

    result = parts.rerun(with_reports(recording, older))
    assert not result.differs, "\n".join(words.lines(result))
    assert result.drift.windows.new_fields == ["columns.ks", "late_rows"]
    text = "\n".join(words.lines(result))
    assert "equal in the fields that both have" in text and "new, and not compared: columns.ks, late_rows" in text


def test_a_field_that_a_younger_version_wrote_is_named_and_no_difference(parts, recording):
    result = parts.rerun(with_reports(recording, lambda report: report | {"mood": "calm"}))
    assert not result.differs
    assert result.drift.windows.gone_fields == ["mood"]


@pytest.mark.parametrize("field", ["rows", "evidence"])
def test_a_value_that_differs_is_a_difference_whatever_is_new(parts, recording, field):
    def other(report: dict) -> dict:
        return {name: v for name, v in report.items() if name != "late_rows"} | {field: report[field] * 2 + 1}

    result = parts.rerun(with_reports(recording, other))
    assert result.differs and result.drift.windows.equal == 0
    assert result.drift.windows.new_fields == ["late_rows"]


def test_where_absence_says_something_it_is_compared():
    whole = Report(
        model="m", version="v1", window_start=0, window_end=1, rows=3, reference="", evidence=1.0, budget=9.0,
        columns=[],
    )  # fmt: skip
    begun = msgspec.structs.replace(whole, partial=True)
    comparison = ReportComparison()
    assert not comparison.equal(msgspec.json.encode(whole), msgspec.json.encode(begun))
    assert (comparison.new, comparison.gone) == (set(), set())
