"""Volume: what is usual is learnt; a silence pages, too few or too many rows are told."""

import itertools

import pytest

from drift.incidents import Volume
from drift.incidents.book import Book, Finding, ended
from drift.incidents.closed_window import ClosedWindow, MonitorContext
from drift.incidents.text import text
from drift.incidents.volume import STEADY_WINDOWS
from streams.wire.records import MINUTE_MS, Alert, Watch


class Stream:
    """Windows of a minute, one after the other."""

    def __init__(self) -> None:
        self.volume, self.book, self.minute = Volume(), Book(itertools.count(1).__next__), 0

    def window(self, minutes: int = 1, opens: bool = True) -> ClosedWindow:
        watch = Watch(false_alarm_every=1000.0)
        context = MonitorContext(
            model="m",
            version="v1",
            epoch=1,
            watch=watch,
            reference="r",
            opens=opens,
            spell=lambda ms: f"minute {ms // MINUTE_MS}",
        )
        start, end = self.minute * MINUTE_MS, (self.minute + minutes) * MINUTE_MS
        return ClosedWindow(context=context, start=start, end=end)

    def tell(self, window: ClosedWindow, finding: Finding | None) -> list[Alert]:
        return [] if finding is None else [self.book.tell(self.volume, window, finding)]

    def send(self, *several: int, opens: bool = True, minutes: int = 1) -> list[Alert]:
        told = []
        for rows in several:
            window = self.window(minutes, opens)
            told += self.tell(window, self.volume.observe(window, rows))
            self.minute += minutes
        return told

    def fall_silent(self) -> list[Alert]:
        return self.tell(self.window(0), self.volume.silence(self.minute * MINUTE_MS))


@pytest.fixture
def steady() -> Stream:
    stream = Stream()
    assert not stream.send(*(400 + 10 * (n % 11) for n in range(STEADY_WINDOWS)))
    return stream


def test_what_is_not_steady_may_come_and_go():
    stream = Stream()
    assert not stream.send(*[500, 5, 5000, 300] * 100)
    assert not stream.fall_silent()


def test_a_silence_pages_once_and_closes_when_rows_come_again(steady):
    (opened,) = steady.fall_silent()
    assert (opened.kind, opened.severity, opened.page, opened.event) == ("quality", "critical", True, "open")
    assert opened.text == f"no rows since minute {STEADY_WINDOWS}: all sources are silent"
    assert not steady.fall_silent()
    steady.minute += 90
    (closed,) = steady.send(450)
    assert (closed.event, closed.incident, closed.page) == ("close", opened.incident, False)
    assert closed.text == "rows come again, after 90 minutes without any"
    assert not steady.fall_silent()  # What is usual is learnt anew.


def test_a_short_silence_closes_when_rows_are_as_usual(steady):
    steady.fall_silent()
    assert [(said.event, said.text) for said in steady.send(450, 450, 450)] == [
        ("close", "as many rows as usual come again: 450 a minute")
    ]


# The usual range is 400 to 500 a minute: a third of the fewest is 133, three times the most 1,500.
@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (130, f"too few rows since minute {STEADY_WINDOWS}: 130 a minute, where 400 to 500 are usual"),
        (1501, f"too many rows since minute {STEADY_WINDOWS}: 1,501 a minute, where 400 to 500 are usual"),
    ],
)
def test_a_volume_out_of_the_ordinary_is_told_and_pages_nobody(steady, rows, says):
    (opened,) = steady.send(rows)
    assert (opened.text, opened.page, opened.severity) == (says, False, "watch")
    assert not steady.send(rows, rows, 450, 450)
    (closed,) = steady.send(450)
    assert (closed.event, closed.incident) == ("close", opened.incident)
    assert steady.send(rows)[0].incident == "m-2"


@pytest.mark.parametrize("rows", [134, 1500])
def test_what_is_within_three_times_the_usual_is_usual(steady, rows):
    assert not steady.send(rows)


def test_merged_windows_count_by_the_minute(steady):
    assert not steady.send(4500, minutes=10)
    assert steady.send(1200, minutes=10)


def test_a_volume_that_stays_becomes_the_usual_one(steady):
    told = steady.send(*[50] * STEADY_WINDOWS)
    assert [said.text for said in told][1:] == ["the new volume has become the usual one"]
    assert not steady.send(*[50] * (STEADY_WINDOWS + 5)) and steady.fall_silent()


def test_a_silence_after_too_few_rows_is_the_same_incident_and_pages(steady):
    (opened,) = steady.send(10)
    (worse,) = steady.fall_silent()
    assert (worse.incident, worse.event, worse.page, worse.severity) == (opened.incident, "update", True, "critical")
    assert (worse.id, worse.change_point) == ("m-1/2", opened.change_point)


def test_a_shadow_opens_nothing_and_another_route_forgets_what_was_usual(steady):
    assert not steady.send(10, opens=False)
    steady.fall_silent()
    steady.volume.forget()
    (closed,) = ended(steady.volume, 7, text("the route has changed"))
    assert (closed.event, closed.ts, closed.page) == ("close", 7, False)
    assert not steady.send(10) and not steady.fall_silent()


def test_too_few_rows_that_become_far_fewer_are_told_again_and_the_same_few_are_not(steady):
    (opened,) = steady.send(120)
    assert steady.send(110, 100, 90) == []
    (fewer,) = steady.send(20)
    assert (fewer.incident, fewer.event, fewer.worse) == (opened.incident, "update", True)
    assert fewer.text == f"too few rows since minute {STEADY_WINDOWS + 4}: 20 a minute, where 400 to 500 are usual"
    (many,) = steady.send(4_000)
    assert many.incident == opened.incident and "too many rows" in many.text and many.text.count(": 4,000 a minute")
