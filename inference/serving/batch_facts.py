"""What batches of several callers tell about themselves: one fact each, with its metrics."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from streams.facts import Counted, Fact, Metric, Timed

_VERSION = ["model", "version"]

#: Why a request has no answer; a closed set, for it is a label.
Reason = Literal["invalid", "unknown", "loading", "full", "stopping", "unavailable", "gone", "error"]


class BatchScored(Fact, frozen=True):
    """Rows of several callers were scored together; ``padding`` rows were computed for nobody."""

    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_batches", "Batches of joined requests.", _VERSION),
        Counted("driftline_batch_requests", "Requests that were answered from a batch.", _VERSION, "requests"),
        Counted("driftline_batch_rows", "Rows of requests that met the model.", _VERSION, "rows"),
        Counted("driftline_batch_padding_rows", "Rows that only filled a shape up.", _VERSION, "padding"),
        Counted("driftline_batch_rows_failed", "Rows of requests that have no score.", _VERSION, "failed"),
        Timed("driftline_batch_seconds", "Time that a batch of joined requests is computed for.", _VERSION),
    ]
    model: str
    version: str
    requests: int
    rows: int
    padding: int
    failed: int
    took_ms: float


class RequestWaited(Fact, frozen=True):
    """A request has waited for its batch to begin."""

    metrics: ClassVar[Sequence[Metric]] = [
        Timed("driftline_request_wait_seconds", "Time that a request waits for its batch.", _VERSION)
    ]
    model: str
    version: str
    took_ms: float


class RequestRefused(Fact, frozen=True):
    """A request has no scores; the model's name is empty where no such model is served."""

    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_requests_refused", "Requests without scores, by reason.", [*_VERSION, "reason"])
    ]
    model: str
    version: str
    reason: Reason
