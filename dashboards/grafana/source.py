"""The ClickHouse data source that dashboards and rules ask: where it is, as Grafana's plugin reads it."""

import msgspec

from dashboards.grafana.classic import DATASOURCE
from dashboards.grafana.drawings import DATASOURCE_TYPE, Json


class Source(msgspec.Struct, frozen=True):
    """Where the statistics are, as Grafana reaches them. By default what provisioning finds in its environment.

    The password is a reference that Grafana resolves: a variable of its environment, or ``$__file{PATH}``.
    """

    host: str = "$CLICKHOUSE_HOST"
    port: int = 9000
    user: str = "$CLICKHOUSE_USER"
    database: str = "$CLICKHOUSE_DATABASE"
    secure: bool = False
    password: str = "$CLICKHOUSE_PASSWORD"  # noqa: S105  (a reference)


def datasource(source: Source, password: str, uid: str = DATASOURCE) -> Json:
    """The data source for provisioning, and for ``/api/datasources``.

    Parameters
    ----------
    source
        Where ClickHouse is, as Grafana reaches it.
    password
        Of its user.
    uid
        What panels and rules call it.
    """
    return {
        "name": "Driftline",
        "uid": uid,
        "type": DATASOURCE_TYPE,
        "access": "proxy",
        "editable": False,
        "jsonData": {
            "host": source.host,
            "port": source.port,
            "protocol": "native",
            "secure": source.secure,
            "username": source.user,
            "defaultDatabase": source.database,
        },
        "secureJsonData": {"password": password},
    }
