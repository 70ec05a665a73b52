"""Recorded stories: what happened to some rows, and every sentence that people read of it.

The sentences were read line by line; the numbers in them are computed here from the rows, and not by Driftline. Windows
are of 500 rows, the reference of 20,000.
"""

import re

import numpy as np
import pandas as pd
import pytest

import drift
from drift import Reference

CITIES = np.array(["Rome", "Oslo", "Bern", "Ulm"])
NO_ULM = {"city": (0.45, 0.33, 0.22, 0.0)}


def rows(n, seed, city=(0.4, 0.3, 0.2, 0.1), temp=0.0, flip=0.0, gone=False):
    """Rows of a model that says yes or no from ``amount``; ``flip`` turns a share of the labels over."""
    rng = np.random.default_rng(seed)
    amount = rng.normal(50, 10, n)
    p = 1 / (1 + np.exp(-(amount - 50) / 5))
    yes = (rng.random(n) < p) ^ (rng.random(n) < flip)
    return pd.DataFrame(
        {
            "city": rng.choice(CITIES, n, p=city),
            "amount": np.nan if gone else amount,
            "temp": rng.normal(temp, 1, n),
            "p": p,
            "hat": np.where(p >= 0.5, "yes", "no"),
            "y": np.where(yes, "yes", "no"),
        }
    )


TRAINING = rows(20_000, 0)
REFERENCE = Reference.fit(
    TRAINING,
    task="binary",
    score="p",
    prediction="hat",
    label="y",
    positive="yes",
    features=["city", "amount", "temp"],
)
UNCLEAR = "; whether score and predicted class changed is still unclear after 500 rows"
UNCHANGED = "; score and predicted class are unchanged"


def story(*stretches):
    """Run stretches of rows one after the other; returns the rows, and each alert's row, event, reach and text."""
    stream = pd.concat([rows(n, seed, **how) for seed, (n, how) in enumerate(stretches, start=1)], ignore_index=True)
    return stream, heard(stream)


def heard(stream):
    alerts = drift.backtest(REFERENCE, stream, false_alarm_every=10_000).alerts
    return [(a.first_row, a.event, a.severity, a.reach, a.text) for a in alerts.itertuples()]


def share(where):
    """A share as sentences spell it: one decimal, none where it is 0."""
    text = f"{100 * np.mean(where):.1f}"
    return f"{text.removesuffix('.0')} %"


ULM_WAS = share(TRAINING.city == "Ulm")
GONE_ULM = f"city moved: level Ulm fell from {ULM_WAS} in the reference data to 0 % since row 10,000"


def test_a_level_vanishes():
    _, told = story((10_000, {}), (8_000, NO_ULM))
    assert told == [
        (10_000, "open", "watch", "chat", GONE_ULM + UNCLEAR),
        (11_500, "update", "watch", "chat", GONE_ULM + UNCHANGED),
    ]


def test_from_the_first_row():
    _, told = story((4_000, NO_ULM))
    assert told[0][4].startswith(
        f"city moved: level Ulm fell from {ULM_WAS} in the reference data to 0 % since the first row; "
    )


def test_a_second_change_carries_its_own_time_beside_that_of_the_first():
    """The share is that of the rows since the second change: the first one's date beside it would be a false claim."""
    stream, told = story(
        (10_000, {}), (20_000, {"city": (0.37, 0.3, 0.2, 0.13)}), (12_000, {"city": (0.335, 0.3, 0.2, 0.165)})
    )
    assert [(row, event, reach) for row, event, _, reach, _ in told] == [
        (15_000, "open", "list"),
        (32_500, "update", "chat"),
    ]
    first, now = (
        share(stream.city[10_500:15_500] == "Ulm"),
        share(stream.city[30_000:33_000] == "Ulm"),
    )  # First windows: mixtures.
    assert f"level Ulm rose from {ULM_WAS} in the reference data to {first} since row 10,000;" in told[0][4]
    assert told[1][4] == (
        f"city moved: level Ulm rose from {ULM_WAS} in the reference data to {now} since row 29,500, "
        "after a first change at row 10,000" + UNCHANGED
    )


def test_a_slow_season_is_one_incident_that_says_how_far_it_has_come():
    stream, told = story((10_000, {}), *[(500, {"temp": step / 20}) for step in range(41)], (3_000, {"temp": 2.0}))
    assert [event for _, event, *_ in told] == ["open"] + ["update"] * (len(told) - 1)
    assert {severity for _, _, severity, *_ in told} == {"watch"} and not any(reach == "page" for *_, reach, _ in told)
    moving = [(row, text) for row, *_, text in told if "is still moving" in text]
    assert 4 <= len(moving) <= 12
    before = None
    for row, text in moving:
        said = re.fullmatch(
            r"temp is still moving: the share of values of (\S+) or more rose from (\S+ %) in the reference data "
            r"to (\S+) % since row (\S+) \((\S+) % when last reported\); score and predicted class are unchanged",
            text,
        )
        edge, was, now, since, last = said.groups()
        assert (
            was == share(TRAINING.temp >= np.float32(float(edge)))
            or abs(float(was[:-2]) - 100 * np.mean(TRAINING.temp >= float(edge))) < 0.2
        )
        recent = [
            100 * np.mean(stream.temp[start : row + 500] >= float(edge)) for start in range(row - 4_000, row, 500)
        ]
        assert min(recent) - 0.1 <= float(now) <= max(recent) + 0.1
        assert since == told[0][4].split("since row ")[1].split(";")[0]
        if before is not None and before[0] == edge:
            assert last == before[1]
        before = edge, now


def test_a_label_fault_is_no_fall_of_accuracy():
    stream = pd.concat([rows(10_000, 1), rows(6_000, 2)], ignore_index=True)
    stream.loc[np.arange(len(stream)) >= 10_000, "y"] = np.where(
        np.arange(6_000) % 4 == 0, "maybe", stream.y[10_000:].to_numpy()
    )
    assert heard(stream) == [
        (
            10_000,
            "open",
            "watch",
            "chat",
            "25 % of the labels since row 10,000 are not among the model's classes (no and yes): 'maybe'; they are "
            "left out",
        )
    ]


def test_an_outage_of_a_column_pages_and_its_end_says_what_it_was():
    _, told = story((10_000, {}), (3_000, {"gone": True}), (12_000, {}))
    gone = "amount is gone: null values rose from 0 % in the reference data to 100 % since row 10,000"
    assert told == [
        (10_000, "open", "critical", "page", gone + UNCLEAR),
        (11_500, "update", "critical", "chat", gone + UNCHANGED),
        (
            15_500,
            "close",
            "critical",
            "chat",
            "amount is back to normal since row 13,000: null values had risen from 0 % to 100 % since row 10,000",
        ),
    ]


def test_two_changes_at_once_are_one_story():
    stream, told = story((10_000, {}), (8_000, {"temp": 0.8, **NO_ULM}))
    row, event, severity, reach, text = told[0]
    assert (row, event, severity, reach) == (10_000, "open", "watch", "chat") and len(told) == 2
    edge, was, now = re.fullmatch(
        r"temp moved: the share of values of (\S+) or more rose from (\S+) % in the reference data to (\S+) % since "
        r"row 10,000; city moved, too" + re.escape(UNCLEAR),
        text,
    ).groups()
    assert float(was) == pytest.approx(100 * np.mean(TRAINING.temp >= float(edge)), abs=0.2)
    assert float(now) == pytest.approx(100 * np.mean(stream.temp[10_000:10_500] >= float(edge)), abs=0.2)


def test_one_that_ends_and_one_that_comes_back():
    _, told = story((10_000, {}), (8_000, NO_ULM), (20_000, {}), (6_000, NO_ULM))
    ended = f"level Ulm had fallen from {ULM_WAS} to 0 % since row 10,000"
    assert told[2] == (
        20_500, "close", "watch", "chat", f"city is back to normal since row 18,000: {ended}",
    )  # fmt: skip
    again = f"city moved: level Ulm fell from {ULM_WAS} in the reference data to 0 % since row 38,000"
    assert [(row, event, reach, text) for row, event, _, reach, text in told[3:4]] == [
        (38_000, "open", "chat", again + UNCLEAR)
    ]
    assert len(told) == 5


def test_a_column_that_comes_back_and_goes_beyond_is_dated_by_that():
    more = {"city": (0.25, 0.2, 0.15, 0.4)}
    stream, told = story((10_000, {}), (20_000, more), (12_000, NO_ULM))
    beyond = [text for *_, text in told if "has come back, and beyond" in text]
    after = told[[text for *_, text in told].index(beyond[0]) :]
    last = re.fullmatch(
        rf"city has come back, and beyond: level Ulm fell from {ULM_WAS} in the reference data to 0 % since row "
        r"30,000 \((\S+) % when last reported\).*",
        beyond[0],
    )[1]
    told_before = max(row for row, *_ in told if row < 30_000) + 500
    ulm = stream.city == "Ulm"
    assert any(
        float(last) == pytest.approx(100 * ulm[start:told_before].mean(), abs=0.06) for start in (10_000, 10_500)
    )
    assert not any("since row 10,000" in text for *_, text in after)


def test_performance_falls_without_drift():
    stream, told = story((10_000, {}), (8_000, {"flip": 0.1}))
    ((row, event, severity, reach, text),) = [one for one in told if one[2] == "critical"]
    assert (event, severity, reach) == ("open", "critical", "page") and row < 10_000 + 8 * 500
    was, now, since = re.match(
        r"accuracy fell from (\S+) % in the reference data to (\S+) % .*since row ([\d,]+); labels cover 100 %", text
    ).groups()
    right, since = stream.hat == stream.y, int(since.replace(",", ""))
    assert float(was) == pytest.approx(100 * np.mean(TRAINING.hat == TRAINING.y), abs=0.051)
    assert float(now) == pytest.approx(100 * np.mean(right[since : row + 500]), abs=0.051)


def test_an_improvement_is_no_news():
    better = rows(20_000, 2)
    better["y"] = np.where(
        np.random.default_rng(3).random(20_000) < 0.5, better.hat, better.y
    )  # Half the errors mended.
    assert heard(pd.concat([rows(10_000, 1), better], ignore_index=True)) == []


def test_no_sentence_speaks_in_riddles():
    """No denormals, no "row 0", no distance of nothing beside "moved", no change that one cannot see."""
    several = [
        story((10_000, {}), (8_000, NO_ULM), (12_000, {})),
        story((4_000, {"temp": 0.4, "flip": 0.2})),
        story((10_000, {}), *[(500, {"temp": step / 20}) for step in range(30)]),
    ]
    texts = [text for _, told in several for *_, text in told]
    assert len(texts) > 8
    for text in texts:
        assert not re.search(r"e-\d\d|\brow 0\b|TVD 0[,)]|D 0[,)]", text), text
        for was, now in re.findall(r"from (\S+ ?%?)(?: in the reference data)? to (\S+ ?%?)", text):
            assert was != now, text
