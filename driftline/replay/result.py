"""What a replay found: the wire form of `driftline replay --json`."""

import msgspec


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction that came out otherwise; ``difference`` is the replayed score minus the served one."""

    id: str
    place: str
    served: str
    served_score: float
    replayed: str
    replayed_score: float
    difference: float


class Predictions(msgspec.Struct, kw_only=True):
    """Predictions served against predictions replayed.

    Attributes
    ----------
    requests, refused
        Records of the stretch; those that are dead letters when replayed.
    compared, equal
        Requests answered both times; those whose answer is the same bit for bit. Under another model the names of
        version and route do not count.
    changed
        Answers whose class differs (regression: whose value does).
    mean, most
        Mean and largest absolute difference of the scores.
    missing, extra
        Answered then and not now; answered now and not then.
    unread
        Served, as the observations say, but no more to be found on `predictions`.
    by_fallback
        Answered then by a fallback, in place of a version that was away.
    """

    requests: int = 0
    refused: int = 0
    compared: int = 0
    equal: int = 0
    changed: int = 0
    mean: float = 0.0
    most: float = 0.0
    missing: int = 0
    extra: int = 0
    unread: int = 0
    by_fallback: int = 0
    examples: list[Example] = []


class Recounted(msgspec.Struct, frozen=True):
    """Sums of a version, segment and minute that were counted both times, and how many of them agree."""

    minutes: int
    equal: int


class Windows(msgspec.Struct, kw_only=True):
    """Reports of the windows that closed in the stretch.

    As it was served, ``equal`` reports are so in every field that both have; else they name the same columns as
    drifted. ``agreed`` counts the windows that do the latter in any case, and ``different`` names the first few that
    are not equal. ``new_fields`` and ``gone_fields`` are those that only replayed reports have, or only served ones:
    another version of Driftline wrote these.
    """

    served: int = 0
    replayed: int = 0
    equal: int = 0
    agreed: int = 0
    different: list[str] = []
    new_fields: list[str] = []
    gone_fields: list[str] = []


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as its alerts tell it; ``opened`` and ``change_point`` are event times in ms."""

    id: str
    version: str
    kind: str
    severity: str
    columns: list[str]
    opened: int
    change_point: int
    paged: int | None
    closed: int | None
    text: str


class Pair(msgspec.Struct, frozen=True):
    """An incident served and its counterpart replayed; None where there is none."""

    served: Incident | None
    replayed: Incident | None


class Drift(msgspec.Struct, kw_only=True):
    """What the judge says: from where its state comes, and how its word differs."""

    begins: list[str] = []
    counts: Recounted | None = None
    windows: Windows = msgspec.field(default_factory=Windows)
    incidents: list[Pair] = []


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over the labelled requests, served and replayed, with the 95 % interval of the paired difference."""

    model: str
    metric: str
    rows: int
    served: float
    replayed: float
    difference: float
    low: float
    high: float


class Replay(msgspec.Struct, kw_only=True):
    """The result. ``stretch`` are offsets of `requests` by partition, end excluded; ``since`` and ``until`` the Kafka
    times of its first and last record.
    """

    stretch: dict[int, tuple[int, int]]
    since: int | None = None
    until: int | None = None
    model: str | None = None
    settings: str | None = None
    predictions: Predictions = msgspec.field(default_factory=Predictions)
    drift: Drift = msgspec.field(default_factory=Drift)
    performance: list[Metric] = []
    seconds: float = 0.0

    def extend(self, times: tuple[int, int]) -> None:
        """Widen ``since`` and ``until`` to the Kafka times of some more records."""
        first, last = times
        self.since = first if self.since is None else min(self.since, first)
        self.until = last if self.until is None else max(self.until, last)

    @property
    def as_served(self) -> bool:
        """Whether nothing was asked to be different."""
        return self.model is None and self.settings is None

    @property
    def differs(self) -> bool:
        """Whether anything came out otherwise."""
        predictions, drift = self.predictions, self.drift
        return (
            predictions.equal != predictions.compared
            or bool(predictions.missing or predictions.extra or predictions.unread)
            or (drift.counts is not None and drift.counts.equal != drift.counts.minutes)
            or not drift.windows.served == drift.windows.replayed == drift.windows.equal
            or any(not same(pair) for pair in drift.incidents)
        )


def same(pair: Pair) -> bool:
    """Whether an incident has a counterpart that tells the same."""
    return pair.served == pair.replayed
