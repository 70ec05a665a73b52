"""Records of the log into rows of the store, or into refusals: whatever anybody wrote to a topic.

A pure and total function of the records: the same block makes the same rows and the same refusals, so a block that is
committed again after a crash leaves out the same records. It asks the store for nothing but the types of columns.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from drift.labels.feedback import read_labels
from drift.store import rows, spans
from drift.store.report_rows import of_reports
from drift.store.rows import Rows
from streams.formats.misfit import misfit
from streams.formats.record_parts import OBJECTS
from streams.runtime.taken_again import again_place
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.dead_letters import is_mark, letter_at
from streams.wire.records import FORMAT, Alert, CountsMessage, LabelSums, Order, Outcome, PartialCounts, Report
from streams.wire.refusals import Refusal, Refused

#: The type of each column of a table, by the table's name.
Types = Callable[[str], Mapping[str, str]]
#: A record, and its place in the block.
Kept = list[tuple[int, Any]]


class Form(NamedTuple):
    """How the records of a topic are read, and which rows they are; both raise for a record at fault."""

    read: Callable[[Block, int], Any]
    rows: Callable[[Sequence[Any]], list[Rows]]


def read(block: Block) -> tuple[Kept, list[Refusal]]:
    """Read the records of a block: those that have rows, and those that are at fault.

    What the join refuses of `feedback` is left out: it is the join's dead letter already, and one is enough.
    """
    form, kept, refused = FORMS[block.topic], [], []
    for at in range(len(block)):
        try:
            record = form.read(block, at)
        except MemoryError:
            raise
        except Exception as error:
            refused.append(_refusal(at, error, "undecodable"))
            continue
        if record is not None:
            kept.append((at, record))
    return kept, refused


def fitting(topic: str, kept: Kept, types: Types) -> tuple[list[Rows], list[Refusal]]:
    """Make rows of records, all at once; where that fails, those at fault are found by halves.

    Parameters
    ----------
    topic
        The topic they come from, which decides the table.
    kept
        Records with their positions in the block.
    types
        Types of the tables' columns.
    """
    rows_of = FORMS[topic].rows
    made = _made(rows_of, [record for _, record in kept], types)
    if not isinstance(made, Exception):
        return made, []
    refused = _at_fault(rows_of, kept, types, made)
    wrong = {refusal.at for refusal in refused}
    return rows_of([record for at, record in kept if at not in wrong]), refused


def _at_fault(
    rows_of: Callable[[Sequence[Any]], list[Rows]], kept: Kept, types: Types, error: Exception
) -> list[Refusal]:
    """Those of some records that cannot be rows, which together cannot because of ``error``."""
    if len(kept) == 1:
        return [_refusal(kept[0][0], error, "impossible_value")]
    refused = []
    for half in (kept[: len(kept) // 2], kept[len(kept) // 2 :]):
        made = _made(rows_of, [record for _, record in half], types)
        if isinstance(made, Exception):
            refused += _at_fault(rows_of, half, types, made)
    return refused


def _made(
    rows_of: Callable[[Sequence[Any]], list[Rows]], records: Sequence[Any], types: Types
) -> list[Rows] | Exception:
    """Rows of records, or why they cannot be rows."""
    try:
        made = rows_of(records)
    except MemoryError:
        raise
    except Exception as error:
        return error
    for part in made:
        if (why := spans.outside(types(part.table), part.columns)) is not None:
            return Refused("impossible_value", "$", f"{part.table}: {why}")
    return made


def _refusal(at: int, error: Exception, reason: Any) -> Refusal:
    """What a failure says of a record."""
    if isinstance(error, observation.UnknownFormat):
        error = Refused("unknown_format", "$.format", str(error))
    if isinstance(error, Refused):
        return Refusal(at, *error.args)
    return Refusal(at, reason, "$", f"{type(error).__name__}: {error}"[:500])


def _decoded(decoder: Any) -> Callable[[Block, int], Any]:
    """Read values by a decoder of msgspec's."""

    def of(block: Block, at: int) -> Any:
        value = block.values[at]
        if not value:
            raise Refused("empty", "$", "the record has no value")
        try:
            record = decoder.decode(value)
        except msgspec.ValidationError as error:
            raise _misfit(decoder, value, error) from None
        if record.format != FORMAT:
            raise Refused("unknown_format", "$.format", f"format {record.format}, this version reads {FORMAT}")
        return record

    return of


def _misfit(decoder: Any, value: bytes, error: msgspec.ValidationError) -> Refused:
    if isinstance(decoder, msgspec.json.Decoder):
        return misfit(decoder, value, error)
    return misfit(decoder, msgspec.msgpack.decode(value), error, OBJECTS)


def _observation(block: Block, at: int) -> Any:
    value = block.values[at]
    if not value:
        raise Refused("empty", "$", "the record has no value")
    head, batch = observation.decode(value)
    return (head, batch) if batch.num_rows else None  # else a silence that was noted, or refusals alone


def _label(block: Block, at: int) -> Any:
    labels, _ = read_labels(block[at : at + 1])
    return (block.topic, block.partition, block.offsets[at], labels[0]) if labels else None


def _letter(block: Block, at: int) -> Any:
    if is_mark(block.headers[at]) or again_place(block.headers[at]) is not None:
        return None
    letter = letter_at(block, at)
    if letter is None:
        raise Refused("undecodable", "headers", f"no dead letter of ours: {block.topic} is written by our steps alone")
    return letter


def _label_rows(records: Sequence[Any]) -> list[Rows]:
    topic, partition = records[0][:2] if records else ("", 0)
    labels = [(offset, label.id, label.ts, label.label) for _, _, offset, label in records]
    return [rows.of_feedback(topic, partition, labels)]


def _count_rows(records: Sequence[Any]) -> list[Rows]:
    """Idle flags, routes and acts have no rows."""
    partial = rows.of_counts([record for record in records if isinstance(record, PartialCounts)])
    return [partial, rows.of_label_sums([record for record in records if isinstance(record, LabelSums)])]


def _observation_rows(records: Sequence[Any]) -> list[Rows]:
    """One table a model: versions whose features differ leave what they do not have empty."""
    tables: dict[str, list[pa.Table]] = {}
    for head, batch in records:
        made = rows.of_observations(head, batch)
        tables.setdefault(made.table, []).append(pa.table(made.columns))
    wholes = {name: pa.concat_tables(parts, promote_options="default") for name, parts in tables.items()}
    return [Rows(name, dict(zip(whole.column_names, whole.columns, strict=True))) for name, whole in wholes.items()]


def _one_table(rows_of: Callable[[Sequence[Any]], Rows]) -> Callable[[Sequence[Any]], list[Rows]]:
    return lambda records: [rows_of(records)]


def _json(kind: type[msgspec.Struct]) -> Callable[[Block, int], Any]:
    return _decoded(msgspec.json.Decoder(kind))


#: Topics that have tables, the most urgent first: somebody waits for a verdict.
FORMS: dict[str, Form] = {
    "alerts": Form(_json(Alert), _one_table(rows.of_alerts)),
    "reports": Form(_json(Report), _one_table(of_reports)),
    "retraining": Form(_json(Order), _one_table(rows.of_orders)),
    "dead-letters": Form(_letter, _one_table(rows.of_dead_letters)),
    "counts": Form(_decoded(msgspec.msgpack.Decoder(CountsMessage)), _count_rows),
    "outcomes": Form(_json(Outcome), _one_table(rows.of_outcomes)),
    "feedback": Form(_label, _label_rows),
    "observations": Form(_observation, _observation_rows),
}
