"""A file's rows as requests, and its labels as feedback: the way to try a model, and to fill in the past.

The file is read a batch at a time and the sender waits for the broker, so memory is bounded whatever the file's size.
Nothing here is transactional: to run it twice is to send everything twice.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from driftline.commands.request_outcomes import Followed, Outcomes, Places, Refusals, count, in_words
from driftline.commands.row_files import Row, RowFile, RowFileError, no_column
from driftline.progress import OnProgress, unwatched
from streams.clock import ticks_ms
from streams.formats.envelope import ID_CHARACTERS_MAX
from streams.kafka import ranges
from streams.kafka.admin import TopicError, partition_counts
from streams.kafka.cluster import Cluster
from streams.kafka.group_offsets import committed
from streams.kafka.sender import Sender
from streams.routes import read_book
from streams.wire.event_time import event_time_ms
from streams.wire.records import Route

if TYPE_CHECKING:
    from driftline.commands.backfill import Past

_SLICE_S = 0.02
_LOOK_S = 0.2
#: A stretch of a backfill waits so long for the one before: shorter than silence that closes windows.
_STRETCH_S = 20.0
#: Rows of a backfill that go to one partition before it is the next one's turn: few, so that all are in step.
_RUN_ROWS = 50


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send of a file.

    Parameters
    ----------
    path
        Parquet, CSV or JSON lines.
    model
        Name that every request carries; empty leaves it to the only model.
    rate
        Messages a second at the most; None as fast as the broker takes them.
    rows
        How many rows of the file, from its beginning; None for all.
    id, time
        Columns with the requests' ids and event times; they are no features.
    key
        Column whose text is the message's key: one key, one partition, in order. It stays a feature.
    exclude
        Columns that are not sent.
    labels
        Column with the true answers, sent as feedback under the same ids once all requests are out, or all of a stretch
        of a backfill; no feature.
    feedback
        Send the labels alone.
    backfill
        The rows are past: they go in order of ``time``, to all partitions in step; see `driftline.commands.backfill`.
    """

    path: Path
    model: str = ""
    rate: float | None = None
    rows: int | None = None
    id: str | None = None
    time: str | None = None
    key: str | None = None
    exclude: tuple[str, ...] = ()
    labels: str | None = None
    feedback: bool = False
    backfill: bool = False


class Sent(msgspec.Struct, kw_only=True):
    """What came of it; ``requests`` and ``labels`` are what the broker has taken, ``outcomes`` what became of either
    where that was waited for.
    """

    requests: int = 0
    labels: int = 0
    failed: int = 0
    why: str = ""
    seconds: float = 0.0
    rate: float = 0.0
    interrupted: bool = False
    outcomes: dict[str, Outcomes] = {}
    hint: str = ""

    @property
    def complete(self) -> bool:
        """Whether all was sent, and what was followed was answered."""
        followed = all(not (outcomes.refused or outcomes.waiting) for outcomes in self.outcomes.values())
        return followed and not (self.failed or self.interrupted)


class PlanError(ValueError):
    """A plan that cannot be carried out; the text names the option."""


def check(cluster: Cluster, plan: Plan, elsewhere: Collection[str] = ()) -> list[str]:
    """Refuse what would be refused row by row; returns what should be known, in sentences.

    Parameters
    ----------
    elsewhere
        Models that somebody else serves.

    Raises
    ------
    TopicError
        There is no broker, or the topics are missing.
    PlanError
        No model is named and several serve, or one is named that does not.
    """
    topic = "feedback" if plan.feedback else "requests"
    if topic not in partition_counts(cluster):
        raise TopicError(f"topic {cluster.topic(topic)} is missing; run `driftline topics create`")
    routes = read_book(cluster).routes
    known = sorted(routes.keys() - set(elsewhere))
    if plan.backfill and (plan.feedback or not plan.time):
        raise PlanError("--backfill sends requests with their times; give --time COLUMN, and not --feedback")
    if plan.feedback:
        return []
    if not known and plan.backfill:
        raise PlanError(
            "no model serves yet, so nothing would take the rows; `driftline model route NAME VERSION` first"
        )
    if not known:
        return ["no model serves yet: the requests wait until one does, `driftline model route NAME VERSION`"]
    if plan.model and plan.model not in known:
        near = get_close_matches(plan.model, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
        raise PlanError(f"no model {plan.model!r} serves, so every request would be refused; {hint}")
    if not plan.model and len(known) > 1:
        raise PlanError(
            f"{len(known)} models serve and none is named, so every request would be refused; add --model, one of "
            f"{', '.join(known)}"
        )
    return [_past_stated(cluster, plan, routes[plan.model or known[0]])] if plan.backfill else []


def _past_stated(cluster: Cluster, plan: Plan, route: Route) -> str:
    """Say what a backfill does, or refuse one whose rows would be late."""
    from driftline.commands import backfill

    past = _past(plan)
    if why := backfill.refusal(past, route, backfill.reached(cluster, route)):
        raise PlanError(why)
    partitions = partition_counts(cluster)["requests"]
    return backfill.statement(past, route.model, partitions, keyed=plan.key is not None)


def _past(plan: Plan) -> "Past":
    from driftline.commands.backfill import survey

    assert plan.time
    file = RowFile(plan.path, leave=plan.exclude)
    _require(file, plan, plan.id, plan.time, plan.key, plan.labels)
    return survey(file, plan.time, plan.rows)


def produce(cluster: Cluster, plan: Plan, on_progress: OnProgress = unwatched, *, follow: bool = False) -> Sent:
    """Send the file.

    Parameters
    ----------
    on_progress
        Given what is being sent or waited for, how many are done, and how many there are.
    follow
        Wait for what becomes of what was sent, as long as anything does.

    Raises
    ------
    RowFileError
        The file cannot be read to its end; what went before is sent.
    PlanError
        Labels without ids, or ids and times of a kind that no request has.
    """
    if (plan.labels or plan.feedback) and not (plan.id and plan.labels):
        raise PlanError("labels need the ids that they belong to; give --labels COLUMN and --id COLUMN")
    sent, began = Sent(), ticks_ms()
    followed: list[tuple[str, Followed, Places]] = []
    one_by_one = [*([] if plan.feedback else ["requests"]), *(["labels"] if plan.labels else [])]
    if plan.backfill and plan.labels:
        followed, one_by_one = _send_past(cluster, plan, on_progress, sent, follow), []
    for what in one_by_one:
        before = Followed(cluster, *_FOLLOWED[what]) if follow else None
        sender = _send(cluster, plan, what, on_progress, sent)
        if before:
            followed.append((what, before, sender.places))
        if sent.interrupted:
            break
    sent.seconds = (ticks_ms() - began) / 1000
    sent.rate = (sent.requests + sent.labels) / sent.seconds
    _follow(followed, on_progress, sent)
    if "requests" in sent.outcomes:
        sent.hint = taken_out(plan, sent.outcomes["requests"].refusals)
    return sent


def taken_out(plan: Plan, refusals: Sequence[Refusals]) -> str:
    """Name the option that takes a column out of the requests which the model requires; empty where none does.

    >>> refused = Refusals("missing_field", 9, "$.features.customer", "", "dead-letters/0/0")
    >>> taken_out(Plan(path=Path("today.csv"), id="customer"), [refused]).split(": ")[0]
    "'customer' is a feature of the model, and --id takes it out of the requests"
    """
    options: dict[str | None, str] = dict.fromkeys(plan.exclude, "--exclude")
    options |= {plan.id: "--id", plan.time: "--time", plan.labels: "--labels"}
    for refusal in refusals:
        name = refusal.field.rpartition(".features.")[2]
        if refusal.reason == "missing_field" and name in options:
            return (
                f"{name!r} is a feature of the model, and {options[name]} takes it out of the requests: drop it from "
                f"the model (model init --exclude {name}), or give another column"
            )
    return ""


#: Where what is sent goes, and which group commits it.
_FOLLOWED = {"requests": ("requests", "score"), "labels": ("feedback", "join")}


def _send(cluster: Cluster, plan: Plan, what: str, on_progress: OnProgress, sent: Sent) -> Sender:
    sender = Sender(cluster)
    partitions = (
        partition_counts(cluster)["requests"] if plan.backfill and what == "requests" and not plan.key else None
    )
    with _counted(sent, {what: sender}):
        for n, (topic, value, key) in enumerate(_paced(_messages(plan, what, on_progress), plan.rate)):
            sender.send(topic, value, key, None if partitions is None else n // _RUN_ROWS % partitions)
    return sender


@contextmanager
def _counted(sent: Sent, senders: Mapping[str, Sender]) -> Iterator[None]:
    """Count what has arrived when all is sent, or when Ctrl-C or a row that cannot be sent has ended it.

    Raises
    ------
    RowFileError, PlanError
        That of the row, with what was sent before it.
    """
    what, sender = next(iter(senders.items()))
    try:
        yield
    except KeyboardInterrupt:
        sent.interrupted = True
    except (RowFileError, PlanError) as error:
        sender.finish()
        if not sender.arrived:
            raise
        raise type(error)(f"{error} ({sender.arrived:,} {what} before it are sent)") from None
    finally:
        for each in senders.values():
            each.finish()  # labels must come after the requests
    for name, each in senders.items():
        setattr(sent, name, each.arrived)
        sent.failed += each.failed
        sent.why = sent.why or each.why


def _send_past(
    cluster: Cluster, plan: Plan, on_progress: OnProgress, sent: Sent, follow: bool
) -> list[tuple[str, Followed, Places]]:
    """Send the requests of a backfill and their labels in turn, a stretch at a time: event time goes by as fast as rows
    are sent, and windows that have closed are not kept for labels for ever. With ``follow`` a stretch is sent when the
    labels of the one before are taken.
    """
    requests, labels = Sender(cluster), Sender(cluster)
    followed: list[tuple[str, Followed, Places]] = []
    if follow:
        of = {"requests": requests.places, "labels": labels.places}
        followed = [(what, Followed(cluster, *_FOLLOWED[what]), places) for what, places in of.items()]
    partitions, sent_rows, waits = None if plan.key else partition_counts(cluster)["requests"], 0, follow
    with _counted(sent, {"requests": requests, "labels": labels}):
        for message in _paced(_past_messages(cluster, plan, on_progress), plan.rate):
            if message is None:
                requests.finish()
                labels.finish()
                waits = waits and not any(
                    follower.wait(places, for_s=_STRETCH_S).waiting for _, follower, places in followed
                )
                if waits:
                    _await_store(cluster)
            elif message[0] == "requests":
                requests.send(*message, None if partitions is None else sent_rows // _RUN_ROWS % partitions)
                sent_rows += 1
            else:
                labels.send(*message)
    return followed


def _await_store(cluster: Cluster) -> None:
    """Wait until the store has the predictions that are there by now: a label is joined where its prediction is found,
    and one that comes before it would wait while event time goes by.
    """
    until, ends = ticks_ms() + _STRETCH_S * 1000, ranges.bounds(cluster, "observations")
    while ticks_ms() < until:
        behind = committed(cluster, "sink", "observations")
        left = ((p, max(low, behind.get(p, low)), end) for p, (low, end) in ends.items())
        # Ends may lie behind the marks of transactions, which no offset of a reader passes.
        if not any(True for p, at, end in left if at < end for _ in ranges.read(cluster, "observations", p, at, end)):
            return
        time.sleep(_LOOK_S)


def _follow(followed: Sequence[tuple[str, Followed, Places]], on_progress: OnProgress, sent: Sent) -> None:
    for what, before, places in followed:
        total = count(places)
        if not total:
            continue
        name = "answers" if what == "requests" else "labels taken"
        try:
            if sent.interrupted:
                raise KeyboardInterrupt
            sent.outcomes[what] = before.wait(
                places,
                lambda done, name=name, total=total: on_progress(name, done, total),  # type: ignore[misc]
            )
        except KeyboardInterrupt:
            sent.interrupted = True
            sent.outcomes[what] = before.now(places)


def summary(sent: Sent) -> str:
    """Say what came of it, and what to do next.

    >>> print(summary(Sent(requests=2_000, labels=10, seconds=0.5, rate=4_020.0)))
    2,000 requests and 10 labels sent in 0.5 s, 4,020 a second
    next: `driftline status`; `driftline dead-letters list` says what was refused
    >>> followed = {"requests": Outcomes(answered=2_000)}
    >>> print(summary(Sent(requests=2_000, seconds=0.5, rate=4_000.0, outcomes=followed)))
    2,000 requests sent in 0.5 s, 4,000 a second
    requests: 2,000 answered
    """
    counts = [f"{n:,} {what}" for n, what in ((sent.requests, "requests"), (sent.labels, "labels")) if n]
    lines = [f"{' and '.join(counts) or 'nothing'} sent in {sent.seconds:.1f} s, {sent.rate:,.0f} a second"]
    if sent.failed:
        lines.append(f"{sent.failed:,} failed: {sent.why}")
    if sent.interrupted:
        lines.append("interrupted: what is said is what is known until here")
    for what, outcomes in sent.outcomes.items():
        first, *rest = in_words(outcomes, what)
        lines += [f"{what}: {first}", *rest]
    if sent.hint:
        lines.append(sent.hint)
    if not sent.outcomes:
        lines.append("next: `driftline status`; `driftline dead-letters list` says what was refused")
    elif any(outcomes.waiting for outcomes in sent.outcomes.values()):
        lines.append(
            "what waits is answered when a worker and a monitor run: `driftline status` says what they wait for"
        )
    return "\n".join(lines)


_Message = tuple[str, bytes, bytes | None]
_Sent = TypeVar("_Sent", _Message, _Message | None)


def _require(file: RowFile, plan: Plan, *names: str | None) -> None:
    for name in names:
        if name and name not in file.columns:
            raise PlanError(no_column(plan.path, name, file.columns))


def _messages(plan: Plan, what: str, on_progress: OnProgress) -> Iterator[_Message]:
    """Topic, value and key of every message, a row each; a row without id or without label has no label to send."""
    if what == "requests":
        file = RowFile(plan.path, leave={*plan.exclude, *([plan.labels] if plan.labels else [])})
        _require(file, plan, plan.id, plan.time, plan.key)
        of_row: Callable[[Plan, Row], _Message | None] = _request
    else:
        file = RowFile(plan.path, only=[name for name in (plan.id, plan.labels) if name])
        of_row = _label
    total = file.total if plan.rows is None else min(plan.rows, file.total or plan.rows)
    sent = 0
    batches = file.batches()
    if plan.backfill and what == "requests":
        from driftline.commands.backfill import in_order

        batches = in_order(_past(plan), batches)
    for batch in batches:
        for row in batch:
            if sent == plan.rows:
                return
            if message := of_row(plan, row):
                yield message
            sent += 1
        on_progress(what, sent, total)


def _past_messages(cluster: Cluster, plan: Plan, on_progress: OnProgress) -> Iterator[_Message | None]:
    """Requests in order of time, the labels after those of each stretch; None where all before it must have arrived."""
    from driftline.commands.backfill import in_order, stretches

    assert plan.labels
    file, past = RowFile(plan.path, leave=plan.exclude), _past(plan)
    routes = read_book(cluster).routes
    route = routes.get(plan.model) or next(iter(routes.values()))
    ends, held, sent, total = set(stretches(past, route.watch)), list[_Message](), 0, len(past.times)
    for batch in in_order(past, file.batches()):
        for row in batch[: total - sent]:
            label = _label(plan, row)
            del row[plan.labels]
            yield _request(plan, row)
            held += [] if label is None else [label]
            sent += 1
            if sent in ends:
                yield None
                yield from held
                yield None
                held.clear()
        on_progress("requests", sent, total)


def _request(plan: Plan, row: Row) -> _Message:
    key = row.get(plan.key) if plan.key else None
    request: dict[str, Any] = {}
    if plan.id:
        request["id"] = _id(plan, row.pop(plan.id, None))
    if plan.time:
        request["ts"] = _time(plan, row.pop(plan.time, None))
    if plan.model:
        request["model"] = plan.model
    request["features"] = row
    return "requests", msgspec.json.encode(request), None if key is None else _text(key).encode()


def _label(plan: Plan, row: Row) -> _Message | None:
    assert plan.id and plan.labels
    id_, label = _id(plan, row[plan.id]), row[plan.labels]
    if id_ is None or label is None:
        return None
    id_ = str(id_)
    return "feedback", msgspec.json.encode({"id": id_, "label": label}), id_.encode()


def _id(plan: Plan, value: Any) -> str | int | None:
    if value is None or (isinstance(value, str | int) and 0 < len(str(value)) <= ID_CHARACTERS_MAX):
        return value
    raise PlanError(
        f"{plan.path}: column {plan.id!r} holds {value!r:.80}; an id is an integer, or text of 1 to "
        f"{ID_CHARACTERS_MAX} characters"
    )


def _time(plan: Plan, value: Any) -> Any:
    if value is None or (isinstance(value, str | int | float) and event_time_ms(value) is not None):
        return value
    raise PlanError(
        f"{plan.path}: column {plan.time!r} holds {value!r:.80}; a time is a timestamp, RFC 3339 text, or milliseconds "
        "since 1970"
    )


def _text(key: Any) -> str:
    return key if isinstance(key, str) else msgspec.json.encode(key).decode()


def _paced(messages: Iterator[_Sent], rate: float | None) -> Iterator[_Sent]:
    """Let messages pass at a steady rate, a few at a time."""
    began, due = ticks_ms(), 0
    for passed, message in enumerate(messages):
        while rate is not None and passed >= due:
            due = int((ticks_ms() - began) / 1000 * rate) + 1
            if passed >= due:
                time.sleep(_SLICE_S)
        yield message
