"""One schema, three flavours: what changes between an embedded store, a server and a cluster of them.

The files in `schema/` are `string.Template`s. In a cluster every table lies on each shard as ``local_NAME``, where
inserts go, and is read through a Distributed table NAME; elsewhere NAME is the table itself.
"""

import re
from importlib.resources import files
from string import Template

from drift.store.settings import StoreSettings

#: How many inserts a table remembers, to know one that is repeated; and for how long, on replicated tables.
DEDUPLICATION_INSERTS = 10_000
DEDUPLICATION_S = 7 * 86_400
#: With less room than this the embedded store refuses inserts: when a disk fills up while ClickHouse 26.9 writes, it
#: cuts files short and says that all went well.
FREE_BYTES_MIN = 268_435_456
_LOCAL_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (`?local_\S+)")


def schema_files() -> list[tuple[str, str]]:
    """Name and text of each numbered file, in order."""
    folder = files("drift.store") / "schema"
    return [(f.name, f.read_text("utf-8")) for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.is_file()]


def model_file() -> str:
    """Text of the file that makes one model's observations table."""
    return (files("drift.store") / "schema" / "model" / "observations.sql").read_text("utf-8")


def statements(text: str, settings: StoreSettings, **names: str) -> list[str]:
    """Render a file and cut it into statements.

    >>> store = StoreSettings(flavour="cluster", cluster="c", database="d")
    >>> made = statements("CREATE TABLE IF NOT EXISTS ${local}t ${on_cluster} (n Int8) ENGINE = Null;", store)
    >>> print(*made, sep="\\n")
    CREATE TABLE IF NOT EXISTS local_t ON CLUSTER `c` (n Int8) ENGINE = Null
    CREATE TABLE IF NOT EXISTS t ON CLUSTER `c` AS local_t ENGINE = Distributed('c', currentDatabase(), local_t)
    """
    rendered = Template(text).substitute(_words(settings), **names)
    made = []
    for statement in re.split(r";\s*$", rendered, flags=re.MULTILINE):
        if statement.strip():
            made.append(statement.strip())
            if settings.cluster and (match := _LOCAL_TABLE.search(statement)):
                made.append(_distributed(match[1], settings.cluster))
    return made


def insert_table(settings: StoreSettings, table: str) -> str:
    """Name of the table that inserts go to."""
    return f"local_{table}" if settings.cluster else table


def on_cluster(settings: StoreSettings) -> str:
    """The clause that makes a definition hold on every server."""
    return f"ON CLUSTER `{settings.cluster}`" if settings.cluster else ""


def _words(settings: StoreSettings) -> dict[str, str]:
    window = "replicated_deduplication_window" if settings.cluster else "non_replicated_deduplication_window"
    remembered = f"{window} = {DEDUPLICATION_INSERTS}"
    if settings.cluster:
        remembered += f", replicated_deduplication_window_seconds = {DEDUPLICATION_S}"
    if settings.flavour == "embedded":  # elsewhere it is the server's own affair, and older ones know no such setting
        remembered += f", min_free_disk_bytes_to_perform_insert = {FREE_BYTES_MIN}"
    return {
        "local": insert_table(settings, ""),
        "on_cluster": on_cluster(settings),
        "replicated": "Replicated" if settings.cluster else "",
        "dedup": remembered,
        "ttl": f"TTL stored_at + INTERVAL {settings.keep_days} DAY" if settings.keep_days else "",
    }


def _distributed(local: str, cluster: str) -> str:
    public = local.replace("local_", "", 1)
    return (
        f"CREATE TABLE IF NOT EXISTS {public} ON CLUSTER `{cluster}` AS {local} "
        f"ENGINE = Distributed('{cluster}', currentDatabase(), {local})"
    )
