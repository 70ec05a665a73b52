"""ClickHouse: reachable, and with the schema of this version."""

import hashlib
from collections.abc import Iterator

import msgspec

from driftline.doctor.finding import Finding, failing
from driftline.roles import parts
from driftline.settings import Settings
from streams.kafka.reach import ANSWER_S, unreachable

_NO_DATABASE = 81
_NO_TABLE = 60


def reachable(settings: Settings) -> Iterator[Finding]:
    """The store answers, and its schema is ours; an embedded one that does not run is a note."""
    from drift.store import Store, StoreError, StoreUnavailable
    from drift.store.flavours import schema_files

    try:
        where = msgspec.structs.replace(parts.store_settings(settings), connect_s_max=2.0, answer_s_max=ANSWER_S)
    except ValueError as error:
        yield failing("store", str(error), 'clickhouse.url = "clickhouse://user@host:9000/driftline"')
        return
    name = f"{where.host}:{where.port}"
    if why := unreachable(name):
        if settings.embedded_store:
            yield Finding("store", "note", f"the embedded store does not run on {name}", "driftline up")
        else:
            yield failing("store", f"{name} {why}", 'clickhouse.url = "clickhouse://user@host:9000/driftline"')
        return
    store = Store(where)
    try:
        (version,) = next(iter(store.rows("SELECT version()")))
        applied = dict(store.rows("SELECT name, argMax(sha256, applied_at) FROM schema_versions GROUP BY name"))
    except StoreUnavailable as error:
        yield failing(
            "store", str(error), 'clickhouse.url = "clickhouses://user@host:9440/driftline", if it speaks TLS'
        )
    except StoreError as error:
        if error.code in (_NO_DATABASE, _NO_TABLE):
            text = f"{name} answers, and {where.database} has no schema yet; the store role makes it"
            yield Finding("store", "note", text, "driftline store")
        else:
            fix = 'clickhouse.password = "env:CLICKHOUSE_PASSWORD"'
            if settings.embedded_store:
                fix = f'clickhouse.port = 19001, or data_dir of the store on {name} in place of "{settings.data_dir}"'
            yield failing("store", f"{name}: {error}", fix)
    else:
        ours = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in schema_files()}
        edited = sorted(file for file in applied if file in ours and applied[file] != ours[file])
        missing, newer = sorted(set(ours) - set(applied)), sorted(set(applied) - set(ours))
        store_name = f"{name}/{where.database}, ClickHouse {version}"
        if edited:
            fix = 'clickhouse.database = "a_new_one", or the driftline version that made it'
            yield failing("store", f"{store_name}: {', '.join(edited)} is not as it was applied", fix)
        elif newer:
            yield failing(
                "store", f"{store_name}: a later version of driftline was here", "pip install --upgrade driftline"
            )
        elif missing:
            yield Finding("store", "warn", f"{store_name}: {', '.join(missing)} not applied yet", "driftline store")
        else:
            yield Finding("store", "ok", f"{store_name}, schema {max(ours)[:3]}")
    finally:
        store.close()
