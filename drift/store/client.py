"""The way to the store: rows in by the block, answers out, over `clickhouse-driver` alone.

It does not know whether the server is the embedded one.
"""

import logging
import os
import re
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The driver makes a table of every date from 1900 to 2299 as it is loaded, a fifth of a second, unless it is told to
# look each date up when it comes: any value that is no range of dates.
os.environ.setdefault("CLICKHOUSE_DRIVER_LASY_DATE_LUT", "lazy")

from clickhouse_driver import Client
from clickhouse_driver import errors as driver

from drift.store.parameters import parameters
from drift.store.settings import StoreSettings
from streams.away import Away

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from drift.store.values import Columns

Params = Mapping[str, Any]

# The driver logs a traceback for each connection that fails, and raises: the error alone says it.
logging.getLogger("clickhouse_driver.connection").setLevel(logging.ERROR)

#: How the driver's error ends where a certificate is not believed.
_UNVERIFIED = re.compile(r"CERTIFICATE_VERIFY_FAILED\] certificate verify failed: (.*?) \(_ssl")

#: How long a server that is there may take to answer a ping.
PING_S_MAX = 5.0
#: One insert is one block: the token recognises a repeated insert by its blocks.
INSERT_ROWS_MAX = 1_048_576
_INSERT_SETTINGS = {
    "async_insert": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "insert_deduplicate": 1,
    "insert_block_size": INSERT_ROWS_MAX,
    "max_partitions_per_insert_block": 0,
}


class StoreError(Exception):
    """The store refused a statement; ``code`` is ClickHouse's number for why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class StoreUnavailable(Away):
    """The store did not answer; the same call may succeed later, and an insert with a token may be repeated."""


class Store:
    """A client of ClickHouse that any number of threads may use: each has a connection of its own."""

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self._local = threading.local()
        self._clients: weakref.WeakSet[Client] = weakref.WeakSet()

    @classmethod
    def connect(cls, settings: StoreSettings) -> "Store":
        """Make a client and see that the server answers and has the database.

        Raises
        ------
        StoreUnavailable
            Nobody answers there.
        StoreError
            Wrong password, no such database.
        """
        store = cls(settings)
        store.rows("SELECT 1")
        return store

    def ask(self) -> None:
        """See that the server answers, without a question to its engine, which may be busy.

        Raises
        ------
        StoreUnavailable
            It does not, within `StoreSettings.answer_s_max`.
        """
        with self._client() as client:
            connection = client.connection
            if not (connection.connected and connection.ping()):
                connection.disconnect()
                connection.connect()

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows.

        Parameters are bound by the server where the text says ``{name:Type}``, lists as ``Array(T)``, instants
        as ``DateTime64(3, 'UTC')`` (or integers, milliseconds); there is no null.
        """
        with self._client() as client:
            answer = client.execute(sql, parameters(params))
        return answer if isinstance(answer, list) else []

    def arrow(self, sql: str, params: Params | None = None) -> "pa.Table":
        """Run a SELECT and return an Arrow table."""
        with self._client() as client:
            return client.query_arrow(sql, parameters(params), field_metadata=False)

    def query(self, sql: str, params: Params | None = None) -> "pd.DataFrame":
        """Run a SELECT and return a pandas frame."""
        frame: pd.DataFrame = self.arrow(sql, params).to_pandas()
        return frame

    def insert(self, table: str, columns: "Columns", *, token: str = "") -> int:
        """Insert rows, at once or not at all, and return how many.

        Parameters
        ----------
        table
            Of this store's database.
        columns
            An Arrow batch, or sequences of one length by column name. Instants are integers, milliseconds.
        token
            The insert's name: one that the table has taken is not taken again, in the views that follow it
            either. A repeated insert must hold the same rows.

        Raises
        ------
        ValueError
            More than `INSERT_ROWS_MAX` rows, or columns of different lengths.
        """
        from drift.store.values import driver_columns  # brings NumPy and Arrow: to ask for rows takes neither

        names, values, as_numpy = driver_columns(columns)
        rows = len(values[0]) if values else 0
        if rows > INSERT_ROWS_MAX:
            raise ValueError(f"{rows} rows for {table}, at most {INSERT_ROWS_MAX} go in at once; cut them")
        if not rows:
            return 0
        settings = _INSERT_SETTINGS | {"use_numpy": as_numpy, "insert_deduplication_token": token}
        listed = ", ".join(quote(name) for name in names)
        statement = f"INSERT INTO {quote(table)} ({listed}) VALUES"
        with self._client() as client:
            client.execute(statement, values, columnar=True, settings=settings)
        return rows

    def close(self) -> None:
        """Close every thread's connection; a later call opens a new one."""
        for client in list(self._clients):
            client.disconnect()

    @contextmanager
    def _client(self) -> Iterator[Client]:
        """This thread's client, with the driver's errors turned into ours."""
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = _client(self.settings, _password(self.settings))
            self._clients.add(client)
        try:
            yield client
        except driver.ServerException as error:
            raise StoreError(error.code, _message(error)) from error
        except (driver.NetworkError, driver.SocketTimeoutError, EOFError, OSError) as error:
            raise StoreUnavailable(self._away(error)) from error

    def _away(self, error: Exception) -> str:
        """Why the store did not answer, and what to do."""
        where, text = f"{self.settings.host}:{self.settings.port}", str(error)
        if verified := _UNVERIFIED.search(text):
            remedy = "clickhouse.ca must name the authority that signed it"
            if "expired" in verified[1]:
                remedy = "renew it, and see this machine's clock"
            elif "mismatch" in verified[1]:
                remedy = f"write in clickhouse.url a name that the certificate has, not {self.settings.host}"
            return f"the store at {where}: its certificate is not accepted: {verified[1]}; {remedy}"
        if self.settings.ca_certs and not Path(self.settings.ca_certs).is_file():
            return f"the store at {where} was not asked: clickhouse.ca: {self.settings.ca_certs} is not there; mend it"
        if "WRONG_VERSION_NUMBER" in text:
            return f"the store at {where} does not speak TLS there; write clickhouse:// for clickhouses://"
        return (
            f"the store at {where} does not answer ({error}); is it running? `driftline up` starts one, or set "
            "clickhouse.url (clickhouses:// where it speaks TLS)"
        )


def quote(name: str) -> str:
    """Write a name as SQL, whatever is in it.

    >>> quote("a`b")
    '`a\\\\`b`'
    """
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _password(settings: StoreSettings) -> str:
    try:
        return settings.resolved_password()
    except OSError as error:
        raise StoreUnavailable(
            f"the store at {settings.host}:{settings.port} does not answer: its password is not in "
            f"{settings.password_file} ({error.strerror}); is it running? `driftline up` starts one, which makes it"
        ) from None


def _client(settings: StoreSettings, password: str) -> Client:
    return Client(
        settings.host,
        port=settings.port,
        database=settings.database,
        user=settings.user,
        password=password,
        secure=settings.secure,
        verify=settings.verify,
        ca_certs=settings.ca_certs or None,
        compression=settings.compression or False,
        connect_timeout=settings.connect_s_max,
        send_receive_timeout=settings.answer_s_max,
        sync_request_timeout=min(settings.answer_s_max, PING_S_MAX),
        client_name="driftline",
        tcp_keepalive=True,
        settings={"server_side_params": True},
    )


def _message(error: driver.ServerException) -> str:
    text = str(error.message or error).strip()
    return text.removeprefix("DB::Exception: ").removesuffix(" Stack trace:").strip()
