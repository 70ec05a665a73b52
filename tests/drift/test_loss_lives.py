"""The life of an open incident of performance: fine, worse, much worse, fine, worse again; each turn is told in time.

Windows of 500 rows; each turn is a quarter of the loss. The streams are made so that the loss is known by hand: errors
scaled (regression), or a share of right answers made wrong (classes).
"""

import re

import msgspec
import numpy as np
import pandas as pd
import pytest

import drift
from drift import Reference
from drift.counting.minutes import count_minutes, parts
from drift.incidents.book import Book
from drift.incidents.closed_window import MonitorContext
from drift.incidents.labelled_window import LabelledWindow
from drift.incidents.realised_loss import RealisedLoss
from drift.judge.snapshot import decode, encode
from drift.judge.stage import Judge
from drift.performance import label_sums
from drift.performance.losses import losses
from streams.wire.records import Alert, LabelSums, PartialCounts, Route, RouteCopy, Watch

pytestmark = pytest.mark.system  # minutes: `make test-all`

ROWS = 500
#: A turn is told within so many windows.
IN_TIME = 8
#: Windows, and the loss as a multiple of the training data's.
LIFE = ((20, 1.0), (20, 1.25), (20, 1.5625), (20, 1.0), (20, 1.25))
TURNS = (20, 40, 60, 80)


def regression(n, rng, factor):
    x = rng.normal(size=n)
    return pd.DataFrame({"x": x, "p": 2 * x, "y": 2 * x + factor * rng.normal(size=n)})


def binary(n, rng, factor, names=("0", "1")):
    x = rng.normal(size=n)
    p = 1 / (1 + np.exp(-2.5 * x))
    hat, came_true = p >= 0.5, rng.random(n) < p
    wrong = np.minimum(p, 1 - p).mean()
    turned = (came_true == hat) & (rng.random(n) < (factor - 1) * wrong / (1 - wrong))
    names = np.array(names)
    return pd.DataFrame({"x": x, "p": p, "hat": names[hat.astype(int)], "y": names[(came_true ^ turned).astype(int)]})


def churn(n, rng, factor):
    return binary(n, rng, factor, ("stayed", "churned"))


def multiclass(n, rng, factor):
    names, truth, sure = np.array(["Adelie", "Chinstrap", "Gentoo"]), rng.integers(0, 3, n), rng.uniform(0.6, 1, n)
    wrong = rng.random(n) < (1 - sure) * factor
    hat = np.where(wrong, (truth + rng.integers(1, 3, n)) % 3, truth)
    return pd.DataFrame({"x": rng.normal(size=n), "p": sure, "hat": names[hat], "y": names[truth]})


KINDS = {
    "regression": (regression, {"task": "regression"}),
    "numbers": (binary, {"task": "binary", "prediction": "hat", "positive": "1"}),
    "texts": (churn, {"task": "binary", "prediction": "hat", "positive": "churned"}),
    "multiclass": (multiclass, {"task": "multiclass", "prediction": "hat"}),
}


def fitted(kind, rng):
    make, roles = KINDS[kind]
    return Reference.fit(make(12_000, rng, 1.0), score="p", label="y", features=["x"], **roles)


def lived(kind, seed, labelled=1.0, life=LIFE):
    rng = np.random.default_rng([seed, 7])
    reference = fitted(kind, rng)
    stream = pd.concat([KINDS[kind][0](windows * ROWS, rng, factor) for windows, factor in life], ignore_index=True)
    stream["id"] = np.arange(len(stream))
    known = stream.loc[rng.random(len(stream)) < labelled, ["id", "y"]]
    alerts = drift.backtest(reference, stream.drop(columns="y"), labels=known, rows_per_window=ROWS).alerts
    return stream, alerts[alerts.kind == "performance"]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_each_turn_is_told_within_eight_windows(kind, seed):
    _, alerts = lived(kind, seed)
    ends = (*TURNS[1:], 100)
    for turn, end in zip(TURNS, ends, strict=True):
        of_turn = alerts[(alerts.window >= turn) & (alerts.window < end)]
        told = of_turn[of_turn.event == "close"] if turn == 60 else of_turn[of_turn.page]
        assert len(told) == 1, (turn, alerts.text.tolist())
        # Recovery settles over 3,000 rows, six windows, and may need some more to be sure.
        assert told.window.iloc[0] < turn + IN_TIME + 2 * (turn == 60)
    assert alerts[alerts.window < 20].empty
    assert alerts[alerts.page].incident.tolist() == ["backtest-1", "backtest-1", "backtest-2"]
    assert alerts[alerts.page].event.tolist() == ["open", "update", "open"]


@pytest.mark.parametrize("seed", [0, 1])
def test_where_a_tenth_has_labels_halved_and_doubled_losses_are_told(seed):
    life = ((40, 1.0), (40, 1.6), (40, 2.4), (40, 1.0))
    _, alerts = lived("regression", seed, labelled=0.1, life=life)
    paged = alerts[alerts.page]
    assert paged.event.tolist() == ["open", "update"]
    assert 40 <= paged.window.iloc[0] < 48 and 80 <= paged.window.iloc[1] < 88
    closed = alerts[alerts.event == "close"]
    assert 120 <= closed.window.iloc[0] < 130 and "labels cover 10" in paged.text.iloc[0].replace("9.", "10.")


def test_the_numbers_of_its_sentences_are_those_of_the_rows():
    stream, alerts = lived("numbers", 0)
    wrong = (stream.hat != stream.y).to_numpy()
    paged = alerts[alerts.page].iloc[1]
    said = re.match(
        r"accuracy fell further from (\S+) % to (\S+) % and the log loss rose further from (\S+) to (\S+) since "
        r"row ([\d,]+), the worst so far; in the reference data accuracy was (\S+) % and the log loss (\S+); worse "
        r"since row ([\d,]+); labels cover 100 % of these rows",
        paged.text,
    )
    assert said, paged.text
    before, now, _, _, since, trained, _, began = said.groups()
    since, began = (int(row.replace(",", "")) for row in (since, began))
    assert abs(began - 10_000) <= 500 and abs(since - 20_000) <= 500
    until = paged.first_row + ROWS
    assert float(now) == pytest.approx(100 * (1 - wrong[since:until].mean()), abs=0.06)
    # What was told grows by windows like it, but for those that may begin the next fall.
    assert float(before) == pytest.approx(100 * (1 - wrong[began:since].mean()), abs=0.6)
    assert float(trained) == pytest.approx(80.9, abs=0.5)


def test_a_close_says_what_had_happened():
    stream, alerts = lived("regression", 0)
    size = (stream.p - stream.y).abs()
    closed = alerts[alerts.event == "close"].iloc[0]
    said = re.fullmatch(
        r"the mean absolute error is back at (\S+) \((\S+) in the reference data\); it had been worse from "
        r"row ([\d,]+) to row ([\d,]+), (\S+) at worst",
        closed.text,
    )
    now, _, began, ended, worst = said.groups()
    assert (began, ended) == ("10,000", "30,000") and closed.change_point == 10_000
    assert float(now) == pytest.approx(size[30_000 : closed.first_row + ROWS].mean(), rel=0.01)
    assert float(worst) == pytest.approx(size[20_000:30_000].mean(), rel=0.02)


def test_a_model_that_gets_better_in_part_is_told_of_and_wakes_nobody():
    life = ((20, 1.0), (20, 2.0), (30, 1.4), (20, 2.0))
    _, alerts = lived("regression", 3, life=life)
    part = alerts[(alerts.window >= 40) & (alerts.window < 70)]
    assert part.event.tolist() == ["update"] and not part.page.any() and part.reach.tolist() == ["chat"]
    assert (
        part.text.iloc[0].startswith("the mean absolute error fell again from 1.")
        and "not yet back" in part.text.iloc[0]
    )
    again = alerts[alerts.window >= 70]
    assert again.page.tolist() == [True] and again.incident.nunique() == 1
    assert "worst so far" in again.text.iloc[0]


def test_a_loss_that_creeps_is_one_incident_told_a_few_times():
    life = tuple((10, 1 + step / 20) for step in range(21))  # To twice the loss, in steps of a twentieth.
    _, alerts = lived("regression", 4, life=life)
    assert alerts.incident.nunique() == 1 and alerts.event.iloc[0] == "open"
    assert 3 <= alerts.page.sum() <= 10
    figures = [float(re.search(r" to (\d\.\d+)", text)[1]) for text in alerts[alerts.page].text]
    assert figures == sorted(figures) and figures[-1] > 1.5 * 0.8


def test_a_loss_that_stays_worse_is_told_once():
    for kind in ("regression", "numbers"):
        _, alerts = lived(kind, 5, life=((20, 1.0), (200, 1.25)))
        assert alerts.page.sum() == 1 and alerts.incident.nunique() == 1, alerts.text.tolist()


def labelled(reference, known, sums, number):
    """A window of a minute, its labels there."""
    context = MonitorContext(model="m", version="v1", epoch=1, watch=Watch(), reference=reference.id)
    return LabelledWindow(
        context=context, reference=reference, losses=known, share=0.5, rows=ROWS, sums=sums,
        start=number * 60_000, end=(number + 1) * 60_000,
    )  # fmt: skip


def told(loss, window):
    book = Book(lambda: 1)
    return [book.tell(loss, window, finding) for finding in loss.observe(window)]


def test_an_incident_that_was_paged_before_regimes_were_kept_goes_on():
    rng = np.random.default_rng(9)
    reference = fitted("regression", rng)
    known, alerts, loss = losses(reference, 0.05), [], None
    for number, factor in enumerate([1.0] * 4 + [1.5] * 8 + [2.2] * 8):
        frame = regression(ROWS, rng, factor)
        sums = label_sums(reference, frame.p, None, frame.y)
        loss = loss or RealisedLoss.begin(known, len(sums))
        if number == 12:  # As a snapshot of an older version has it.
            tree = msgspec.msgpack.decode(encode(loss))
            for field in ("told", "worst", "relief"):
                del tree["open"][field]
            for field in ("reach", "act", "later", "predictions"):
                del tree["open"]["last"][field]
            loss = decode(msgspec.msgpack.encode(tree), RealisedLoss)
        alerts += told(loss, labelled(reference, known, sums, number))
    paged = [alert for alert in alerts if alert.page]
    assert [alert.event for alert in paged] == ["open", "update"]
    assert paged[1].window_start >= 12 * 60_000 and "rose further" in paged[1].text
    assert paged[1].change_point == paged[0].change_point and paged[1].later


@pytest.mark.parametrize("seed", range(3))
def test_an_incident_that_is_frozen_and_thawed_before_every_window_is_the_one_that_runs_on(seed):
    rng = np.random.default_rng([seed, 3])
    reference = fitted("regression", rng)
    known, losses_held, said = losses(reference, 0.05), [], [[], []]
    for number, factor in enumerate([1.0] * 3 + [1.4] * 9 + [2.2] * 9 + [1.6] * 12 + [2.4] * 8 + [1.0] * 12):
        frame = regression(ROWS, rng, factor)
        sums = label_sums(reference, frame.p, None, frame.y)
        window = labelled(reference, known, sums, number)
        losses_held = losses_held or [RealisedLoss.begin(known, len(sums)) for _ in said]
        losses_held[1] = decode(encode(losses_held[1]), RealisedLoss)
        for loss, alerts in zip(losses_held, said, strict=True):
            alerts += told(loss, window)
        assert encode(losses_held[0]) == encode(losses_held[1]), number
    assert said[0] == said[1] and [alert.event for alert in said[0]].count("update") >= 2
    assert said[0][-1].event == "close" and " at worst" in said[0][-1].text


def test_labels_that_come_late_tell_the_same_turns_once_they_have_had_their_time():
    rng, late = np.random.default_rng(11), 30  # Minutes; a window is one.
    reference = fitted("regression", rng)
    judge = Judge(lambda model, version: reference)
    watch = Watch(label_wait_ms_max=late * 60_000)
    told = judge.step(RouteCopy(model="m", route=Route(model="m", epoch=1, ts=0, champion="v1", watch=watch)))
    same = {"model": "m", "version": "v1", "reference": reference.id, "partition": 0}
    waiting = []
    for number in range(100 + late + 2):
        factor = next((f for turn, (_, f) in zip((*TURNS, 200), LIFE, strict=True) if number < turn))
        frame = regression(ROWS, rng, factor)
        times = np.full(ROWS, number * 60_000)
        for minutes in parts(count_minutes(reference, reference.align(frame), times, np.zeros(ROWS, bool))):
            told += judge.step(
                PartialCounts(
                    **same, topic="t", first=number, last=number, partitions=1, watermark_ms=number * 60_000,
                    minutes=minutes,
                )
            )  # fmt: skip
        waiting.append(label_sums(reference, frame.p, None, frame.y).astype("<i8").tobytes())
        if number >= late - 1:  # The labels of a window that closed long ago.
            at = number - late + 1
            told += judge.step(
                LabelSums(**same, segment="", minute_ms=at * 60_000, cells=waiting[at], topic="f", first=at, last=at)
            )
    alerts = [alert for alert in told if isinstance(alert, Alert) and alert.kind == "performance"]
    paged = [alert for alert in alerts if alert.page]
    assert [alert.event for alert in paged] == ["open", "update", "open"]
    for alert, turn in zip(paged, (20, 40, 80), strict=True):
        assert turn <= alert.window_start / 60_000 < turn + IN_TIME
    (closed,) = [alert for alert in alerts if alert.event == "close"]
    assert 60 <= closed.window_start / 60_000 < 60 + IN_TIME + 2
