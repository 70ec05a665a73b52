"""One decoding for all versions of a model: the union of their inputs, and each version's view of it.

A newer version may know more levels, or take other features. Requests are decoded once, by the union; every
version then gets the columns and the codes that it was trained on.

>>> old = FeatureSchema((Feature("city", "categorical", categories=("Rome",)), Feature("age")))
>>> new = FeatureSchema((Feature("age"), Feature("city", "categorical", categories=("Oslo", "Rome"))))
>>> both = union([old, new])
>>> both["city"].categories
('Rome', 'Oslo')
>>> view = Projection(both, new)
>>> matrix = np.array([[0, 41], [1, 7], [2, 8]], np.float32)
>>> zeros = np.zeros(3, np.int64)
>>> rows = view(Rows(both, matrix, {0: {2: "Bari"}}, ["a", "b", "c"], zeros, zeros, zeros))
>>> rows.matrix.tolist(), rows.unseen
([[41.0, 1.0], [7.0, 0.0], [8.0, 2.0]], {1: {2: 'Bari'}})
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from streams.wire.rows import Rows
from streams.wire.schema import Feature, FeatureSchema, SchemaError


def union(schemas: Sequence[FeatureSchema], answering: int | None = None) -> FeatureSchema:
    """The inputs of several versions as one schema.

    What all versions that answer require is required of every request. What only some of them do, a canary say, is
    required of the requests that those answer: see `Projection.lacking`.

    Parameters
    ----------
    answering
        How many of them, from the first, answer requests; a shadow must not turn a good request into a dead letter. All
        when absent.
    """
    answer = schemas[:answering]
    merged: dict[str, Feature] = {}
    for schema in schemas:
        for feature in schema.features:
            needed = all(
                feature.name in answering_schema.names and answering_schema[feature.name].required
                for answering_schema in answer
            )
            widened = msgspec.structs.replace(feature, required=needed)
            merged[widened.name] = _merge(merged[widened.name], widened) if widened.name in merged else widened
    return FeatureSchema(tuple(merged.values()))


def _merge(ours: Feature, theirs: Feature) -> Feature:
    if ours.kind != theirs.kind:
        raise SchemaError(
            f"feature {ours.name!r} is {ours.kind} in one version and {theirs.kind} in another; "
            "requests can hold only one"
        )
    return msgspec.structs.replace(ours, categories=tuple(dict.fromkeys((*ours.categories, *theirs.categories))))


class Projection:
    """The view that a version has of rows decoded by a union of schemas."""

    def __init__(self, whole: FeatureSchema, narrow: FeatureSchema) -> None:
        self._schema = narrow
        self._columns = np.array([whole.names.index(name) for name in narrow.names])
        self._tables: dict[int, np.ndarray] = {}
        self._texts: dict[int, dict[int, str]] = {}
        for j, feature in enumerate(narrow.features):
            if feature.kind == "categorical":
                self._map(j, whole[feature.name], feature)
        self._needed = [f.name for f in narrow.features if f.required and not whole[f.name].required]
        straight = np.array_equal(self._columns, np.arange(len(whole)))
        self._same = straight and not self._tables

    def _map(self, j: int, wide: Feature, narrow: Feature) -> None:
        """Note which codes of the union mean something else to this version."""
        if wide.categories == narrow.categories:
            return
        own_code = {level: code for code, level in enumerate(narrow.categories)}
        codes = [own_code.get(level, narrow.unseen_code) for level in wide.categories]
        self._tables[j] = np.array([*codes, narrow.unseen_code, narrow.null_code], np.float32)
        self._texts[j] = {code: level for code, level in enumerate(wide.categories) if level not in own_code}

    def lacking(self, rows: Rows) -> Iterator[tuple[int, str]]:
        """Rows, by position, that lack what this version requires and others do not, each with the first such name."""
        for n in range(len(rows)) if self._needed else ():
            for name in self._needed:
                feature = rows.schema[name]
                value = rows.matrix[n, rows.schema.names.index(name)]
                if value == feature.null_code if feature.kind == "categorical" else np.isnan(value):
                    yield n, name
                    break

    def __call__(self, rows: Rows) -> Rows:
        """Turn rows decoded by the union into the version's own."""
        if self._same:
            return rows
        matrix = rows.matrix[:, self._columns]
        unseen = {j: dict(rows.unseen[c]) for j, c in enumerate(self._columns) if rows.unseen.get(c)}
        for j, table in self._tables.items():
            wide = matrix[:, j].astype(np.int64)
            matrix[:, j] = table[wide]
            for code, text in self._texts[j].items():
                for n in np.flatnonzero(wide == code):
                    unseen.setdefault(j, {})[int(n)] = text
        return msgspec.structs.replace(rows, schema=self._schema, matrix=matrix, unseen=unseen)
