"""What the judge published live, held against what it publishes again."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from driftline.replay.judge_log import CLOCKS_MS_MAX
from driftline.replay.rejudge import Rejudged
from driftline.replay.report_fields import ReportComparison
from driftline.replay.result import Windows
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.records import Alert, Report

#: Different windows that are named.
NAMED = 5

_report = msgspec.json.Decoder(Report).decode
_alert = msgspec.json.Decoder(Alert).decode

_Span = tuple[int, int]


class Verdicts(msgspec.Struct):
    """Reports (as bytes, too) and alerts, in the order in which they were published."""

    reports: list[tuple[Report, bytes]] = []
    alerts: list[Alert] = []

    def add(self, topic: str, value: bytes) -> None:
        """Add a message; what is neither report nor alert is passed over."""
        if topic == "reports":
            self.reports.append((_report(value), value))
        elif topic == "alerts":
            self.alerts.append(_alert(value))

    def within(self, spans: Mapping[str, _Span], versions: Mapping[str, set[str]]) -> "Verdicts":
        """Verdicts on windows in a model's span, by these versions of it; a model without any has all.

        Restated reports of earlier windows stay.
        """

        def inside(verdict: Report | Alert) -> bool:
            first, last = spans.get(verdict.model, (1, 0))
            restated = isinstance(verdict, Report) and verdict.revision > 0
            return (restated or first <= verdict.window_start <= last) and (
                verdict.version in versions.get(verdict.model, {verdict.version})
            )

        return Verdicts([pair for pair in self.reports if inside(pair[0])], [a for a in self.alerts if inside(a)])


def published(messages: Iterable[Publish]) -> Verdicts:
    """Verdicts among the messages of a replay."""
    verdicts = Verdicts()
    for message in messages:
        verdicts.add(message.topic, message.value or b"")
    return verdicts


def recorded(rejudged: Sequence[Rejudged]) -> Verdicts:
    """Verdicts that were published live since shortly before the messages that each replay began with."""
    verdicts = Verdicts()
    for topic in ("reports", "alerts"):
        for partition in rejudged:
            for value in _since(getattr(partition.log, topic), partition.since_ms - CLOCKS_MS_MAX):
                verdicts.add(topic, value)
    return verdicts


def _since(blocks: Iterable[Block], time_ms: int) -> Iterator[bytes]:
    records = ((t, v) for block in blocks for t, v in zip(block.times, block.values, strict=True))
    return (value or b"" for _, value in itertools.dropwhile(lambda record: record[0] < time_ms, records))


def closed(verdicts: Verdicts) -> dict[str, _Span]:
    """First and last window that closed, by model; a restated one closed before."""
    spans: dict[str, _Span] = {}
    for report, _ in verdicts.reports:
        if report.revision == 0:
            first, last = spans.get(report.model, (report.window_start, report.window_start))
            spans[report.model] = (min(first, report.window_start), max(last, report.window_start))
    return spans


def compare_reports(served: Verdicts, replayed: Verdicts, strictly: bool) -> Windows:
    """Compare reports window by window.

    Parameters
    ----------
    strictly
        Every revision in all fields that both have; else the last revision in which columns have drifted.
    """
    now, then = _drifted(replayed), _drifted(served)
    agreed = sum(then.get(window) == columns for window, columns in now.items())
    fields = ReportComparison()
    if strictly:
        now = {_revision(report): value for report, value in replayed.reports}
        then = {_revision(r): value for r, value in served.reports if _revision(r) in now or r.revision == 0}
    names = sorted(now.keys() | then.keys())
    equal = {n for n in now.keys() & then.keys() if now[n] == then[n] or (strictly and fields.equal(then[n], now[n]))}
    return Windows(
        served=len(then),
        replayed=len(now),
        equal=len(equal),
        agreed=agreed,
        different=[name for name in names if name not in equal][:NAMED],
        new_fields=sorted(fields.new),
        gone_fields=sorted(fields.gone),
    )


def _drifted(verdicts: Verdicts) -> dict[str, bytes]:
    """Columns that have drifted, by window that closed, as its last revision has it."""
    windows = {_window(report) for report, _ in verdicts.reports if report.revision == 0}
    return {
        _window(report): msgspec.json.encode(sorted(column.name for column in report.columns if column.drifted))
        for report, _ in verdicts.reports
        if _window(report) in windows
    }


def _revision(report: Report) -> str:
    return f"{_window(report)} {report.version} revision {report.revision}"


def _window(report: Report) -> str:
    return f"{report.window_start} {report.model} {report.segment}".rstrip()
