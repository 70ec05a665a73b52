"""The feature schema: the one statement of what a model's rows hold, shared by decoding and by drift cells.

A row is kept as one line of a float32 matrix, a column a feature:

=============  =======================================================  =====================
kind           cell of the matrix                                       missing
=============  =======================================================  =====================
numeric        the value                                                NaN
boolean        0 or 1                                                   NaN
categorical    the level's index in ``categories`` (K of them);         ``K + 1``
               ``K`` for a level that is not among them
=============  =======================================================  =====================

so a model can look a categorical column up in an embedding of ``K + 2`` rows.
"""

from collections import Counter
from typing import Literal

import msgspec

from streams.wire.spelling import level_text

__all__ = ["RESERVED", "Feature", "FeatureSchema", "Kind", "SchemaError", "level_text"]

Kind = Literal["numeric", "categorical", "boolean"]

#: Names of our own columns beside the features, in observations and in the store.
RESERVED = frozenset(
    """
    id ts model features version score prediction route label
    offset row batch_rows stored_at source_topic source_partition source_offset
    """.split()  # noqa: SIM905
)


class SchemaError(ValueError):
    """A feature schema that contradicts itself; the text names the feature and the remedy."""


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input of a model.

    Parameters
    ----------
    name
        As it stands in requests; any text that is not in `RESERVED`.
    kind
        ``numeric``, ``categorical`` or ``boolean``.
    required
        A request without it is a dead letter; otherwise a missing value is scored as missing and counted.
    categories
        Levels known to the model, in the order of their codes, as `level_text` spells them.
    low, high
        Plausible range of a numeric feature, both ends included; outside is a counted quality event.
    """

    name: str
    kind: Kind = "numeric"
    required: bool = False
    categories: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name in RESERVED:
            raise SchemaError(f"feature {self.name!r}: the name is taken by Driftline's own columns; rename it")
        if self.kind == "categorical" and not self.categories:
            raise SchemaError(f"feature {self.name!r}: categorical without categories; list its levels")
        if self.kind != "categorical" and self.categories:
            raise SchemaError(f"feature {self.name!r}: {self.kind} with categories; drop them or make it categorical")
        if len(set(self.categories)) != len(self.categories):
            raise SchemaError(f"feature {self.name!r}: a category stands twice; remove one")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise SchemaError(f"feature {self.name!r}: range {self.low} to {self.high} is empty; swap the ends")

    @property
    def unseen_code(self) -> int:
        """Code of a level that is not among the categories."""
        return len(self.categories)

    @property
    def null_code(self) -> int:
        """Code of a missing level."""
        return len(self.categories) + 1


class FeatureSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """The features of a model in the order of the matrix's columns.

    >>> schema = FeatureSchema((Feature("age"), Feature("city", "categorical", categories=("Rome", "Oslo"))))
    >>> schema.names, schema["city"].null_code
    (('age', 'city'), 3)
    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not self.features:
            raise SchemaError("a schema needs at least one feature")
        names = self.names
        if len(set(names)) != len(names):
            twice = Counter(names).most_common(1)[0][0]  # one pass: a schema may be a stranger's, and long
            raise SchemaError(f"feature {twice!r} stands twice; remove one")

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in column order."""
        return tuple(feature.name for feature in self.features)

    def __getitem__(self, name: str) -> Feature:
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)

    def __len__(self) -> int:
        return len(self.features)
