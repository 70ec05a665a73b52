"""The reference: a frozen profile of the data that a model was trained on.

It holds cells, counts and a few numbers a column, never rows. Everything later is compared with it, so it is
immutable, and its id is a hash of its content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

from drift.cells import frames
from drift.cells.frames import Frame
from drift.cells.profile import Order, Profile, Task
from streams.wire.schema import FeatureSchema, Kind


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Reference(Profile):
    """A frozen profile: make one with `Reference.fit`."""

    @classmethod
    def from_profile(cls, profile: Profile) -> "Reference":
        """Make the reference that knows what a profile knows."""
        return cls(**{known.name: getattr(profile, known.name) for known in fields(Profile)})

    @classmethod
    def fit(
        cls,
        frame: Frame,
        *,
        task: Task | None = None,
        score: str | None = None,
        prediction: str | None = None,
        label: str | None = None,
        features: Sequence[str] | FeatureSchema | None = None,
        exclude: Sequence[str] = (),
        segments: Sequence[str] = (),
        kinds: Mapping[str, Kind] | None = None,
        positive: str | float | bool | None = None,
        classes: Sequence[str] = (),
        time: str | None = None,
        order: Order | None = None,
        holdout: Frame | None = None,
        in_sample: bool = False,
    ) -> "Reference":
        """Profile a table: pandas, Arrow, the path of a Parquet or CSV file, or of a folder of Parquet files, or a
        table that stays in its store (`drift.store.table.StoreTable`).

        Parquet is read a column at a time, and a store profiles its features by itself, so the table may be larger
        than memory; the reference is the same to the bit.

        Parameters
        ----------
        task
            ``binary``, ``multiclass``, ``regression`` or None.
        score, prediction, label
            Columns with the model's score (probability or value), its predicted class, and the truth.
        features
            Feature columns, or a whole schema; None takes every column that has no other part to play.
        exclude
            Columns to leave out: identifiers, times.
        segments
            Categorical features whose levels are watched apart.
        kinds
            Kinds that would be inferred wrongly. Inferred: text and categories are categorical, true/false is boolean,
            numbers are numeric, whatever table they come from; segments are never numeric.
        positive
            The class that ``score`` is the probability of. By default the predicted class with the higher scores, else
            the labelled class that has them, else the last one in order; a note says which and why.
        classes
            All classes, as the model spells them; by default those of the table, as predictions spell them, else as
            labels do. Labels that name none of them are no labels (`streams.wire.classes` says what names one).
        time
            Column of event times: rows are sorted by it, and it is no feature. How much rows that lie near each other
            in time have in common is read off that order, so name it wherever there is one.
        order
            ``"file"``: the rows stand in order although a column of times says otherwise; ``"unknown"``: they were
            mixed, and the stream is to show how much windows differ. None finds out by the columns of times.
        holdout
            Rows that the model has not learnt from, with its score, prediction and label: a table as ``frame``. Scores,
            predictions and performance are then those of these rows, and ``frame`` need not have them.
        in_sample
            The model has learnt from the rows of ``frame``, and there are no others: its scores and its performance on
            them are kept and judge nothing. By default the scores are taken to be of rows that it has not learnt from;
            where they look too good for that, a note says so.

        Raises
        ------
        FrameError, SchemaError
            The table lacks a column, holds no row, or contradicts itself.

        >>> import pandas as pd
        >>> ref = Reference.fit(pd.DataFrame({"age": [31.5, 45.2, 18.0], "city": ["Rome", "Oslo", None]}))
        >>> [(c.name, c.kind, c.size) for c in ref.columns], ref.rows
        ([('age', 'numeric', 10), ('city', 'categorical', 4)], 3)
        """
        from drift.reference import fit, row_order
        from drift.reference.fit_outputs import Parts

        parts = Parts(
            task=task,
            score=score,
            prediction=prediction,
            label=label,
            exclude=(*exclude, *([time] if time else ())),
            segments=tuple(segments),
            kinds=dict(kinds or {}),
            positive=positive,
            classes=tuple(classes),
            in_sample=in_sample,
        )
        named = features.names if isinstance(features, FeatureSchema) else features or ()
        if time is not None and time in (*named, *parts.named):
            raise frames.FrameError(f"{time!r} orders the rows, so it is no feature; name another column as time=")
        if holdout is not None and in_sample:
            raise frames.FrameError("holdout= has rows that the model has not learnt from; leave in_sample out")
        kinds_known = fit.kinds_of(parts, features)
        rows = row_order.ordered_rows(frames.scan(frame, kinds_known), time, order)
        held_out = None
        if holdout is not None:
            scanned = frames.scan(holdout, kinds_known)
            has_time = time is not None and time in scanned.column_names
            held_out = row_order.ordered_rows(scanned, time if has_time else None, order).table
        fitted = fit.fit(rows.table, parts, features, held_out)
        notes_of_order = tuple(filter(None, [rows.note]))
        warnings = (*(notes_of_order if rows.order == "unknown" else ()), *fitted.warnings)
        profile = replace(fitted, order=rows.order, notes=(*notes_of_order, *fitted.notes), warnings=warnings)
        return cls.from_profile(profile)

    def __repr__(self) -> str:
        from drift.reference.text import summary

        return summary(self, self.id)

    @classmethod
    def from_bytes(cls, blob: bytes) -> "Reference":
        """Read what `to_bytes` wrote (``reference.arrow`` of a model package)."""
        from drift.reference import file as reference_file

        return cls.from_profile(reference_file.decode(blob))

    @classmethod
    def from_file(cls, path: Path | str) -> "Reference":
        """Read a file of what `to_bytes` wrote, such as the ``reference.arrow`` of a package.

        Raises
        ------
        drift.reference.file.NoReference
            It is none, or larger than one may be; the text names the file.
        OSError
            It cannot be read.
        """
        from drift.reference import file as reference_file

        return cls.from_profile(reference_file.read_file(Path(path)))

    def to_bytes(self) -> bytes:
        """Write the reference as an Arrow file, a row a column."""
        from drift.reference import file as reference_file

        return reference_file.encode(self)

    @cached_property
    def id(self) -> str:
        """Hash of the content, 32 hexadecimal digits."""
        from drift.reference import file as reference_file

        return reference_file.digest(self)
