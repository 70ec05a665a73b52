"""Replay equals live. "Live" is the stages driven by hand over a real broker: blocks of any size, settled as ever."""

import json
import random
import textwrap
import time
from collections.abc import Iterator, Sequence
from functools import cache
from uuid import uuid4

import msgspec
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from drift import Reference
from drift.counting.stage import Count, idle
from drift.judge.stage import Judge
from drift.labels.stage import Join, PredictionRow
from driftline.replay import Change, Replay, ReplayError, compare_verdicts, judge_log, replay
from driftline.replay import text as words
from driftline.replay.compare_incidents import incidents
from driftline.replay.html import page
from driftline.replay.paired_metrics import _auc
from inference import Limits, Registry, Score, Serving, draft_package, write_package
from streams.kafka import ranges
from streams.kafka import stretch as log
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.routes import announce
from streams.runtime import snapshots
from streams.runtime.transactions import TransactionalProducer
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.records import Act, Alert, Prediction, Report, Route, Watch

pytestmark = pytest.mark.system  # minutes: `make test-all`

FILE = "reference.arrow"
MINUTE = 60_000
PER_MINUTE = 100
WATCH = Watch(false_alarm_every=300.0, window_rows_min=60, label_wait_ms_max=5 * MINUTE)

MODEL = """
    import numpy as np

    class Taste:
        def load(self, device):
            pass

        def predict(self, batch):
            x = np.nan_to_num(batch["x"])
            return 1 / (1 + np.exp(-({slope} * x)))
"""
SLOPES = {"v1": 1.0, "v2": -0.5}


def table(rows: int, seed: int, moved: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(0.8 if moved else 0.0, 1, rows).astype(np.float32)
    city = rng.choice(["Rome", "Oslo", "Bern"], rows, p=[0.1, 0.1, 0.8] if moved else [0.5, 0.3, 0.2])
    y = np.where(rng.random(rows) < 1 / (1 + np.exp(-x)), "yes", "no")
    return pd.DataFrame({"x": x, "city": city, "y": y})


def said(frame: pd.DataFrame, version: str) -> np.ndarray:
    """The oracle: the scores of a version, by hand."""
    return (1 / (1 + np.exp(-(np.float32(SLOPES[version]) * frame["x"].to_numpy(np.float32))))).astype(np.float32)


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Registry:
    """Two versions of a model, each with a reference of its own scores."""
    registry = Registry(tmp_path_factory.mktemp("registry"))
    trained = table(4_000, seed=1)
    for version, slope in SLOPES.items():
        folder = tmp_path_factory.mktemp(version)
        (folder / "model.py").write_text(textwrap.dedent(MODEL).format(slope=slope))
        package = draft_package(
            trained, name="taste", version=version, artefact="model.py:Taste", label="y", limits=Limits(batch_rows=64)
        ).package
        write_package(package, folder)
        p = said(trained, version)
        scored = trained.assign(p=p, hat=np.where(p >= 0.5, "yes", "no"))
        known = {"task": "binary", "score": "p", "prediction": "hat", "label": "y", "positive": "yes"}
        (folder / FILE).write_bytes(Reference.fit(scored, features=package.schema, **known).to_bytes())
        registry.add(folder)
    return registry


class Live:
    """The live stages over one log, turn by turn."""

    def __init__(self, cluster: Cluster, registry: Registry) -> None:
        create(cluster, Layout(requests=2))
        self.cluster = cluster
        self.load = lambda name, version: registry.load(name, version, "cpu")
        self.catalogue = cache(
            lambda m, v: Reference.from_bytes((registry.folder(m, v) / "reference.arrow").read_bytes())
        )
        self._serving = Serving(self.load)
        self._score = Score(self._serving)
        self._counts: dict[int, Count] = {}
        self._judge = Judge(self.catalogue)
        self._read: dict[tuple[str, str, int], int] = {}
        self._producer = TransactionalProducer(cluster, "live")
        self._rows: dict[str, list[PredictionRow]] = {}
        self._join = Join(
            lambda ids: {i: self._rows[i] for i in ids if i in self._rows}, self.catalogue, lambda: 0, 10**9
        )
        self.watch = WATCH

    def route(self, champion: str, watch: Watch = WATCH, **more) -> None:
        self.watch = watch
        route = announce(
            self.cluster,
            lambda book: Route(
                model="taste", epoch=0, ts=int(time.time() * 1000), champion=champion, watch=watch, **more
            ),
        )
        self._serving.follow(route)

    def send(self, frame: pd.DataFrame, first: int, event_ms: np.ndarray, broken: Sequence[int] = ()) -> None:
        out = []
        for n, (x, city) in enumerate(zip(frame["x"].tolist(), frame["city"], strict=True)):
            request = {"id": f"r{first + n}", "ts": int(event_ms[n]), "features": {"x": x, "city": city}}
            value = b"{broken" if n in broken else msgspec.json.encode(request)
            out.append(Publish("requests", value, partition=n % 2))
        self._producer.commit([], out, None)

    def turn(self) -> None:
        """Everything once: score, count, join, judge."""
        self._settle(e for block in self._fresh("score", "requests", 150) for e in self._score.process([block]))
        self._settle(self._count(block).process(block) for block in self._fresh("count", "observations", 3))
        for block in self._fresh("store", "predictions", 10_000):
            for one in (msgspec.json.decode(v or b"", type=Prediction) for v in block.values):
                row = PredictionRow(
                    id=one.id,
                    model=one.model,
                    version=one.version,
                    ts=one.ts,
                    score=one.score,
                    prediction=one.prediction,
                )
                self._rows[one.id] = [row]
        for block in self._fresh("join", "feedback", 80):
            self._settle(
                [self._join.process(block)]
            )  # a transaction each, as ever: outcomes lie in time before their sums
        self._settle(self._judge.process(block) for block in self._fresh("judge", "counts", 10))

    def idle(self, partition: int) -> None:
        self._producer.commit([], idle(["taste"], "requests", partition, 2).publish, None)

    def act(self) -> None:
        (first, *_) = alerts(self)
        act = Act(model="taste", incident=first.incident, act="acknowledge", by="ann", at_ms=0)
        self._producer.commit([], [Publish("counts", msgspec.msgpack.encode(act), key=b"taste")], None)

    def snapshot(self) -> None:
        written = snapshots.write("counts", 0, self._read["judge", "counts", 0], self._judge.snapshot())
        self._producer.commit([], written, None)

    def labels(self, frame: pd.DataFrame, first: int) -> None:
        values = [msgspec.json.encode({"id": f"r{first + n}", "label": y}) for n, y in enumerate(frame["y"])]
        self._producer.commit([], [Publish("feedback", value, partition=0) for value in values], None)

    def told(self, topic: str) -> list[bytes]:
        return [value or b"" for block in ranges.read_all(self.cluster, topic) for value in block.values]

    def replay(self, start: str | None = None, end: str | None = None, **change) -> Replay:
        return replay(self.cluster, self.load, self.catalogue, start, end, Change(**change))

    def close(self) -> None:
        self._producer.close()
        del self._producer

    def _count(self, block: Block) -> Count:
        return self._counts.setdefault(block.partition, Count(self.catalogue, lambda model: self.watch, 2))

    def _fresh(self, step: str, topic: str, rows_max: int) -> list[Block]:
        """What a step has not read yet, cut anywhere."""
        found = []
        for partition, (low, high) in ranges.bounds(self.cluster, topic).items():
            start = self._read.get((step, topic, partition), low)
            several = list(ranges.read(self.cluster, topic, partition, start, high))
            rest = Block.joined(several or [Block.of(topic, partition, [])])
            while rest:
                # By offset alone, whatever a fetch brought: two logs of the same requests are cut alike.
                size = random.Random(f"{step}/{partition}/{rest.first}").randint(1, rows_max)
                found.append(rest[:size])
                rest = rest[size:]
            self._read[step, topic, partition] = high
        return found

    def _settle(self, effects) -> None:
        messages = [message for one in effects for message in one.publish]
        if messages:
            self._producer.commit([], messages, None)


MINUTES, MOVED_AT, TURN = 30, 16, 5
FIRST_MS = (int(time.time() * 1000) // MINUTE - 2 * MINUTES) * MINUTE


def play(live: Live, turns: Sequence[str] = (), labelled: bool = False) -> pd.DataFrame:
    """30 minutes of requests in six turns; from minute 16 on both features have moved. Returns all rows."""
    frames = [table(MOVED_AT * PER_MINUTE, seed=5), table((MINUTES - MOVED_AT) * PER_MINUTE, seed=6, moved=True)]
    whole = pd.concat(frames, ignore_index=True)
    event_ms = FIRST_MS + np.arange(len(whole)) * MINUTE // PER_MINUTE
    event_ms[::211] -= 4 * MINUTE  # some come late
    size = TURN * PER_MINUTE
    for n, first in enumerate(range(0, len(whole), size)):
        if n < len(turns) and turns[n]:
            {"v1": lambda: live.route("v1"), "canary": lambda: live.route("v1", canary={"v2": 0.3}),
             "shadow": lambda: live.route("v1", shadows=("v2",)), "v2": lambda: live.route("v2"),
             "idle": lambda: live.idle(1), "snapshot": live.snapshot, "act": live.act}[turns[n]]()  # fmt: skip
        part = whole[first : first + size]
        live.send(part, first, event_ms[first : first + size], broken=(3, 4) if n % 3 == 1 else ())
        if labelled and n:
            live.labels(whole[first - size : first], first - size)
        live.turn()
    return whole


@pytest.fixture
def live(kafka, topic_prefix, registry) -> Iterator[Live]:
    live = Live(Cluster(bootstrap=kafka, prefix=topic_prefix), registry)
    yield live
    live.close()


@pytest.fixture
def other(kafka, topic_prefix, registry) -> Iterator[Live]:
    """A second log, on which something else served."""
    other = Live(Cluster(bootstrap=kafka, prefix=f"other-{topic_prefix}"), registry)
    yield other
    other.close()


@pytest.fixture(scope="module")
def played(kafka, registry) -> Iterator[tuple[Live, pd.DataFrame]]:
    """A log that v1 served, with labels and two snapshots; for tests that only read."""
    live = Live(Cluster(bootstrap=kafka, prefix=f"test-{uuid4().hex[:12]}."), registry)
    live.route("v1")
    yield live, play(live, ["", "", "snapshot", "", "snapshot"], labelled=True)
    live.close()


def test_as_it_was_served_a_replay_gives_the_same_bytes(live):
    live.route("v1")
    play(live, ["", "canary", "idle", "shadow", "v2", "v1"], labelled=True)
    result = live.replay()
    assert not result.differs, "\n".join(words.lines(result))
    said, drift = result.predictions, result.drift
    assert (said.requests, said.refused) == (MINUTES * PER_MINUTE, 4)
    assert said.compared == said.equal == len(live.told("predictions")) == MINUTES * PER_MINUTE - 4
    assert drift.begins == ["the beginning of the log"]
    assert drift.windows.equal == len(live.told("reports")) > 30
    assert drift.counts.equal == drift.counts.minutes > 40
    assert [pair.replayed for pair in drift.incidents] == incidents(alerts(live))
    assert any(pair.replayed.paged for pair in drift.incidents)
    assert {metric.metric for metric in result.performance} == {"accuracy", "auc", "brier"}
    assert all(metric.difference == metric.low == metric.high == 0 for metric in result.performance)


def alerts(live: Live) -> list[Alert]:
    return [msgspec.json.decode(value, type=Alert) for value in live.told("alerts")]


def test_a_stretch_begins_at_the_newest_snapshot_before_it_and_ends_where_it_ends(played, monkeypatch):
    live, _ = played
    monkeypatch.setattr(judge_log, "CLOCKS_MS_MAX", 0)  # all of it happened within seconds
    whole = live.replay()
    first = ranges.bounds(live.cluster, "requests")[0][1] // 2
    result = live.replay(f"0:{first},1:{first}", f"0:{first + 200},1:{first + 300}")
    assert not result.differs, "\n".join(words.lines(result))
    assert "the snapshot at counts/0/" in result.drift.begins[0]
    assert result.stretch == {0: (first, first + 200), 1: (first, first + 300)}
    assert 490 < result.predictions.compared <= 500
    assert 4 <= result.drift.windows.equal < whole.drift.windows.equal
    assert result.drift.counts.equal == result.drift.counts.minutes > 4


def test_an_act_about_an_incident_of_before_the_stretch_is_no_difference(live):
    live.route("v1")
    play(live, ["", "", "", "", "", "act"])
    told = alerts(live)
    (acknowledged,) = (at for at, alert in enumerate(told) if alert.act)
    assert told[acknowledged].incident in {alert.incident for alert in told[:acknowledged]}
    whole = live.replay()
    assert not whole.differs and incidents(told) == [pair.replayed for pair in whole.drift.incidents]
    assert all(pair.replayed.text == told[acknowledged - 1].text for pair in whole.drift.incidents)
    first = (5 * TURN - 2) * PER_MINUTE // 2  # The turn before the act, when the incident's last window had closed.
    result = live.replay(f"0:{first},1:{first}")
    assert not result.differs, "\n".join(words.lines(result))


def test_one_request_alone(played):
    live, _ = played
    offset = next(iter(ranges.read(live.cluster, "requests", 1, 50, 60))).offsets[3]
    result = live.replay(f"1:{offset}", f"1:{offset + 1}")
    assert result.stretch == {1: (offset, offset + 1)}
    assert (result.predictions.requests, result.predictions.equal) == (1, 1)


def test_times_name_a_stretch(played):
    live, whole = played
    assert live.replay("-1h", "now").predictions.requests == len(whole)
    assert live.replay(None, "2020-01-01T00:00:00Z").predictions.compared == 0


def test_the_same_version_differs_in_nothing(played):
    live, _ = played
    result = live.replay(model="v1")
    assert result.predictions.equal == result.predictions.compared > 2_900
    assert result.drift.windows.equal == result.drift.windows.served == result.drift.windows.replayed
    assert all(pair.served == pair.replayed for pair in result.drift.incidents)
    assert words.answer(result).endswith("predictions equal, bit for bit; pages: 1 served, 1 replayed.")


def test_another_version_answers_and_is_judged_as_if_it_had_served(played, other, again):
    """The law: v1's log replayed with v2 tells what the log of v2 itself told, figures from labels too."""
    live, whole = played
    other.route("v2")
    play(other, labelled=True)
    result = live.replay(model="v2")
    assert again() == last_words(reports(other))
    assert [pair.replayed for pair in result.drift.incidents if pair.replayed] == incidents(alerts(other))
    _by_hand(result, whole)


@pytest.fixture
def again(monkeypatch):
    """What the reports of the last replay said last."""
    compare, found = compare_verdicts.compare_reports, []

    def spy(served, replayed, strictly):
        found[:] = [report for report, _ in replayed.reports]
        return compare(served, replayed, strictly)

    monkeypatch.setattr(compare_verdicts, "compare_reports", spy)
    return lambda: last_words(found)


def last_words(several: Sequence[Report]) -> list[Report]:
    """The last revision of each window."""
    last = {report.window_start: msgspec.structs.replace(report, revision=0) for report in several}
    return [last[start] for start in sorted(last)]


def reports(live: Live) -> list[Report]:
    return [msgspec.json.decode(value, type=Report) for value in live.told("reports")]


def _by_hand(result: Replay, whole: pd.DataFrame) -> None:
    """Predictions and performance against numpy and scikit-learn."""
    from sklearn.metrics import brier_score_loss, roc_auc_score

    answered = np.ones(len(whole), bool)
    for n in range(1, MINUTES // TURN, 3):
        answered[[n * TURN * PER_MINUTE + 3, n * TURN * PER_MINUTE + 4]] = False
    was, now = (said(whole, v)[answered].astype(float) for v in ("v1", "v2"))
    found = result.predictions
    assert found.compared == answered.sum()
    assert found.changed == ((was >= 0.5) != (now >= 0.5)).sum()
    assert found.most == pytest.approx(np.abs(was - now).max(), abs=1e-6)
    assert found.mean == pytest.approx(np.abs(was - now).mean(), abs=1e-6)
    joined = answered.copy()
    joined[-TURN * PER_MINUTE :] = False  # the last turn's labels never came
    truth = (whole["y"] == "yes").to_numpy()[joined]
    was, now = (said(whole, v)[joined].astype(float) for v in ("v1", "v2"))
    metrics = {metric.metric: metric for metric in result.performance}
    assert metrics["auc"].rows == joined.sum()
    for name, oracle in (("auc", roc_auc_score), ("brier", brier_score_loss)):
        assert metrics[name].served == pytest.approx(oracle(truth, was), abs=1e-6)
        assert metrics[name].replayed == pytest.approx(oracle(truth, now), abs=1e-6)
        assert metrics[name].low < metrics[name].difference < metrics[name].high
    assert metrics["accuracy"].replayed == pytest.approx(((now >= 0.5) == truth).mean())


def test_label_sums_are_made_anew_for_another_version(played):
    from drift.performance import label_sums
    from driftline.replay.compare_predictions import Row
    from driftline.replay.relabel import Relabelled
    from driftline.replay.served_log import outcomes
    from streams.wire.records import CountsMessage, LabelSums

    live, _ = played
    joined = outcomes(live.cluster, 0)
    instead = {o.id: Prediction(o.id, "taste", "v2", o.ts, 0.25, "no") for _, o in joined}
    rows = [Row(Prediction(o.id, "taste", "v1", o.ts, o.score, o.prediction), instead[o.id]) for _, o in joined]
    labels = Relabelled(live.catalogue, joined, rows)
    made: list[LabelSums] = []
    for block in ranges.read_all(live.cluster, "counts"):
        for at, value in zip(block.times, block.values, strict=True):
            message = msgspec.msgpack.decode(value or b"", type=CountsMessage)
            if isinstance(message, LabelSums):
                made += labels.until(message, at)
    total = sum(np.frombuffer(one.cells, "<i8").reshape(-1, 4) for one in made)
    reference = live.catalogue("taste", "v2")
    truth = [o.label for _, o in joined]
    assert {one.version for one in made} == {"v2"}
    assert {one.reference for one in made} == {reference.id}
    np.testing.assert_array_equal(total, label_sums(reference, np.full(len(joined), 0.25), ["no"] * len(joined), truth))


def test_other_settings_tell_what_they_would_have_told(played, other, again):
    """The law: a log watched loosely, replayed strictly, tells what a log watched strictly told."""
    live, _ = played
    other.route("v1", msgspec.structs.replace(WATCH, false_alarm_every=20.0, window_ms=2 * MINUTE))
    play(other, labelled=True)
    result = live.replay(watch={"false_alarm_every": 20.0, "window_ms": 2 * MINUTE}, settings="strict.toml")
    assert result.predictions.equal == result.predictions.compared
    assert [pair.replayed for pair in result.drift.incidents if pair.replayed] == incidents(alerts(other))
    assert again() == last_words(reports(other))


def test_what_was_served_otherwise_is_found(live, registry):
    """Predictions that the recorded version would not have given, and a count that is not of these rows."""
    live.route("v1")
    live.send(table(200, seed=8), 0, np.full(200, int(time.time() * 1000) - MINUTE))
    score = live._score
    lying = Serving(lambda name, version: registry.load(name, "v2", "cpu"))
    lying.follow(Route(model="taste", epoch=1, ts=0, champion="v1"))
    live._score = Score(lying)
    live._score._serving = lying
    live.turn()
    live._score = score
    result = live.replay()
    assert result.differs
    assert result.predictions.compared == 200
    assert result.predictions.equal < 20
    assert result.drift.counts.equal < result.drift.counts.minutes
    assert len(result.predictions.examples) == 5


def test_changes_that_cannot_be_are_named(live, tmp_path):
    with pytest.raises(ReplayError, match="no model has ever served"):
        live.replay()
    live.route("v1")
    with pytest.raises(ReplayError, match="no model 'tast'"):
        live.replay(model="tast@v2")
    with pytest.raises(ValueError, match="v9 is not in"):
        live.replay(model="v9")
    with pytest.raises(log.MomentError, match="no partition 7"):
        live.replay("7:0")
    assert words.answer(live.replay()).startswith("Nothing to compare")


@pytest.mark.parametrize("text", ["yesterday", "3:", "-15", "3:x", "", "12"])
def test_a_place_that_cannot_be_read_is_refused(text):
    with pytest.raises(log.MomentError, match="no place in the log"):
        log.moment(text, 0)


def test_the_command(played, registry, tmp_path, monkeypatch):
    from driftline.cli import app

    live, _ = played
    monkeypatch.setenv("DRIFTLINE_KAFKA__BOOTSTRAP", live.cluster.bootstrap)
    monkeypatch.setenv("DRIFTLINE_KAFKA__PREFIX", live.cluster.prefix)
    monkeypatch.setenv("DRIFTLINE_REGISTRY", registry.root)
    (tmp_path / "strict.toml").write_text("[watch]\ntolerances = { ks = 0.5 }\n")
    (tmp_path / "wrong.toml").write_text("[watch]\nfalse_alarms = 3\n")

    def run(*args: str):
        return CliRunner().invoke(app, ["replay", *args])

    served = run("--json", "--fail-on-difference")
    assert (served.exit_code, served.stderr) == (0, "")
    assert json.loads(served.stdout)["predictions"]["equal"] == MINUTES * PER_MINUTE - 4
    out = tmp_path / "replay.html"
    other = run("--model", "v2", "--settings", str(tmp_path / "strict.toml"), "--out", str(out), "--fail-on-difference")
    assert other.exit_code == 1
    assert " predictions differ, " in other.stdout
    assert "Predictions that differ most" in out.read_text()
    wrong = run("--settings", str(tmp_path / "wrong.toml"))
    assert "false_alarms" in str(wrong.exception)


def test_the_page_escapes_what_it_is_told():
    assert "<script>" not in page(Replay(stretch={}, model="<script>alert(1)</script>"))


def test_auc_and_its_interval_against_scikit_learn_and_a_bootstrap():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(4)
    positive = rng.random(800) < 0.4
    one = np.round(rng.normal(positive, 1), 1)  # ties
    scores = np.array([one, one * 0.6 + rng.normal(positive, 1) * 0.4])
    found = _auc("m", scores, positive)
    assert found.served == pytest.approx(roc_auc_score(positive, scores[0]))
    assert found.replayed == pytest.approx(roc_auc_score(positive, scores[1]))
    draws = []
    for _ in range(400):
        rows = rng.integers(0, 800, 800)
        draws.append(roc_auc_score(positive[rows], scores[1][rows]) - roc_auc_score(positive[rows], scores[0][rows]))
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(draws), rel=0.15)


def test_a_version_without_its_model_is_refused_with_the_names_it_could_have():
    with pytest.raises(ReplayError, match=r"--model v1: of which model\? name it, as one of delay@v1, tickets@v1"):
        Change("v1").instead(["delay", "tickets"])
    assert Change("v1").instead(["delay"]) == Change("delay@v1").instead(["delay", "tickets"]) == {"delay": "v1"}
