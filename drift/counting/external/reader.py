"""A record reader: one mapping, and what it has read of a block by it."""

import datetime as dt
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from drift.counting.external.mapping import Mapping, picked, spelled
from drift.reference.reference import Reference
from streams.formats.envelope import default_id, default_time, event_time, request_id
from streams.formats.misfit import misfit
from streams.formats.record_parts import OBJECTS
from streams.formats.request_types import convert, request_decoders
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.observation import RefusedRequest, observed
from streams.wire.records import Label
from streams.wire.refusals import Refusal, Refused
from streams.wire.rows import Gathering
from streams.wire.schema import level_text

#: Of a 64-bit number; Python refuses to read one of more than 4,300.
_DIGITS_MAX = 20


class Misfit(ValueError):
    """A mapping that leaves out what the reference needs; the text names the key."""


class RecordReader:
    """Reads records by a mapping.

    Parameters
    ----------
    mapping
        Where things are.
    reference
        What the model's predictions are compared with: its schema says what the features are. None for labels alone.

    Raises
    ------
    Misfit
        The reference has a score or a predicted class, and the mapping does not say where they are.
    """

    def __init__(self, mapping: Mapping, reference: Reference | None) -> None:
        assert (reference is not None) == mapping.predicts, mapping
        self.mapping = mapping
        self._reference = reference
        self._places: dict[str, str] = {}
        if reference is not None:
            for name, cells in (("score", reference.score), ("prediction", reference.prediction)):
                if cells is not None and not getattr(mapping, name):
                    raise Misfit(f"{name}: the reference of {mapping.model} {mapping.version} has one; say where it is")
            self._places = {name: mapping.place_of(name) for name in reference.schema.names}
            self._features = request_decoders(reference.schema).features
        self.begin()

    def begin(self) -> None:
        """Begin a block: forget what was seen."""
        self._rows = Gathering(self._reference.schema) if self._reference else None
        self._scores: list[float] = []
        self._classes: dict[str, int] = {}
        self._codes: list[int | None] = []
        self._labels: list[Publish] = []
        self.refused: list[RefusedRequest] = []

    def refuse(self, block: Block, refusal: Refusal, record: Any) -> None:
        """Remember that a record which may be meant was refused; ``record`` is None where it cannot be read.

        Parameters
        ----------
        refusal
            What is wrong, with the record's position in the block.
        record
            What the record holds; None where it cannot be read.
        """
        if self._rows is None:
            return
        at, ts = refusal.at, None
        if record is not None:
            with suppress(Refused):
                ts = self._time(block, at, record, self.mapping.ts)
        column = next((name for name, path in self._places.items() if spelled(path) == refusal.field), "")
        self.refused.append(RefusedRequest.of(block, at, ts, refusal.reason, column, refusal.names(())[1]))

    def read(self, block: Block, at: int, record: Any) -> None:
        """Look at a record.

        Parameters
        ----------
        at
            Position of the record in the block.
        record
            What the record holds, as JSON's types.

        Raises
        ------
        Refused
            Something is missing, or is none of its kind.
        """
        mapping = self.mapping
        for path, wanted in mapping.where.items():
            value = picked(record, path, block, at)
            if not isinstance(value, str | int | float) or level_text(value) != wanted:
                return
        id_ = self._id(block, at, record)
        label = self._feedback(block, at, record, id_) if mapping.label else None
        if self._rows is not None:
            self._take_prediction(self._rows, block, at, record, id_)
        elif label is None:
            raise Refused("missing_field", spelled(mapping.label), "there is no label")
        if label is not None:
            self._labels.append(label)

    def labels(self) -> list[Publish]:
        """Labels seen, for `feedback`."""
        return self._labels

    def batch(self, block: Block) -> pa.RecordBatch | None:
        """Predictions seen, as an observation; None where there were none."""
        if self._rows is None or not self._rows.at:
            return None
        rows = self._rows.rows()
        offsets = np.asarray(block.offsets, np.int64)[rows.at]
        codes = np.array([-1 if code is None else code for code in self._codes], np.int32)
        predictions = pa.array(codes, mask=codes < 0)
        with np.errstate(over="ignore"):  # beyond float32 is infinity, a cell of its own
            scores = np.array(self._scores, np.float32)
        return observed(rows, offsets, scores, predictions, tuple(self._classes), "champion")

    def _take_prediction(self, rows: Gathering, block: Block, at: int, record: Any, id_: str) -> None:
        mapping = self.mapping
        ts = self._time(block, at, record, mapping.ts)
        score = picked(record, mapping.score, block, at) if mapping.score else float("nan")
        if score is None:
            raise Refused("missing_field", spelled(mapping.score), "there is no score")
        if not isinstance(score, int | float) or isinstance(score, bool):
            got = type(score).__name__
            raise Refused("wrong_type", spelled(mapping.score), f"Expected `float`, got `{got}`", got)
        try:
            number = float(score)
        except OverflowError:
            raise Refused("impossible_value", spelled(mapping.score), "a score beyond all floats") from None
        text = self._class(picked(record, mapping.prediction, block, at)) if mapping.prediction else None
        if mapping.prediction and text is None:
            raise Refused("missing_field", spelled(mapping.prediction), "there is no prediction")
        rows.add(at, id_, ts, self._values(block, at, record))
        self._scores.append(number)
        self._codes.append(None if text is None else self._classes.setdefault(text, len(self._classes)))

    def _class(self, value: Any) -> str | None:
        """The class that was predicted, as the reference spells it; one that it does not know as it stands."""
        text = _text(value, self.mapping.prediction)
        if text is None or self._reference is None or self._reference.task == "regression":
            return text
        return self._reference.class_reader.of(text) or text

    def _values(self, block: Block, at: int, record: Any) -> tuple[Any, ...]:
        """Feature values in schema order."""
        values = {name: picked(record, path, block, at) for name, path in self._places.items()}
        present = {name: v for name, v in values.items() if v is not None}
        try:
            fitted = convert(self._features, present)
        except msgspec.ValidationError as error:
            why = misfit(self._features, present, error, OBJECTS)
            reason, field, detail = why.args
            path = spelled(self._places.get(field.removeprefix("$."), field))
            raise Refused(reason, path, detail, why.got) from None
        return msgspec.structs.astuple(fitted)

    def _id(self, block: Block, at: int, record: Any) -> str:
        path = self.mapping.id
        if not path:
            return default_id(block, at)
        value = picked(record, path, block, at)
        if value is None:
            raise Refused("missing_field", spelled(path), "there is no id")
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise Refused("impossible_id", spelled(path), f"Expected `str | int`, got `{type(value).__name__}`")
        return request_id(value, spelled(path))

    def _time(self, block: Block, at: int, record: Any, path: str) -> int:
        value = picked(record, path, block, at) if path else None
        if value is None:
            return default_time(block, at)
        if isinstance(value, dt.datetime):  # of Avro's logical types
            value = value.isoformat()
        if isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS_MAX:  # of a header
            value = int(value)
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise Refused("impossible_timestamp", spelled(path), f"{str(value)[:100]!r} is no time")
        return event_time(value, block.times[at], spelled(path))

    def _feedback(self, block: Block, at: int, record: Any, id_: str) -> Publish | None:
        """What a record says is true of the prediction; None where it does not say."""
        mapping = self.mapping
        label = _text(picked(record, mapping.label, block, at), mapping.label)
        if label is None:
            return None
        path = mapping.label_ts or ("" if mapping.predicts else mapping.ts)
        ts = self._time(block, at, record, path) if path else block.times[at]
        return Publish("feedback", msgspec.json.encode(Label(id_, label, ts)), key=id_.encode(), at=at)


def _text(value: Any, path: str) -> str | None:
    if value is None or value != value:  # NaN alone differs from itself; Avro has it.
        return None
    if not isinstance(value, str | int | float):
        got = type(value).__name__
        raise Refused("wrong_type", spelled(path), f"Expected text, number or boolean, got `{got}`", got)
    return level_text(value)
