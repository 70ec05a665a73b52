"""The judge: counts in; reports, alerts and retraining orders out. One judge decides all there is to decide of a model.

It reads `counts` and nothing else, so the order of that one partition is the record of what was known when. It goes
message by message: how they were cut into blocks changes nothing, and a snapshot taken anywhere goes on as if nothing
had happened. Nor does it matter how the counts of different source partitions lie between one another: evidence,
alerts and the last revision of each report are the same. (Where an idle flag or a route lies does matter: they are
decisions, and records of them.)
"""

import itertools
from collections.abc import Callable
from functools import partial

import msgspec
import structlog

from drift.counting.message_checks import Impossible, check_counts
from drift.incidents import rfc3339
from drift.incidents.acts import named
from drift.judge.accepting import ActError
from drift.judge.model import ModelJudge
from drift.judge.output import Output
from drift.judge.snapshot import decode, encode
from drift.judge.state import ModelState
from drift.reference.baseline import Baseline
from drift.reference.catalogue import Catalogue, Unusable, Unwatched
from drift.reference.reference import Reference
from streams.away import Away
from streams.runtime.set_aside import SetAside
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish
from streams.wire.records import (
    FORMAT,
    Act,
    Alert,
    CountsMessage,
    Idle,
    LabelSums,
    PartialCounts,
    Report,
    Route,
    RouteCopy,
)
from streams.wire.refusals import Reason, Refusal
from streams.wire.route import RouteError, check_epoch

log = structlog.get_logger("drift.judge.stage")

SNAPSHOT_FORMAT = 5


class Snapshot(msgspec.Struct, kw_only=True):
    """The judge's whole memory: its models, by name."""

    format: int = SNAPSHOT_FORMAT
    models: dict[str, ModelState] = {}


class SnapshotFormatError(RuntimeError):
    """A snapshot that this version cannot read."""


class Judge:
    """Judges the models of one partition of `counts`.

    Parameters
    ----------
    catalogue
        Finds the reference of a model version.
    spell
        Writes an event time in the texts of alerts.
    set_aside
        Makes dead letters of what cannot be judged.

    Attributes
    ----------
    suspended
        Why versions are not judged although they were: their references cannot be used. What is remembered of them is
        kept as it is until they can.
    """

    def __init__(
        self, catalogue: Catalogue, spell: Callable[[int], str] = rfc3339, set_aside: SetAside | None = None
    ) -> None:
        self._catalogue = catalogue
        self._spell = spell
        self._set_aside = set_aside or SetAside("judge")
        self._failed: set[tuple[str, str]] = set()
        self._baselines: dict[tuple[str, str], Baseline] = {}
        self.models: dict[str, ModelState] = {}
        self.suspended: dict[tuple[str, str], str] = {}

    def process(self, block: Block) -> Effects:
        """Judge a block of `counts`; a message that cannot be read or judged is a dead letter."""
        publish: list[Publish] = []
        for at, value in enumerate(block.values):
            message: CountsMessage | None = None
            try:
                message = _decode(value or b"")
                publish += map(_publication, self.step(message, block.times[at]))
            except (Away, OSError, MemoryError):
                raise
            except Exception as error:
                refusal = self._refused(at, value, message, error)
                publish += self._set_aside(block, [refusal])
        return Effects(publish)

    def _refused(self, at: int, value: bytes | None, message: CountsMessage | None, error: Exception) -> Refusal:
        """Say what is wrong with a message. Where it is not known to be the message, a fault of ours stops its model,
        whose state may be torn, and no other.
        """
        if message is None:
            return Refusal(at, "undecodable" if value else "empty", "$", str(error))
        if isinstance(error, ActError):
            return Refusal(at, "impossible_act", "$", str(error), message.model)
        if isinstance(error, Impossible | MisfitError):
            reason: Reason = "impossible_value" if message.format == FORMAT else "unknown_format"
            return Refusal(at, reason, "$", str(error), message.model[:200])
        why = f"judging it failed ({type(error).__name__}: {error}); start the monitor anew to go on with this model"
        log.error("judge.failed", model=message.model, why=why, exc_info=error)
        state = self.models.get(message.model) or ModelState(model=message.model)
        for version in sorted({version for version, _ in state.segments}):
            self._failed.add((message.model, version))
            self._suspend(state, version, why)
        return Refusal(at, "impossible_value", "$", why, message.model)

    def step(self, message: CountsMessage, at_ms: int = 0) -> list[Output]:
        """Judge one message; returns what is to be told.

        Parameters
        ----------
        at_ms
            When it came, by Kafka's clock; 0 where that is not known.

        Raises
        ------
        MisfitError
            It was counted over another reference.
        Impossible
            It has another format number, or a value that cannot be.
        ActError
            It is an act about an incident that is not open, or that cannot be.
        """
        reference = None
        if isinstance(message, PartialCounts | LabelSums) and message.format == FORMAT:
            reference = self._reference(message)
            if reference is None:
                return []
        check_counts(message, reference)
        judge = self._judge(message.model, at_ms)
        match message:
            case PartialCounts():
                return judge.add_counts(message)
            case LabelSums():
                return judge.add_labels(message)
            case Idle():
                return judge.mark_idle(message)
            case RouteCopy():
                try:
                    check_epoch(message.route, judge.state.epoch)
                except RouteError as error:
                    raise Impossible(str(error)) from None
                return judge.follow_route(message)
            case Act():
                try:
                    return judge.follow_act(message)
                except ActError as error:
                    raise ActError(f"{named(message)}: {error}") from None

    def _judge(self, model: str, at_ms: int = 0) -> ModelJudge:
        if model not in self.models:
            self.models[model] = ModelState(model=model)
        return ModelJudge(self.models[model], partial(self._baseline, model), self._spell, at_ms)

    def reroute(self, route: Route) -> list[Publish]:
        """Follow a route although its epoch, or a later one, holds already: how a replay judges under other settings.

        Returns
        -------
        list of Publish
            What following it leads to, as `process` gives it.
        """
        state = self.models.get(route.model)
        if state is not None:
            state.epoch = min(state.epoch, route.epoch - 1)
        copy = RouteCopy(model=route.model, route=route)
        return list(self.process(Block.of("counts", 0, [msgspec.msgpack.encode(copy)])).publish)

    def finish(self) -> list[Output]:
        """Close every open window, at the end of a closed range; a live judge never does."""
        return list(itertools.chain.from_iterable(self._judge(name).finish() for name in sorted(self.models)))

    def snapshot(self) -> bytes:
        """All that is remembered, as bytes with a format number."""
        return encode(Snapshot(models=self.models))

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot.

        Raises
        ------
        SnapshotFormatError
            Another format number.
        """
        number = msgspec.msgpack.decode(snapshot, type=_Numbered).format
        if number != SNAPSHOT_FORMAT:
            raise SnapshotFormatError(
                f"judge snapshot format {number}, this version reads {SNAPSHOT_FORMAT}; "
                "start the version that wrote it, or the one that upgrades it"
            )
        models = decode(snapshot, Snapshot).models
        self.suspended = {}
        for state in models.values():
            for version in sorted({version for version, _ in state.segments}):
                self._resume(state, version)
        self.models = models

    def _resume(self, state: ModelState, version: str) -> bool:
        """Judge a version by what is remembered of it; suspend it where its reference cannot be used, and forget it
        where it was removed.
        """
        if (state.model, version) in self._failed:
            return False
        state.suspended.discard(version)
        segments = {key: segment for key, segment in state.segments.items() if key[0] == version}
        try:
            reference = self._baseline(state.model, version).reference.id
        except Unusable as error:
            self._suspend(state, version, str(error))
        except Unwatched:  # Its version was removed from the registry: no route names it.
            for key in segments:
                del state.segments[key]
        except (Away, OSError, MemoryError):
            raise
        except Exception as error:  # a fault of ours in reading it
            self._suspend(state, version, f"its reference cannot be read ({type(error).__name__}: {error})")
        else:
            others = (segment.reference for segment in segments.values() if segment.reference != reference)
            if before := next(others, ""):
                why = f"it was judged by reference {before}, and has {reference} now; put the old one back, or register"
                self._suspend(state, version, f"{why} the new one as a new version")
                return False
            if self.suspended.pop((state.model, version), ""):
                log.info("judge.resumed", model=state.model, version=version)
            return True
        return False

    def _suspend(self, state: ModelState, version: str, why: str) -> None:
        state.suspended.add(version)
        if self.suspended.get((state.model, version)) != why:
            log.error("judge.suspended", model=state.model, version=version, why=why, others="go on")
        self.suspended[state.model, version] = why

    def _reference(self, message: PartialCounts | LabelSums) -> Reference | None:
        """The reference that a message was counted over; None where its version is not watched."""
        state = self.models.get(message.model)
        if state and message.version in state.suspended and not self._resume(state, message.version):
            return None
        try:
            reference = self._baseline(message.model, message.version).reference
        except Unwatched:
            return None
        if message.reference != reference.id:
            raise MisfitError(
                f"counts of {message.model} {message.version} over reference {message.reference}, "
                f"it is judged by {reference.id}; register a new reference as a new version"
            )
        return reference

    def _baseline(self, model: str, version: str) -> Baseline:
        if (model, version) not in self._baselines:
            self._baselines[model, version] = Baseline(self._catalogue(model, version))
        return self._baselines[model, version]


class MisfitError(ValueError):
    """A counts message that the judge cannot use."""


_decode = msgspec.msgpack.Decoder(CountsMessage).decode


class _Numbered(msgspec.Struct):
    format: int


def _publication(output: Output) -> Publish:
    topic, kind, name = _address(output)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", name.encode()),
        ("ce_type", f"driftline.{kind}.v1".encode()),
        ("ce_source", b"driftline/judge"),
    ]
    return Publish(topic, msgspec.json.encode(output), key=output.model.encode(), headers=headers)


def _address(output: Output) -> tuple[str, str, str]:
    """Topic, kind and id of what is told."""
    if isinstance(output, Report):
        name = f"{output.model}/{output.version}/{output.segment}/{output.window_start}/{output.revision}"
        return "reports", "report", name
    return ("alerts", "alert", output.id) if isinstance(output, Alert) else ("retraining", "order", output.id)
