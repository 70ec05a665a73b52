"""The book of incidents: names and numbers of alerts, the parts of their texts, and what is kept of them."""

import itertools

import msgspec
import numpy as np
import pandas as pd
import pytest

import drift
from drift import Reference
from drift.incidents import rfc3339
from drift.incidents.book import Book, Finding, ended
from drift.incidents.closed_window import ClosedWindow, MonitorContext
from drift.incidents.text import joined, names, plain, since, spelled, subject, text, time
from drift.incidents.volume import Volume
from drift.judge.stage import Judge
from streams.wire.records import Alert, Watch


def table(rows, seed, shift=0.0, right=0.9):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(shift, 1, rows), rng.integers(0, 2, rows)
    p = np.where(rng.random(rows) < right, y, 1 - y) * 0.8 + 0.1
    city = rng.choice(["16", "17", "18", "19"], rows, p=[0.4, 0.3, 0.2, 0.1] if not shift else [0.1, 0.2, 0.3, 0.4])
    return pd.DataFrame({"x": x, "z": x + rng.normal(0, 0.1, rows), "city": city, "p": p, "y": y})


@pytest.fixture(scope="module")
def alerts():
    """All alerts of a stream whose columns and loss change, change again, and come back."""
    reference = Reference.fit(table(8_000, 0), task="binary", score="p", label="y")
    parts = [table(3_000, 1), table(6_000, 2, 1.0, 0.75), table(6_000, 3, 2.0, 0.55), table(24_000, 4)]
    told, step = [], Judge.step

    def kept(judge, message):
        told.extend(output := step(judge, message))
        return output

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Judge, "step", kept)
        drift.backtest(reference, pd.concat(parts, ignore_index=True))
    return [said for said in told if isinstance(said, Alert)]


def test_alerts_of_an_incident_are_numbered_one_by_one_and_open_once_and_close_last(alerts):
    assert {alert.kind for alert in alerts} >= {"prediction", "performance"} or len(alerts) > 4
    for incident in {alert.incident for alert in alerts}:
        life = [alert for alert in alerts if alert.incident == incident]
        assert [alert.id for alert in life] == [f"{incident}/{number}" for number in range(1, len(life) + 1)]
        assert [alert.event for alert in life[:1]] == ["open"]
        assert all(alert.event == "update" for alert in life[1:-1])
    assert [alert for alert in alerts if alert.event == "close"]


def test_the_parts_of_a_text_are_the_text_and_name_its_subject_times_and_figures(alerts):
    for alert in alerts:
        assert "".join(part.text for part in alert.parts) == alert.text
        assert all((part.at is not None) == (part.kind in ("since", "time")) for part in alert.parts)
        assert all(part.text == f" since {rfc3339(part.at)}" or "row" in part.text for part in alert.parts if part.at)
    opened = [alert for alert in alerts if alert.event == "open"]
    for alert in opened:
        kinds = [part.kind for part in alert.parts]
        assert kinds[0] == "subject" and {"change", "since"} <= set(kinds)
        assert next(part.at for part in alert.parts if part.kind == "since") == alert.change_point


def test_an_older_reader_ignores_what_is_new_and_an_older_record_is_read(alerts):
    written = msgspec.json.decode(msgspec.json.encode(alerts[0]))
    assert list(written)[-1] == "parts"
    del written["parts"]
    old = msgspec.convert(written, Alert)
    assert (old.parts, old.text) == (msgspec.UNSET, alerts[0].text)
    assert msgspec.json.decode(msgspec.json.encode(old)) == written


CONTEXT = MonitorContext(model="m", version="v1", epoch=1, watch=Watch(), reference="r", spell=lambda ms: f"t{ms}")


def test_an_incident_that_ends_for_another_reason_does_not_repeat_what_its_last_alert_was_about():
    book, volume = Book(itertools.count(1).__next__), Volume()
    window = ClosedWindow(context=CONTEXT, start=0, end=60_000)
    book.tell(volume, window, Finding(event="open", text=text("few"), reach="page"))
    worse = book.tell(volume, window, Finding(event="update", text=text("fewer"), reach="page", worse=True))
    assert (worse.id, worse.worse, volume.last.worse) == ("m-1/2", True, True)
    (closed,) = ended(volume, 90_000, text("served no more"))
    assert (closed.id, closed.event, closed.worse, closed.act, closed.page) == ("m-1/3", "close", False, "", False)
    assert volume.last is None and ended(volume, 99_000, text("again")) == []
    assert book.tell(volume, window, Finding(event="open", text=text("few"))).id == "m-2/1"


def test_what_is_only_for_readers_is_not_kept_in_the_state():
    book, volume = Book(itertools.count(1).__next__), Volume()
    alert = book.tell(volume, ClosedWindow(context=CONTEXT, start=0, end=60_000), Finding(event="open", text=text("a")))
    assert alert.parts and volume.last == msgspec.structs.replace(alert, parts=msgspec.UNSET)


def test_texts_are_joined_and_their_times_written_once():
    parts = joined([text(subject("x"), " moved", since(7)), (), text(names(["a", "b", "c"]), " at ", time(9))], "; ")
    assert plain(parts) == "x moved; a, b and c at "
    assert plain(spelled(parts, str)) == "x moved since 7; a, b and c at 9"
    assert [part.kind for part in parts] == ["subject", "words", "since", "words", "names", "words", "time"]
