"""The sink: blocks of the log into rows of the store, each block once.

It makes a block ready, which parts its records into rows and dead letters, and then inserts into each table once, under
``token/table``. The same block makes the same rows in the same order, so a block that is written again after a crash
changes nothing. Which offsets make a block, and when it is written again, is its caller's business.

A record at fault is set aside alone: of a model whose features contradict its table, the records that do, and no
others. A store that does not answer is waited for, and nothing is set aside for it.
"""

import math
from collections.abc import Mapping

import msgspec
import structlog

from drift.reference.catalogue import Catalogue, Unwatched
from drift.store import (
    SchemaConflict,
    Store,
    StoreError,
    StoreUnavailable,
    column_types,
    ensure_observations,
    observations_table,
    rows,
)
from drift.store.client import INSERT_ROWS_MAX
from drift.store.conversion import FORMS, Kept, fitting, read
from drift.store.rows import Rows
from streams.away import Away
from streams.clock import ticks_ms
from streams.names import NameRefused, check_name
from streams.runtime.set_aside import SetAside, letters_of
from streams.runtime.taken_again import taken_again
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.observation import Head
from streams.wire.refusals import Refusal

log = structlog.get_logger("drift.store.sink")

STEP = "sink"
#: A registry that does not answer is asked again for a reference after so long: rows do not wait for it.
_AWAY_MS = 60_000
#: A model's name, and names and kinds of its features.
_Shape = tuple[str, tuple[tuple[str, str], ...]]


class Sink:
    """Writes blocks into the store.

    Parameters
    ----------
    store
        Migrated. Its errors pass through: a block is written when `Ready.write` returns, else it must be again.
    catalogue
        Finds references, to write beside the counts that they explain; None leaves them out.
    set_aside
        Told what can never be stored.
    """

    #: Topics that have tables, the most urgent first.
    topics: tuple[str, ...] = tuple(FORMS)

    def __init__(self, store: Store, catalogue: Catalogue | None = None, set_aside: SetAside | None = None) -> None:
        self.set_aside = set_aside or SetAside(STEP)
        self._store = store
        self._catalogue = catalogue
        self._types: dict[str, Mapping[str, str]] = {}
        self._made: set[_Shape] = set()
        self._explained: dict[tuple[str, str], float] = {}

    def prepare(self, block: Block) -> "Ready":
        """Make a block of one of `topics` ready to be written.

        Raises
        ------
        StoreUnavailable, StoreError
            A table has to be made or looked at, and the store does not answer; the same call may be repeated.
        """
        if block.topic not in FORMS:
            raise ValueError(f"{block.topic} has no table; the sink takes {', '.join(self.topics)}")
        parts, refused = self._convert(block)
        ready = Ready(self, [("", part) for part in parts], [(block, range(len(block)), refused)])
        if block.topic == "dead-letters":
            for places, again in taken_again(block):
                parts, refused = self._convert(again)
                ready.parts += [(f"/{block.offsets[places[0]]}", part) for part in parts]
                ready.aside.append((again, places, refused))
        return ready

    def insert(self, part: Rows, token: str) -> None:
        """Insert at once, or in parts of fixed size with a name each where it is too much for once."""
        n = len(next(iter(part.columns.values()), ()))
        if n <= INSERT_ROWS_MAX:
            self._store.insert(part.table, part.columns, token=token)
            return
        for start in range(0, n, INSERT_ROWS_MAX):
            cut = {name: values[start : start + INSERT_ROWS_MAX] for name, values in part.columns.items()}
            self._store.insert(part.table, cut, token=f"{token}/{start}")

    def _convert(self, block: Block) -> tuple[list[Rows], list[Refusal]]:
        kept, refused = read(block)
        if block.topic == "observations":
            kept, contradicting = self._in_tables(kept)
            refused += contradicting
        parts, misfits = fitting(block.topic, kept, self._types_of)
        return parts, sorted(refused + misfits, key=lambda refusal: refusal.at)

    def _types_of(self, table: str) -> Mapping[str, str]:
        if table not in self._types:
            self._types[table] = column_types(self._store, table)
        return self._types[table]

    def _in_tables(self, kept: Kept) -> tuple[Kept, list[Refusal]]:
        """Make the tables of models that are first seen; parts the records that fit theirs from the others.

        Columns are only ever added, so a record that fits fits for good: a repeated block sets the same ones aside.
        """
        fit: Kept = []
        refused: list[Refusal] = []
        conflicts: dict[_Shape, str] = {}  # of this block alone: a table that was mended is seen by the next one
        for at, (head, batch) in kept:
            shape = (head.model, tuple(rows.features_of(batch)))
            if shape not in self._made and shape not in conflicts:
                conflicts |= self._make_table(shape)
            if shape in conflicts:
                refused.append(Refusal(at, "schema_conflict", "$", conflicts[shape], head.model))
                continue
            self._explain(head)
            fit.append((at, (head, batch)))
        return fit, refused

    def _make_table(self, shape: _Shape) -> dict[_Shape, str]:
        """Make a model's table, or the columns that it lacks; says why it cannot have them."""
        model, features = shape
        try:
            check_name("model", model)
            for name, _ in features:
                check_name("column", name)
            ensure_observations(self._store, model, features)
        except (SchemaConflict, NameRefused) as error:
            return {shape: str(error)}
        self._types.pop(observations_table(model), None)
        self._made.add(shape)
        return {}

    def _explain(self, head: Head) -> None:
        """Write a version's reference when it is first seen; rows are worth keeping without one, too."""
        version = (head.model, head.version)
        if self._catalogue is None or self._explained.get(version, -math.inf) > ticks_ms():
            return
        self._explained[version] = math.inf
        try:
            reference = self._catalogue(*version)
            self.insert(
                rows.of_reference(*version, reference), f"{head.model}/{head.version}/{reference.id}/references"
            )
        except Unwatched:
            pass
        except Away:
            self._explained[version] = ticks_ms() + _AWAY_MS
        except (StoreUnavailable, StoreError):
            del self._explained[version]
            raise
        except Exception as error:
            log.warning("reference not stored", model=head.model, version=head.version, why=str(error))


class Ready:
    """A block made ready: rows by table, and what is set aside (`streams.runtime.intents.Prepared`)."""

    def __init__(
        self, sink: Sink, parts: list[tuple[str, Rows]], aside: list[tuple[Block, "range | list[int]", list[Refusal]]]
    ) -> None:
        self.parts = parts
        self.aside = aside
        self._sink = sink

    @property
    def letters(self) -> list[Publish]:
        """Dead letters of what can never be stored, in the order of the block."""
        return sorted(
            (
                msgspec.structs.replace(letter, at=places[letter.at or 0])
                for block, places, refused in self.aside
                for letter in letters_of(block, refused, STEP)
            ),
            key=lambda letter: letter.at or 0,
        )

    def write(self, token: str) -> None:
        """Insert the rows, each table's under a token of its own; what was inserted before is not inserted again.

        Raises
        ------
        StoreUnavailable, StoreError
            From the store; the same call may be repeated.
        """
        for suffix, part in self.parts:
            self._sink.insert(part, f"{token}{suffix}/{part.table}")

    def tell(self) -> None:
        """Count and log what is set aside."""
        for block, _, refused in self.aside:
            self._sink.set_aside.tell(block, refused)
