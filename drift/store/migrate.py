"""Bring a database to this version's schema: numbered files, applied in order, again without harm."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec

from drift.store.client import Store, StoreError, quote
from drift.store.flavours import insert_table, model_file, on_cluster, schema_files, statements
from drift.store.settings import StoreSettings

_TYPES = {"numeric": "Float32", "boolean": "Nullable(Bool)", "categorical": "LowCardinality(Nullable(String))"}


class SchemaConflict(Exception):
    """What the database holds contradicts what is asked; the text says where and what to do."""


def migrate(settings: StoreSettings) -> list[str]:
    """Create the database and apply the files that it lacks; returns their names.

    Every statement says IF NOT EXISTS, so several processes may do this at once, and one that died is repeated.

    Raises
    ------
    SchemaConflict
        A file that was applied has been edited since.
    """
    server = Store(msgspec.structs.replace(settings, database=""))
    server.rows(f"CREATE DATABASE IF NOT EXISTS {quote(settings.database)} {on_cluster(settings)}")
    server.close()
    store = Store(settings)
    applied: list[str] = []
    (versions, first), *rest = schema_files()
    _apply(store, first)
    known = dict(store.rows("SELECT name, argMax(sha256, applied_at) FROM schema_versions GROUP BY name"))
    for name, text in [(versions, first), *rest]:
        digest = sha256(text.encode()).hexdigest()
        if known.get(name) == digest:
            continue
        if name in known:
            raise SchemaConflict(f"{name} was edited after {settings.database} had applied it; add a new file instead")
        _apply(store, text)
        store.insert("schema_versions", {"name": [name], "sha256": [digest]})
        applied.append(name)
    store.close()
    return applied


def observations_table(model: str) -> str:
    """Name of a model's wide table.

    >>> observations_table("fraud-eu")
    'observations_fraud-eu'
    """
    return f"observations_{model}"


def ensure_observations(store: Store, model: str, features: Sequence[tuple[str, str]]) -> None:
    """Make a model's wide table, or add the columns that it lacks.

    Parameters
    ----------
    features
        Name and kind (``numeric``, ``categorical``, ``boolean``) of each feature.

    Raises
    ------
    SchemaConflict
        A feature has the name of a column of ours, or was of another kind in an earlier version.
    """
    table = observations_table(model)
    local = insert_table(store.settings, table)
    view = insert_table(store.settings, f"predictions_by_id_from_{model}")
    for statement in statements(model_file(), store.settings, local_table=quote(local), local_view=quote(view)):
        store.rows(statement)
    reserved = column_types(store, "predictions").keys() | {"stored_at"}
    if taken := next((name for name, _ in features if name in reserved), None):
        raise SchemaConflict(f"feature {taken!r} of {model} has the name of a column of ours; rename it")
    missing = _missing(column_types(store, local), model, features)
    if missing:
        for altered in dict.fromkeys((local, table)):
            store.rows(f"ALTER TABLE {quote(altered)} {on_cluster(store.settings)} {', '.join(missing)}")
        _missing(column_types(store, local), model, features)  # another process may have added them as another kind


def _missing(have: Mapping[str, str], model: str, features: Sequence[tuple[str, str]]) -> list[str]:
    """What adds the columns that a model's table lacks.

    Raises
    ------
    SchemaConflict
        It has one of them as another kind.
    """
    for name, kind in features:
        if have.get(name, _TYPES[kind]) != _TYPES[kind]:
            raise SchemaConflict(
                f"feature {name!r} of {model} is {kind} now and {have[name]} in {observations_table(model)}; give it "
                "another name"
            )
    absent = [(name, _TYPES[kind]) for name, kind in features if name not in have]
    return [f"ADD COLUMN IF NOT EXISTS {quote(name)} {kind} CODEC(ZSTD(1))" for name, kind in absent]


def column_types(store: Store, table: str) -> dict[str, str]:
    """ClickHouse's type of each column of a table."""
    return {row[0]: row[1] for row in store.rows(f"DESCRIBE TABLE {quote(table)}")}


def _apply(store: Store, text: str) -> None:
    for statement in statements(text, store.settings):
        try:
            store.rows(statement)
        except StoreError as error:
            raise StoreError(error.code, f"{error}\nwhile applying:\n{statement}") from error
