"""A fact gives its log line and its metrics, each where it is meant to."""

from collections.abc import Sequence
from typing import ClassVar

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streams.facts import Counted, Fact, Metric, Timed


class Answered(Fact, frozen=True):
    """Requests were answered."""

    event: ClassVar[str] = "{step}.answered"
    level: ClassVar[str] = "warning"
    metrics: ClassVar[Sequence[Metric]] = [
        Counted("test_answers", "Answers.", ["step"], "rows"),
        Counted("test_batches", "Batches.", ["step", "kind"]),
        Timed("test_seconds", "Time.", ["step"]),
    ]
    step: str
    kind: str
    rows: int
    took_ms: float


class Silent(Answered, frozen=True):
    """The same, and nobody reads it."""

    event: ClassVar[str] = ""


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_a_fact_is_counted_and_logged_with_its_fields():
    with capture_logs() as logs:
        Answered("score", "quick", 30, 250.0).tell()
        Silent("score", "quick", 12, 750.0).tell()
    assert logs == [
        {
            "event": "score.answered",
            "log_level": "warning",
            "step": "score",
            "kind": "quick",
            "rows": 30,
            "took_ms": 250,
        }
    ]
    assert value("test_answers_total", step="score") == 42
    assert value("test_batches_total", step="score", kind="quick") == 2
    assert (value("test_seconds_count", step="score"), value("test_seconds_sum", step="score")) == (2, 1.0)


def test_a_fact_may_be_counted_alone_and_logged_alone():
    with capture_logs() as logs:
        Answered("join", "quick", 5, 1.0).count()
    assert logs == [] and value("test_answers_total", step="join") == 5
    with capture_logs() as logs:
        Answered("join", "quick", 5, 1.0).log()
    assert len(logs) == 1 and value("test_answers_total", step="join") == 5
