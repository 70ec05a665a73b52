"""The sink: blocks of the log into rows of the store, each block once.

It is handed a block and the block's name (a token) and inserts into each table once, under ``token/table``. The same
block makes the same rows in the same order, so a block that is written again after a crash changes nothing. Which
offsets make a block, and when it is written again, is its caller's business.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec
import pyarrow as pa
import structlog

from drift.catalogue import Catalogue, Unwatched
from drift.feedback import read_labels
from drift.store import Store, ensure_observations, rows
from drift.store.client import INSERT_ROWS_MAX
from drift.store.report_rows import of_reports
from drift.store.rows import Rows
from streams import observation
from streams.block import Block
from streams.observation import FormatError, Head
from streams.records import Alert, CountsMessage, LabelSums, Order, Outcome, PartialCounts, Report

log = structlog.get_logger("drift.sink")

_T = TypeVar("_T")
_counts: Callable[[bytes], CountsMessage] = msgspec.msgpack.Decoder(CountsMessage).decode


class Sink:
    """Writes blocks into the store.

    Parameters
    ----------
    store
        Migrated. Its errors pass through: a block is written when `write` returns, else it must be written again.
    catalogue
        Finds references, to write beside the counts that they explain; None leaves them out.
    """

    #: Topics that have tables, the most urgent first: somebody waits for a verdict.
    topics: tuple[str, ...] = (
        "alerts",
        "reports",
        "retraining",
        "dead-letters",
        "counts",
        "outcomes",
        "feedback",
        "observations",
    )

    def __init__(self, store: Store, catalogue: Catalogue | None = None) -> None:
        self._store = store
        self._catalogue = catalogue
        self._made: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        self._explained: set[tuple[str, str]] = set()

    def write(self, block: Block, token: str) -> None:
        """Insert the rows of a block of one of `topics`; records that cannot be read are skipped with a warning.

        Raises
        ------
        StoreUnavailable, StoreError
            From the store; the same call may be repeated.
        SchemaConflict
            A model's feature has changed its kind, or has the name of a column of ours.
        """
        for part in self._rows(block):
            self._insert(part, f"{token}/{part.table}")

    def _insert(self, part: Rows, token: str) -> None:
        """Insert at once, or in parts of fixed size with a name each where it is too much for once."""
        n = len(next(iter(part.columns.values()), ()))
        if n <= INSERT_ROWS_MAX:
            self._store.insert(part.table, part.columns, token=token)
            return
        for start in range(0, n, INSERT_ROWS_MAX):
            cut = {name: values[start : start + INSERT_ROWS_MAX] for name, values in part.columns.items()}
            self._store.insert(part.table, cut, token=f"{token}/{start}")

    def _rows(self, block: Block) -> Iterator[Rows]:
        match block.topic:
            case "observations":
                yield from self._observations(block)
            case "counts":
                messages = _read(block, _counts)
                yield rows.of_counts([m for m in messages if isinstance(m, PartialCounts)])
                yield rows.of_label_sums([m for m in messages if isinstance(m, LabelSums)])
            case "feedback":
                said, refused = read_labels(block)
                _warn(block, [refusal.detail for refusal in refused])
                labels = [(block.offsets[one.at], one.id, one.ts, one.label) for one in said]
                yield rows.of_feedback(block.topic, block.partition, labels)
            case "outcomes":
                yield rows.of_outcomes(_read_json(block, Outcome))
            case "reports":
                yield of_reports(_read_json(block, Report))
            case "alerts":
                yield rows.of_alerts(_read_json(block, Alert))
            case "retraining":
                yield rows.of_orders(_read_json(block, Order))
            case "dead-letters":
                yield rows.of_dead_letters(block)
            case topic:
                raise ValueError(f"{topic} has no table; the sink takes {', '.join(self.topics)}")

    def _observations(self, block: Block) -> Iterator[Rows]:
        """One table a model: versions whose features differ leave what they do not have empty."""
        tables: dict[str, list[pa.Table]] = {}
        for head, batch in _read(block, observation.decode):
            if not batch.num_rows:  # a silence that was noted
                continue
            self._prepare(head, batch)
            made = rows.of_observations(head, batch)
            tables.setdefault(made.table, []).append(pa.table(made.columns))
        for table, parts in tables.items():
            whole = pa.concat_tables(parts, promote_options="default")
            yield Rows(table, dict(zip(whole.column_names, whole.columns, strict=True)))

    def _prepare(self, head: Head, batch: pa.RecordBatch) -> None:
        """Make the model's table, and write the version's reference, when they are first seen."""
        features = rows.features_of(batch)
        shape = (head.model, tuple(features))
        if shape not in self._made:
            ensure_observations(self._store, head.model, features)
            self._made.add(shape)
        version = (head.model, head.version)
        if self._catalogue is not None and version not in self._explained:
            try:
                reference = self._catalogue(*version)
            except Unwatched:
                pass  # its rows are worth keeping all the same
            else:
                name = f"{head.model}/{head.version}/{reference.id}/references"
                self._insert(rows.of_reference(*version, reference), name)
            self._explained.add(version)


def _read_json(block: Block, kind: type[_T]) -> list[_T]:
    return _read(block, msgspec.json.Decoder(kind).decode)


def _read(block: Block, decode: Callable[[bytes], _T]) -> list[_T]:
    """Read records of ours; one that cannot be read is no user's request: it is said and skipped."""
    found: list[_T] = []
    strange: list[str] = []
    for at, value in enumerate(block.values):
        try:
            found.append(decode(value or b""))
        except (msgspec.MsgspecError, UnicodeDecodeError, FormatError) as error:
            strange.append(f"{block.place(at)}: {error}")
    _warn(block, strange)
    return found


def _warn(block: Block, strange: list[str]) -> None:
    if strange:
        log.warning("records skipped", topic=block.topic, partition=block.partition, count=len(strange), one=strange[0])
