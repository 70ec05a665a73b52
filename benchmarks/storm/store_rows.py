"""What ClickHouse holds, asked with a plain client."""

import logging
from collections import Counter
from pathlib import Path

from clickhouse_driver import Client

from benchmarks.storm.checks import Rows

# It logs a trace for each refused connection, which a storm is full of.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)

_AS_READER = {"user": "reader", "database": "driftline", "send_receive_timeout": 30}
_LABELS = "SELECT id, label, toInt64(sum(sign)) FROM outcomes GROUP BY id, label"


def read_store(address: str, folder: Path) -> Rows:
    """Read all rows.

    Parameters
    ----------
    address
        ``host:port`` of the native protocol.
    folder
        The embedded store's, where its passwords lie.
    """
    password = (folder / "reader.password").read_text().strip()
    host, _, port = address.rpartition(":")
    with Client(host, int(port), **_AS_READER, password=password) as client:
        predictions = Counter(dict(client.execute("SELECT id, toInt64(count()) FROM predictions GROUP BY id")))
        ((counted,),) = client.execute("SELECT sum(rows) FROM counts WHERE segment = ''")
        labels = Counter({(id_, label): n for id_, label, n in client.execute(_LABELS)})
    return Rows(predictions, int(counted), labels)
