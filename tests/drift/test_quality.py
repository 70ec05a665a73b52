"""The quality of the data, in seven words: schema, type, range, null, unseen, volume, staleness. Each is an event."""

from itertools import pairwise

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drift
from drift import Reference
from drift.counting.stage import Count
from drift.incidents.volume import STEADY_WINDOWS
from drift.judge.stage import Judge
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.observation import Head, RefusedRequest
from streams.wire.records import Alert, CountsMessage, Idle, Report, Route, RouteCopy, Watch
from streams.wire.schema import Feature, FeatureSchema

MINUTE = 60_000
WATCH = Watch(false_alarm_every=1_000.0, window_rows_min=60)


def table(rows: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"AGEP": rng.uniform(0, 94, rows), "city": rng.choice(["Rome", "Oslo", "Bern"], rows)})


SCHEMA = FeatureSchema(
    (Feature("AGEP", low=0, high=99), Feature("city", "categorical", categories=("Bern", "Oslo", "Rome")))
)
REFERENCE = Reference.fit(table(8_000, seed=0), features=SCHEMA)


def alerts_of(spoiled: pd.DataFrame) -> pd.DataFrame:
    """What is told of 2,000 rows as usual and the spoiled ones behind them."""
    stream = pa.concat_tables(
        [pa.Table.from_pandas(one) for one in (table(2_000), spoiled)], promote_options="permissive"
    )
    found = drift.backtest(REFERENCE, stream, rows_per_window=200).alerts
    assert set(found["kind"]) == {"quality"}, found
    return found


# --- of rows ----------------------------------------------------------------------------------------


def test_schema_a_column_that_is_gone_is_critical():
    paged = alerts_of(table(1_000, 2).assign(AGEP=None)).query("page").iloc[0]
    assert (paged["severity"], paged["first_row"]) == ("critical", 2_000)
    assert paged["text"] == "AGEP is gone: null values rose from 0 % in the reference data to 100 % since row 2,000"


@pytest.mark.parametrize(
    ("spoiled", "says"),
    [
        (lambda f: f.assign(AGEP=f["AGEP"].where(f.index % 10 > 0, 900.0)), "out-of-range values"),
        (lambda f: f.assign(AGEP=f["AGEP"].where(f.index % 10 > 0)), "null values"),
        (lambda f: f.assign(city=f["city"].where(f.index % 10 > 0, "Atlantis")), "unseen values"),
    ],
    ids=["range", "null", "unseen"],
)
def test_range_null_unseen_a_tenth_of_a_column_is_told(spoiled, says):
    found = alerts_of(spoiled(table(2_000, 2)))
    sent = found[found["reach"] != "list"]
    assert len(sent) == 1 and f"moved: {says} rose from 0 % in the reference data to 1" in sent.iloc[0]["text"]


# --- of requests that were refused ------------------------------------------------------------------


def head(first: int, last: int, refused: list[RefusedRequest], partition: int = 0) -> Head:
    place = {"topic": "requests", "partition": partition, "first": first, "last": last}
    return Head(model="m", version="v1", refused=refused or None, **place)


def observed(frame: pd.DataFrame, offsets: np.ndarray, times: np.ndarray) -> pa.RecordBatch:
    n = len(frame)
    own = [
        pa.array([str(offset) for offset in offsets]),
        pa.array(times, pa.int64()),
        pa.array(offsets, pa.int64()),
        pa.array([0] * n, pa.int32()),
        pa.nulls(n, pa.float32()),
        pa.array([None] * n, pa.string()).dictionary_encode(),
        pa.array(["champion"] * n, pa.string()).dictionary_encode(),
    ]
    features = [pa.array(frame["AGEP"], pa.float32()), pa.array(frame["city"]).dictionary_encode()]
    return pa.RecordBatch.from_arrays([*own, *features], schema=observation.arrow_schema(REFERENCE.schema))


class Requests:
    """Requests by offset: their times, and which are refused, why."""

    def __init__(self, times: np.ndarray, refused: dict[int, tuple[bool, str, str, str]]) -> None:
        self.times, self.refused = times, refused
        self.frame = table(len(times), seed=5)

    def counted(self, owned: np.ndarray, cuts: list[int], partition: int = 0, partitions: int = 1) -> list[bytes]:
        """Counts of one partition's requests, whose observations were cut at these places."""
        values = []
        for a, b in pairwise([0, *sorted({min(cut, len(owned)) for cut in cuts} | {len(owned)} - {0})]):
            some = owned[a:b]
            good = some[[int(n) not in self.refused for n in some]]
            bad = [RefusedRequest(int(n), int(self.times[n]), *self.refused[int(n)]) for n in some if n in self.refused]
            batch = observed(self.frame.iloc[good], good, self.times[good])
            if good.size or bad:
                values += [value for _, value in observation.split(head(a, b - 1, bad, partition), batch, 20_000)]
        counting = Count(lambda model, version: REFERENCE, lambda model: WATCH, partitions)
        return [one.value for one in counting.process(Block.of("observations", partition, values)).publish]


def judged(values: list[bytes]) -> tuple[dict[int, Report], list[Alert]]:
    judge = Judge(lambda model, version: REFERENCE, spell=lambda ms: f"minute {ms // MINUTE}")
    route = RouteCopy(model="m", route=Route(model="m", epoch=1, ts=0, champion="v1", watch=WATCH))
    told = judge.step(route)
    for value in values:
        stopped = judge.snapshot()
        judge.restore(stopped)
        assert judge.snapshot() == stopped
        told += judge.step(msgspec.msgpack.decode(value, type=CountsMessage))
    told += judge.finish()
    reports = {
        said.window_start: msgspec.structs.replace(said, revision=0) for said in told if isinstance(said, Report)
    }
    return reports, [said for said in told if isinstance(said, Alert)]


# 12 minutes of 100 requests; in minutes 4 to 7 AGEP is text in 38 of 100, and a request or two cannot be read at all.
TIMES = np.arange(1_200) * (MINUTE // 100)
TEXT = {n: (True, "wrong_type", "AGEP", "str") for n in range(400, 800) if n % 50 < 19}
STRANGE = dict.fromkeys((47, 48, 333, 1111), (False, "undecodable", "", ""))


def test_type_requests_that_are_refused_open_an_incident_and_page():
    reports, alerts = judged(Requests(TIMES, TEXT).counted(np.arange(1_200), [500]))
    assert sum(report.rows for report in reports.values()) == 1_200 - len(TEXT)
    opened, closed = alerts
    assert (
        opened.text
        == "38 % of the requests since minute 4 are refused, because AGEP is text where a number is expected"
    )
    assert (opened.kind, opened.severity, opened.page, opened.change_point) == ("quality", "warning", True, 4 * MINUTE)
    assert (closed.event, closed.page, closed.incident) == ("close", False, opened.incident)
    assert (
        closed.text.startswith("back to normal: 0 % of the requests are refused, ")
        and closed.window_start == 10 * MINUTE
    )


def test_schema_where_every_request_is_refused_windows_close_all_the_same_and_it_is_critical():
    missing = dict.fromkeys(range(450, 1200), (True, "missing_field", "city", ""))
    _, alerts = judged(Requests(TIMES, missing).counted(np.arange(1_200), [500, 700]))
    opened, worse = alerts[:2]
    assert (opened.severity, opened.page, opened.window_start) == ("warning", True, 4 * MINUTE)
    assert opened.text == "50 % of the requests since minute 4 are refused, because city is missing"
    assert (worse.event, worse.severity, worse.page, worse.incident) == ("update", "critical", True, opened.incident)
    assert worse.text == "100 % of the requests since minute 5 are refused, because city is missing"
    assert worse.change_point == opened.change_point and len(alerts) == 2


def test_type_what_nobody_can_read_has_kafka_s_time_or_stands_among_the_rows():
    later = dict.fromkeys(range(400, 1200), (False, "undecodable", "", ""))
    assert judged(Requests(TIMES, later).counted(np.arange(1_200), []))[1][-1].severity == "critical"
    # A stretch of last year, sent again today: the strange ones do not close its windows.
    today = np.where([n in TEXT for n in range(1_200)], TIMES + 10**9, TIMES)
    strange = dict.fromkeys(TEXT, (False, "undecodable", "", ""))
    reports, alerts = judged(Requests(today, strange).counted(np.arange(1_200), [77]))
    assert not any(report.late_rows for report in reports.values())
    # By hand: those between the last row of minute 3 and the first of minute 4 count with minute 3, 19 of 119.
    assert alerts[0].text == "16 % of the requests since minute 3 are refused, because they cannot be decoded"


def test_type_a_few_are_no_incident():
    few = dict.fromkeys(range(0, 1200, 97), (True, "wrong_type", "AGEP", "str"))
    assert judged(Requests(TIMES, few | STRANGE).counted(np.arange(1_200), []))[1] == []


@pytest.mark.system  # the same windows again and again
@given(
    partitions=st.integers(1, 4),
    seed=st.integers(0, 10_000),
    cuts=st.lists(st.integers(1, 1_199), max_size=10),
    wander=st.booleans(),
)
@settings(max_examples=10)
def test_any_deal_to_processes_and_any_cut_says_the_same(partitions, seed, cuts, wander):
    rng = np.random.default_rng(seed)
    refused = TEXT | STRANGE
    if wander and partitions == 1:  # times out of order are late by their own partition: then the cuts alone may differ
        times = TIMES + np.random.default_rng(7).choice([0, 0, 0, -200_000], 1_200)
    else:
        times = TIMES
        refused = TEXT  # what has no time of its own stands among its own partition's rows
    asked = Requests(np.maximum(times, 0), refused)
    owner = rng.integers(0, partitions, 1_200)
    parts = [asked.counted(np.flatnonzero(owner == p), cuts, p, partitions) for p in range(partitions)]
    turns = rng.permutation(np.repeat(np.arange(partitions), [len(part) for part in parts]))
    left = [iter(part) for part in parts]
    found = judged([next(left[turn]) for turn in turns])
    assert found == judged(asked.counted(np.arange(1_200), []))
    assert any(alert.page for alert in found[1])


# --- of the volume ------------------------------------------------------------------------------------


def told_after_a_steady_day(values: list[bytes]) -> list[Alert]:
    """What a judge tells of some counts after a day of 100 rows a minute."""
    judge = Judge(lambda model, version: REFERENCE, spell=lambda ms: f"minute {ms // MINUTE}")
    decode = msgspec.msgpack.Decoder(CountsMessage).decode
    judge.step(RouteCopy(model="m", route=Route(model="m", epoch=1, ts=0, champion="v1", watch=WATCH)))
    for value in Requests(TIMES, {}).counted(np.arange(1_200), []):
        assert not [said for said in judge.step(decode(value)) if isinstance(said, Alert)]
    judge.models["m"].segments["v1", ""].volume.windows = STEADY_WINDOWS
    told = [said for value in values for said in judge.step(decode(value))]
    return [said for said in told if isinstance(said, Alert) and said.kind == "quality"]


def test_volume_a_fifth_of_the_usual_rows_is_told():
    fewer = Requests(12 * MINUTE + np.arange(200) * (MINUTE // 20), {}).counted(np.arange(200), [100])
    (opened,) = told_after_a_steady_day(fewer)
    assert (opened.text, opened.page) == ("too few rows since minute 12: 20 a minute, where 100 are usual", False)


def test_staleness_a_silence_is_critical():
    silence = Idle(model="m", topic="requests", partition=0, partitions=1, asleep=True)
    (opened,) = told_after_a_steady_day([msgspec.msgpack.encode(silence)])
    assert (opened.severity, opened.page) == ("critical", True)
    assert opened.text == "no rows since minute 12: all sources are silent"
