"""Windows: the watermark over partitions, which minutes make a window, where stragglers and labels go."""

import numpy as np
import pytest

from drift.cells.sums import Sums
from drift.windows.packed_sums import pack
from drift.windows.watermark import Source, watermark
from drift.windows.window_record import Span, WindowRecord
from drift.windows.windows import ROWS_WINDOWS_MAX, Windows
from streams.wire.records import DAY_MS, Report, Watch

MINUTE = 60_000
WATCH = Watch(window_rows_min=200)


def rows(n: int) -> Sums:
    return Sums(n, np.array([n]), np.zeros((1, 2), np.int64), np.full((1, 2), np.nan, np.float32))


def minutes(*counts: int, first: int = 0) -> Windows:
    windows = Windows()
    for number, n in enumerate(counts):
        if n:
            windows.add_rows((first + number) * MINUTE, rows(n), False)
    return windows


def close(windows: Windows, span: Span) -> WindowRecord:
    timely, late, labels = windows.pop(span)
    report = Report(
        model="m",
        version="v",
        window_start=span.start,
        window_end=span.end,
        rows=timely.rows,
        reference="r",
        evidence=0,
        budget=1,
        columns=[],
    )
    nothing = np.zeros(0)
    closed = WindowRecord(
        span=span,
        report=report,
        packed=pack(timely if late is None else timely + late),
        evidence=nothing,
        drifted=nothing,
        labels=labels,
    )
    windows.remember(closed, slice(0, 1))
    return closed


def span(first: int, last: int) -> Span:
    return Span(first * MINUTE, last * MINUTE)


# --- watermark --------------------------------------------------------------------------------------


def test_a_partition_never_heard_of_holds_the_watermark_back_unless_it_is_idle():
    source = Source(2)
    source.advance("v1", 0, 2, 500)
    assert watermark([source]) is None
    source.mark_idle(1, 2)
    assert watermark([source]) == 500


def test_it_is_the_slowest_partition_s_over_all_topics():
    one, two = Source(2), Source(1)
    one.advance("v1", 0, 2, 500)
    one.advance("v1", 1, 2, 300)
    two.advance("v1", 0, 1, 400)
    assert watermark([one, two]) == 300


def test_an_idle_partition_counts_again_when_it_speaks():
    source = Source(2)
    source.advance("v1", 0, 2, 500)
    source.mark_idle(1, 2)
    source.advance("v1", 1, 2, 100)
    assert watermark([source]) == 100


def test_when_all_are_idle_the_furthest_counts_and_nothing_more():
    source = Source(2)
    source.advance("v1", 0, 2, 500)
    source.advance("v1", 1, 2, 300)
    source.mark_idle(0, 2)
    source.mark_idle(1, 2)
    assert watermark([source]) == 500
    assert watermark([]) is None


def test_when_all_are_asleep_the_last_window_and_its_stragglers_time_are_over():
    source = Source(2)
    source.advance("v1", 0, 2, 5 * MINUTE + 1)
    source.mark_idle(0, 2, asleep=True)
    source.mark_idle(1, 2)
    assert watermark([source], WATCH) == 5 * MINUTE + 1  # one of them only dozes
    source.mark_idle(1, 2, asleep=True)
    assert watermark([source], WATCH) == 6 * MINUTE + WATCH.lateness_ms_max
    source.advance("v1", 1, 2, 5 * MINUTE + 2)
    assert watermark([source], WATCH) == 5 * MINUTE + 2


def test_a_window_that_the_clock_has_not_ended_is_not_over_because_all_are_asleep():
    daily = Watch(window_ms=DAY_MS)
    source = Source(1)
    source.advance("v1", 0, 1, DAY_MS + 5 * MINUTE)
    source.mark_idle(0, 1, asleep=True, at_ms=DAY_MS + 6 * MINUTE)
    assert watermark([source], daily) == DAY_MS + 5 * MINUTE
    assert watermark([source], WATCH) == DAY_MS + 6 * MINUTE + WATCH.lateness_ms_max
    source.mark_idle(0, 1, asleep=True, at_ms=2 * DAY_MS + 6 * MINUTE)  # told again, a day later
    assert watermark([source], daily) == 2 * DAY_MS + daily.lateness_ms_max


def test_rows_of_the_past_are_closed_by_a_silence_whatever_their_window():
    source = Source(1)
    source.advance("v1", 0, 1, 5 * MINUTE)
    source.mark_idle(0, 1, asleep=True, at_ms=1_700_000_000_000)
    assert watermark([source], Watch(window_ms=7 * DAY_MS)) > 0


def test_when_all_are_idle_and_one_wakes_the_others_are_awaited_until_they_speak_or_are_told_anew():
    source = Source(3)
    for partition in range(3):
        source.advance("v1", partition, 3, 100 + partition)
        source.mark_idle(partition, 3, asleep=True, repeated=True)
    source.advance("v1", 0, 3, 900)
    assert watermark([source]) == 101  # the others may have as much to say, and have not been read yet
    source.advance("v1", 1, 3, 800)
    source.mark_idle(2, 3, repeated=True)
    assert watermark([source]) == 800
    source.advance("v1", 2, 3, 850)  # one of them wakes: the others speak
    assert watermark([source]) == 800


def test_silences_that_are_told_once_are_as_they_were():
    """By an older worker, or in a recording of one: nobody would tell the others anew."""
    source = Source(2)
    for partition in range(2):
        source.advance("v1", partition, 2, 100)
        source.mark_idle(partition, 2, repeated=partition == 0)
    source.advance("v1", 0, 2, 900)
    assert watermark([source]) == 900


def test_each_version_has_a_watermark_of_its_own():
    source, other = Source(2), Source(1)
    source.advance("v1", 0, 2, 500)
    source.advance("v1", 1, 2, 300)
    source.advance("v2", 0, 2, 200)
    other.advance("v1", 0, 1, 400)
    several = [source, other]
    assert watermark(several, version="v1") == 300
    assert watermark(several, version="v2") is None  # partition 1 has not spoken of it; the other topic need not
    source.advance("v2", 1, 2, 350)
    assert watermark(several, version="v2") == 200
    assert watermark(several) == 350  # by whichever has come furthest in each partition
    source.mark_idle(0, 2)
    assert watermark(several, version="v2") == 350


def test_a_topic_that_grows_waits_for_its_new_partitions():
    source = Source(1)
    source.advance("v1", 0, 1, 500)
    source.advance("v1", 0, 3, 600)
    assert watermark([source]) is None


# --- spans ------------------------------------------------------------------------------------------


def test_a_window_closes_when_end_and_lateness_have_passed():
    windows = minutes(300)
    assert windows.ready(WATCH, 2 * MINUTE - 1) is None
    assert windows.ready(WATCH, 2 * MINUTE) == span(0, 1)


def test_a_starved_window_merges_with_the_next():
    windows = minutes(150, 30, 40, 300)
    assert windows.ready(WATCH, 3 * MINUTE) is None  # 180 rows are not enough yet.
    assert windows.ready(WATCH, 4 * MINUTE) == span(0, 3)
    close(windows, span(0, 3))
    assert windows.ready(WATCH, 5 * MINUTE) == span(3, 4)


def test_the_last_remainder_is_judged_alone():
    windows = minutes(300, 20)
    assert windows.ready(WATCH, None) == span(0, 1)
    close(windows, span(0, 1))
    assert windows.ready(WATCH, 100 * MINUTE) is None
    assert windows.ready(WATCH, None) == span(1, 2)


def test_a_starved_window_closes_when_nothing_more_is_expected():
    windows = minutes(150, 30, 40)
    assert windows.ready(WATCH, 3 * MINUTE, starved=True) is None  # The last minute may still get stragglers.
    windows = minutes(150, 30)
    assert windows.ready(WATCH, 3 * MINUTE) is None
    assert windows.ready(WATCH, 3 * MINUTE, starved=True) == span(0, 2)


def test_empty_minutes_make_no_window():
    windows = minutes(300, 0, 0, 300)
    close(windows, span(0, 1))
    assert windows.ready(WATCH, 5 * MINUTE) == span(3, 4)


def test_longer_windows_lie_on_their_own_grid_and_follow_a_change_of_settings():
    windows = minutes(*[100] * 10, first=2)
    five = Watch(window_ms=5 * MINUTE)
    assert windows.ready(five, 6 * MINUTE) == span(0, 5)
    close(windows, windows.ready(five, 6 * MINUTE))
    two = Watch(window_ms=2 * MINUTE)
    assert windows.ready(two, 9 * MINUTE) == span(5, 8)  # 5-6 is half a window: starved, and merged.


# --- stragglers -------------------------------------------------------------------------------------


def test_late_rows_stay_apart_until_their_window_closes():
    windows = minutes(300)
    assert windows.add_rows(0, rows(7), True) is None
    timely, late, _ = windows.pop(span(0, 1))
    assert (timely.rows, late.rows) == (300, 7)


def test_rows_for_a_closed_window_restate_it_flagged_late_or_not():
    windows = minutes(300, 300)
    closed = close(windows, span(0, 1))
    assert windows.add_rows(0, rows(7), True) is closed
    assert windows.add_rows(0, rows(5), False) is closed
    assert (closed.packed.rows, closed.report.late_rows, closed.untold) == (312, 12, 12)


def test_rows_between_two_windows_belong_to_the_later_one():
    windows = minutes(300, 0, 0, 300, 300)
    close(windows, span(0, 1))
    assert windows.add_rows(MINUTE, rows(3), True) is None  # Its window is not closed yet: it waits.
    later = close(windows, span(3, 4))
    assert later.packed.rows == 303
    assert windows.add_rows(2 * MINUTE, rows(4), True) is later


def test_labels_wait_for_their_window_or_restate_it():
    windows = minutes(300, 300)
    windows.add_labels(0, np.array([[2, 4096, 0, 1]]))
    windows.add_labels(0, np.array([[1, 0, 0, 1]]))
    closed = close(windows, span(0, 1))
    assert closed.labels.tolist() == [[3, 4096, 0, 2]]
    assert windows.add_labels(0, np.array([[-1, 0, 0, -1]])) is closed
    assert closed.labels.tolist() == [[2, 4096, 0, 1]]
    assert closed.untold == 1


def test_a_correction_that_sums_to_nothing_is_still_news():
    windows = minutes(300)
    closed = close(windows, span(0, 1))
    windows.add_labels(0, np.array([[0, 4096, 0, 1]]))
    assert closed.untold == 1


def test_what_comes_for_a_forgotten_window_is_counted():
    windows = minutes(300, 300)
    close(windows, span(0, 1))
    close(windows, span(1, 2))
    watch = Watch(label_wait_ms_max=10 * MINUTE)
    windows.forget(watch, 22 * MINUTE)  # 1 + lateness 1 + two waits of 10.
    assert [window.span for window in windows.closed] == [span(1, 2)]
    assert windows.add_rows(0, rows(7), True) is None
    assert windows.add_labels(0, np.array([[2, 0, 0, 0]])) is None
    assert windows.rows_too_late == 9


def test_only_the_newest_windows_keep_their_rows_sums():
    windows = minutes(*[300] * (ROWS_WINDOWS_MAX + 3))
    several = [close(windows, span(n, n + 1)) for n in range(ROWS_WINDOWS_MAX + 3)]
    assert [window.packed is None for window in several] == [True] * 3 + [False] * ROWS_WINDOWS_MAX
    assert several[0].scores.tolist() == [300] and several[3].scores is None
    # Labels restate the oldest all the same; late rows are counted.
    assert windows.add_labels(0, np.array([[2, 0, 0, 0]])) is several[0]
    assert windows.add_rows(0, rows(7), True) is None and windows.rows_too_late == 7
    assert windows.add_rows(3 * MINUTE, rows(7), True) is several[3] and several[3].packed.rows == 307


@pytest.mark.parametrize("highest", [3, 200, 70_000, 2**40])
def test_sums_are_kept_to_the_bit(highest):
    rng = np.random.default_rng(1)
    moments, extremes = rng.integers(-(2**50), 2**50, (4, 2)), rng.normal(size=(4, 2)).astype(np.float32)
    extremes[2] = np.nan
    sums = Sums(highest, rng.integers(0, highest, 500, endpoint=True), moments, extremes)
    again = pack(sums).sums
    assert again.rows == highest and again.cells.dtype == np.int64
    for name in ("cells", "moments", "extremes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(sums, name))


@pytest.mark.parametrize("least", [0, 1, 500])
def test_every_row_is_in_exactly_one_window(least):
    counts = np.random.default_rng(1).integers(0, 200, 50)
    windows, found, end = minutes(*counts), 0, 0
    while (ready := windows.ready(Watch(window_rows_min=least), None)) is not None:
        assert ready.start >= end
        end, found = ready.end, found + close(windows, ready).packed.rows
    assert found == counts.sum()
