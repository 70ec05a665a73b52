"""The store: ClickHouse, embedded or a server, spoken to in one way.

`Store` is the way in and out, over `clickhouse-driver` alone; where it leads is one setting (`StoreSettings`).
`migrate` brings a database to this version's schema, and `ensure_observations` makes the wide table of a model.
`rows` and `report_rows` say which table and columns each record of the log becomes. The embedded ClickHouse, which
a process of its own serves, is in `drift.store.server`.

Tables: ``observations_MODEL`` (a row a prediction, a column a feature), ``predictions`` (all of them, the columns
they have in common) and ``predictions_by_id``; ``feedback`` and ``outcomes``; ``counts`` and ``label_counts``
(sums by minute; written through ``counts_in`` and ``label_counts_in``); ``reports`` (written through
``report_rows``), ``alerts``, ``retraining``; ``references`` and ``dead_letters``.
"""

from drift.store.client import Store, StoreError, StoreUnavailable
from drift.store.migrate import SchemaConflict, column_types, ensure_observations, migrate, observations_table
from drift.store.settings import StoreSettings

__all__ = [
    "SchemaConflict",
    "Store",
    "StoreError",
    "StoreSettings",
    "StoreUnavailable",
    "column_types",
    "ensure_observations",
    "migrate",
    "observations_table",
]
