"""What every topic carries: the wire types, frozen and numbered.

JSON topics (`predictions`, `feedback`, `models`, `outcomes`, `reports`, `alerts`, `retraining`) hold one
Struct as UTF-8 JSON; `counts` holds one of `CountsMessage` as MessagePack, because it is mostly integer
arrays. `observations` are Arrow blocks: see `streams.wire.observation`. Times are integer milliseconds UTC. A
reader refuses a format number it does not know.
"""

import math
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from streams.names import check_name

FORMAT = 1
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
#: No window is longer, and none waits longer for stragglers; labels are waited for ten times as long.
WINDOW_MS_MAX = 366 * DAY_MS
#: What a share of the false-alarm budget, and what a tolerance, can be given for.
BUDGET_KINDS = ("performance", "prediction", "feature", "quality")
TOLERANCES = ("ks", "w1", "tvd", "rate", "performance")
# Beyond these no effect or budget can be computed, let alone meant.
_LEAST, _MOST = 1e-9, 1e12
_BETWEEN = f"make it more than 0 and finite, from {_LEAST:g} to {_MOST:g}"

Severity = Literal["watch", "warning", "critical"]
#: Severities, the mildest first.
SEVERITIES: tuple[Severity, ...] = ("watch", "warning", "critical")
#: How far an alert is told: in lists alone, sent to chats, or paged (which chats hear, too).
Reach = Literal["list", "chat", "page"]
IncidentKind = Literal["feature", "prediction", "performance", "quality"]
IncidentEvent = Literal["open", "update", "close"]


# --- requests' answers ----------------------------------------------------------------------------


#: The version of a prediction that is nobody's: a fixed score stood in for a version that was away.
DEFAULT_VERSION = "default"


class Prediction(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One answer on `predictions`: what clients read.

    ``score`` is the probability of the positive class, the top class's probability, or the regression value;
    ``prediction`` the class as text (the value's text for regression); ``scores`` all class probabilities
    where there are more than two. ``version`` is the one that answered, ``route`` what it was to the request:
    ``champion``, ``canary``, or ``fallback`` of a version that was away.
    """

    id: str
    model: str
    version: str
    ts: int
    score: float
    prediction: str
    route: str = "champion"
    scores: dict[str, float] | None = None


class Label(msgspec.Struct, frozen=True):
    """One message on `feedback`: the truth about a prediction, possibly a correction of an earlier one (the
    later ``ts`` wins).
    """

    id: str
    label: str | float | bool
    ts: int | str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction joined with its label; a correction is the old one with ``sign`` -1 and the new one with +1."""

    id: str
    model: str
    version: str
    segment: str = ""
    ts: int
    score: float
    prediction: str
    label: str
    label_ts: int
    sign: Literal[1, -1] = 1
    format: int = FORMAT


# --- routes ---------------------------------------------------------------------------------------


class ColumnWatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What holds for one column alone: its material effect (KS or TVD, at most 1), or that it is left out."""

    tolerance: float | None = None
    exclude: bool = False


class Watch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is watched; part of its route, so that a replay knows what held when.

    Parameters
    ----------
    false_alarm_every
        Expected windows between false incidents, over everything watched of the model; above 1. 43,200
        one-minute windows is a month.
    window_ms
        Length of a window; a multiple of a minute.
    window_rows_min
        Windows with fewer rows merge with the next.
    lateness_ms_max
        How long after its end a window waits for stragglers, in event time.
    label_wait_ms_max
        How long after its end a window's performance waits for labels, in event time. Where more than half of the
        labels come later, it waits until half of them have come.
    tolerances
        Material effect by statistic: ``ks``, ``w1``, ``tvd``, ``rate`` (points), ``performance`` (share of
        the reference loss); above 0. One that is left out has its default.
    budget
        Share of the false-alarm budget by kind, summing to 1; a kind that is left out has none.
    page_from
        The mildest severity that pages: ``watch``, ``warning`` or ``critical``. What is milder is told in lists, chats
        and topics, and orders no retraining.
    timezone
        Time zone of the windows, an IANA name: windows of a day go from midnight to midnight there, those of a week
        from Monday. In another zone than UTC a window's length divides a day, or is whole days.
    columns
        By column: a tolerance of its own (KS or TVD), or ``exclude``.
    exclude
        Columns that are counted and shown, and are never evidence: names, or patterns such as ``debug_*``.

    Raises
    ------
    ValueError
        A value that cannot hold, on the way in from whatever side; what decodes a route raises
        ``msgspec.ValidationError`` with the same text.

    >>> Watch(window_ms=90_000)
    Traceback (most recent call last):
    ValueError: window_ms is 90000; make it a multiple of 60000 (windows are whole minutes)
    """

    false_alarm_every: float = 43_200.0
    window_ms: int = MINUTE_MS
    window_rows_min: int = 200
    lateness_ms_max: int = 60_000
    label_wait_ms_max: int = 3_600_000
    tolerances: dict[str, float] = msgspec.field(
        default_factory=lambda: {"ks": 0.05, "w1": 0.1, "tvd": 0.05, "rate": 0.01, "performance": 0.05}
    )
    budget: dict[str, float] = msgspec.field(
        default_factory=lambda: {"performance": 0.5, "prediction": 0.25, "feature": 0.15, "quality": 0.1}
    )
    page_from: Severity = "warning"
    timezone: str = "UTC"
    columns: dict[str, ColumnWatch] = {}
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        every, length = self.false_alarm_every, self.window_ms
        _require(1 < every <= _MOST, "false_alarm_every", every, "make it more than 1 window, and finite: at most 1e12")
        _require(
            length >= MINUTE_MS and length % MINUTE_MS == 0,
            "window_ms",
            length,
            f"make it a multiple of {MINUTE_MS} (windows are whole minutes)",
        )
        _require(_is_zone(self.timezone), "timezone", self.timezone, "name one of the IANA list, such as Europe/Berlin")
        _require(
            self.timezone == "UTC" or DAY_MS % length == 0 or length % DAY_MS == 0,
            "window_ms",
            length,
            f"with timezone {self.timezone} make it a length that divides a day, or whole days ({DAY_MS})",
        )
        _require(self.window_rows_min >= 0, "window_rows_min", self.window_rows_min, "make it 0 or more")
        _require(self.page_from in SEVERITIES, "page_from", self.page_from, f"severities are {', '.join(SEVERITIES)}")
        _require(length <= WINDOW_MS_MAX, "window_ms", length, f"make it at most {WINDOW_MS_MAX} (366 days)")
        for name, most in (("lateness_ms_max", WINDOW_MS_MAX), ("label_wait_ms_max", 10 * WINDOW_MS_MAX)):
            _require(0 <= getattr(self, name) <= most, name, getattr(self, name), f"make it 0 or more, at most {most}")
        for name, value in self.tolerances.items():
            _require(name in TOLERANCES, f"tolerances.{name}", value, f"tolerances are {', '.join(TOLERANCES)}")
            _require(_LEAST <= value <= _MOST, f"tolerances.{name}", value, _BETWEEN)
        for name, value in self.budget.items():
            _require(name in BUDGET_KINDS, f"budget.{name}", value, f"budget kinds are {', '.join(BUDGET_KINDS)}")
            _require(value >= 0, f"budget.{name}", value, "make it 0 or more")
        for name, column in self.columns.items():
            _require(
                column.tolerance is None or _LEAST <= column.tolerance <= 1,
                f"columns.{name}.tolerance",
                column.tolerance,
                f"make it {_LEAST:g} or more, and at most 1, which no KS or TVD can pass",
            )
        total = math.fsum(self.budget.values())
        _require(
            math.isclose(total, 1, abs_tol=1e-6), "budget", self.budget, f"make its shares sum to 1, not {total:g}"
        )


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _require(holds: bool, key: str, value: object, remedy: str) -> None:
    if not holds:
        raise ValueError(f"{key} is {value}; {remedy}")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One event on `models`: from this epoch on, which versions serve a model and how it is watched.

    ``canary`` maps a version to its share of requests, chosen by a hash of the request id; ``shadows`` score
    every request and are observed only. ``restores`` is the epoch whose champion a step back restores.

    Raises
    ------
    ValueError
        A name that `streams.names` refuses: names become paths in the registry. What decodes a route raises
        ``msgspec.ValidationError`` with the same text.
    """

    model: str
    epoch: int
    ts: int
    champion: str
    canary: dict[str, float] = {}
    shadows: tuple[str, ...] = ()
    watch: Watch = Watch()
    reason: str = ""
    restores: int | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        check_name("model", self.model)
        for version in (self.champion, *self.canary, *self.shadows):
            check_name("version", version)


# --- counts: the judge's one input ----------------------------------------------------------------


class MinuteCounts(msgspec.Struct, frozen=True, array_like=True):
    """Integer sums of one event-time minute, for every column of a reference, in its order.

    ``cells`` is little-endian int64, the cells of all columns end to end; ``moments`` int64 [columns, 2]
    fixed-point sums of x and x^2; ``extremes`` float32 [columns, 2] smallest and largest finite value (NaN
    where there is none). ``late`` rows came after their minute's window closed. ``ids`` is a sketch of the rows' ids,
    by which repeated ones are counted (`drift.counting.duplicate_ids`).
    """

    minute_ms: int
    segment: str
    late: bool
    rows: int
    cells: bytes
    moments: bytes
    extremes: bytes
    ids: bytes = b""


class RefusedCount(msgspec.Struct, frozen=True, array_like=True):
    """How many requests of one event-time minute were refused, for one reason; late ones are left out.

    ``reason`` is one of `streams.wire.refusals.REASONS`, ``column`` the feature that it is about and ``got`` the type
    that was found in it, or empty: so there are but so many names.
    """

    minute_ms: int
    reason: str
    column: str
    got: str
    many: int


class Leap(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Event time of a source partition went on by far more than a window with one row: from when to when, ms."""

    start_ms: int
    end_ms: int


class PartialCounts(msgspec.Struct, frozen=True, kw_only=True, tag="counts"):
    """What one block of observations added, for one model version.

    ``watermark_ms`` is the version's running maximum of event time in the source partition after the block (absent
    on all but the last part of a split); ``partitions`` how many partitions the source topic has: the judge's
    watermark of the version is the minimum over all of them that are not idle. ``refused`` are requests of the block
    that never became rows. ``leaps`` are the largest leaps of event time in the block, and ``behind`` how many of its
    rows lay that far behind; they are absent where there are none.
    """

    model: str
    version: str
    reference: str
    topic: str
    partition: int
    first: int
    last: int
    partitions: int
    watermark_ms: int | None
    minutes: list[MinuteCounts]
    refused: list[RefusedCount] = []
    leaps: list[Leap] | msgspec.UnsetType = msgspec.UNSET
    behind: int | msgspec.UnsetType = msgspec.UNSET
    format: int = FORMAT


class LabelSums(msgspec.Struct, frozen=True, kw_only=True, tag="labels"):
    """Joined labels of one (model, version, segment, minute of the prediction), per score cell of its reference.

    ``cells`` is little-endian int64 [score cells, 4]; a corrected label subtracts its old row.

    ==========  =========================  ==========================  ===================================
    column      binary                     multiclass                  regression (error = score - label)
    ==========  =========================  ==========================  ===================================
    0           labelled rows              labelled rows               labelled rows
    1           positive labels, x 4096    right predictions, x 4096   sizes of the errors, fixed point
    2           scores, x 4096             top scores, x 4096          squared errors, fixed point squared
    3           right predictions          right predictions           errors, fixed point
    ==========  =========================  ==========================  ===================================

    The fixed point of an error is ``rint(error / scale * 4096)`` in the score column's own scale (its
    reference's), clipped at 2^20.

    ``faults`` are labels that are in no sum, because they name no class of the model or are no number: how many, by
    their text in quotes (`drift.performance.label_faults`).
    """

    model: str
    version: str
    reference: str
    segment: str
    minute_ms: int
    cells: bytes
    topic: str
    partition: int
    first: int
    last: int
    faults: dict[str, int] = {}
    format: int = FORMAT


class Idle(msgspec.Struct, frozen=True, kw_only=True, tag="idle"):
    """A source partition has fallen silent and leaves the watermark's minimum until it speaks again.

    It is ``asleep`` when it has been silent for long: when all of them are, nothing more is waited for, and the windows
    that are open close. It is ``repeated`` if whoever says so says it again while other partitions speak; those before
    that was done were said once. ``at_ms`` is when, by the clock of whoever says so: a window that ends later than that
    is not over because nothing comes. Those before that was known do not have it, and close every window.
    """

    model: str
    topic: str
    partition: int
    partitions: int
    asleep: bool = False
    repeated: bool = False
    at_ms: int | None = None
    format: int = FORMAT


class RouteCopy(msgspec.Struct, frozen=True, kw_only=True, tag="route"):
    """A copy of a `models` event, so that the order of `counts` is the record of what was known when."""

    model: str
    route: Route
    format: int = FORMAT


class Act(msgspec.Struct, frozen=True, kw_only=True, tag="act"):
    """What a person decided about an open incident, so that the judge and every replay know it from here on.

    ``by`` is who, ``at_ms`` when by their clock, ``reason`` why; ``until_ms`` the event time until which a muted one is
    sent to nobody.
    """

    model: str
    incident: str
    act: Literal["acknowledge", "mute", "rebaseline"]
    by: str
    at_ms: int
    reason: str = ""
    until_ms: int | None = None
    format: int = FORMAT


CountsMessage = PartialCounts | LabelSums | Idle | RouteCopy | Act


# --- what the judge says --------------------------------------------------------------------------


class ColumnReport(msgspec.Struct, frozen=True, kw_only=True):
    """One column in one closed window against its reference.

    ``role`` is ``feature`` or ``prediction`` (the score); ``effect`` the headline size in ``statistic``'s
    unit (``ks`` or ``tvd``) with its 95 % interval, against ``tolerance``; ``evidence`` the column's e-value
    in windows (opens an incident at the budget). Rates are shares of the window's rows. Statistics that a
    kind does not have are null.
    """

    name: str
    role: Literal["feature", "prediction"]
    kind: str
    n: int
    statistic: str
    effect: float
    effect_low: float
    effect_high: float
    tolerance: float
    evidence: float
    drifted: bool
    ks: float | None = None
    w1: float | None = None
    psi: float | None = None
    psi_bias: float | None = None
    tvd: float | None = None
    mean: float | None = None
    null_rate: float = 0.0
    unseen_rate: float = 0.0
    out_of_range_rate: float = 0.0


class MetricReport(msgspec.Struct, frozen=True, kw_only=True):
    """One performance figure of a window: ``auc``, ``accuracy``, ``brier``, ``mae``...

    ``realised`` from the labels that have come, with its 95 % interval where there is one; ``estimated``
    without labels; ``powered`` for all rows where only some have a label, by labels and predictions together, with its
    95 % interval; ``coverage`` the share of the window's predictions that have a label; ``reference`` the figure on the
    training data; ``outside`` the share of the rows that lie outside the training data, in the feature where most do:
    where it is large an estimate is no fact; ``tolerance`` how much larger the loss may be than on the training data
    before it is material, as a share of it.
    """

    metric: str
    realised: float | None = None
    low: float | None = None
    high: float | None = None
    estimated: float | None = None
    reference: float | None = None
    coverage: float = 0.0
    powered: float | None = None
    powered_low: float | None = None
    powered_high: float | None = None
    outside: float | None = None
    tolerance: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A closed window's numbers, one message on `reports`. ``revision`` counts restatements; the highest one holds.

    Labels may come long after the window: its last restatement then has no ``columns``, and those before it hold.
    ``partial`` is there where the stream began after the window did, or ended before it: it was not judged.
    ``learning`` is there while the first windows show how much windows differ: so many are waited for till columns are
    judged.
    """

    model: str
    version: str
    segment: str = ""
    window_start: int
    window_end: int
    rows: int
    late_rows: int = 0
    revision: int = 0
    reference: str
    evidence: float
    budget: float
    columns: list[ColumnReport]
    performance: list[MetricReport] = []
    partial: bool | msgspec.UnsetType = msgspec.UNSET
    learning: int | msgspec.UnsetType = msgspec.UNSET
    format: int = FORMAT


class MovedLevel(msgspec.Struct, frozen=True):
    """A cell or level that moved: its share in the reference and now."""

    level: str
    reference: float
    current: float


class MovedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column named by an incident, with all that is needed to recompute the claim.

    An incident of kind ``performance`` names the figure that is worse (``accuracy``, ``brier``, ``log_loss``, ``mae``):
    its effect is the growth of the mean loss as a share of the training data's, its ``counts`` the label sums since.
    """

    name: str
    role: Literal["feature", "prediction", "performance"]
    statistic: str
    effect: float
    effect_low: float
    effect_high: float
    tolerance: float
    evidence: float
    n: int
    change_point: int
    levels: list[MovedLevel] = []
    counts: list[int] = []


class PredictionEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the score, or of the predicted class, since an incident's change point.

    ``word`` says it by the interval: ``unchanged`` (all of it below the tolerance), ``changed`` (all of it above), else
    ``unclear``; ``n`` are the rows that it is from.
    """

    name: str
    statistic: str
    effect: float
    low: float
    high: float
    tolerance: float
    n: int
    word: Literal["unchanged", "unclear", "changed"]


class Opinion(msgspec.Struct, frozen=True):
    """What a detector of River's says of the mean error or score: the start (ms) of the first window since the change
    point at which it found a change, or None. It opened and paged nothing.
    """

    detector: str
    of: Literal["error", "score"]
    since: int | None


class TextPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of an alert's text: words, or what stands among them, so that a reader may write it in its own way.

    ``text`` is the piece as the alert's text has it; all of them joined are that text. ``kind`` says what it is: the
    ``subject``, a ``change`` (``was`` and ``now`` are the two figures), ``since`` (a clause with an event time ``at``,
    ms), a ``time`` alone, a list of ``names``, or the ``person`` who decided.
    """

    text: str
    kind: Literal["words", "subject", "change", "since", "time", "names", "person"] = "words"
    at: int | None = None
    names: list[str] = []
    was: float | None = None
    now: float | None = None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an incident's life, on `alerts`; ``id`` is its idempotency key.

    ``page`` says that a person should be told now, ``reach`` how far it is told: ``list`` (what is immaterial,
    acknowledged or muted), ``chat`` (material, but milder than `Watch.page_from`), or ``page``. ``change_point`` and
    its interval are event times, ``later`` those of further changes while the incident was open. ``text`` is one
    sentence to read aloud; ``predictions`` is what became of the model's answers; ``opinions`` are further, named
    evidence where predictions or performance have changed; ``act`` is what a person did, where the alert tells of that:
    ``acknowledge``, ``mute``, ``rebaseline``; ``worse`` says that it has worsened by another tolerance since it was
    told. ``parts`` are the pieces of ``text``, for who shows it in another way; older records do not have them.
    """

    id: str
    incident: str
    event: IncidentEvent
    model: str
    version: str
    segment: str = ""
    ts: int
    window_start: int
    window_end: int
    kind: IncidentKind
    severity: Severity
    page: bool
    columns: list[MovedColumn]
    change_point: int
    change_point_low: int
    change_point_high: int
    evidence: float
    budget: float
    reference: str
    epoch: int
    text: str
    opinions: list[Opinion] = []
    reach: Reach = "list"
    act: str = ""
    worse: bool = False
    later: list[int] = []
    predictions: list[PredictionEffect] = []
    format: int = FORMAT
    parts: list[TextPart] | msgspec.UnsetType = msgspec.UNSET


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining order on `retraining`: which model, because of which incident, on the data since when."""

    id: str
    model: str
    version: str
    incident: str
    ts: int
    columns: list[str]
    since: int
    until: int
    reason: str
    format: int = FORMAT
