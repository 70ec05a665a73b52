"""The embedded ClickHouse: chdb behind the native protocol, so that drivers need not know it is embedded.

One process owns the directory, and `clickhouse-driver`, Grafana's plugin or any native client talks to it on
loopback as to a server, with the password of one of its two users. Read along a query's way: `wire` has bytes and
varints, `frames` compression, `packets` and `answers` the conversation, `layouts`, `columns` and `blocks` how rows
lie; `peer` is a client, `session` its visit within its `limits`, `statements` what it asks, `rights` and `gate` what it
may, `execute` how that is done, `results` what comes of it, `cancellation` how it is called off; `engine` is chdb with
its traps fenced in, `server` the listener, `process` the body of ``driftline store``, `child` that as a child.

Nothing here imports chdb until a server starts.
"""

from drift.store.server.child import StoreProcess
from drift.store.server.engine import EngineError
from drift.store.server.limits import Limits
from drift.store.server.process import serve
from drift.store.server.server import StoreServer

__all__ = ["EngineError", "Limits", "StoreProcess", "StoreServer", "serve"]
