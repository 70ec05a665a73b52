"""Where a store is, and how to speak to it."""

from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from drift.store.passwords import OWNER, password_file, read_password

Compression = Literal["", "lz4", "zstd"]
Flavour = Literal["embedded", "single", "cluster"]


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A ClickHouse, embedded or not; the password is shown to nobody.

    Parameters
    ----------
    host, port, database, user, password
        The native protocol's address and who asks. Every deployment has a database of its own.
    password_file
        Where the password lies instead: read at each connection, since an embedded store makes it at its first start.
    secure, verify, ca_certs
        Speak TLS; check the server's certificate; against this file of authorities.
    compression
        Of what travels: ``lz4`` or ``zstd`` help between machines, neither on loopback.
    flavour
        Which schema is applied: ``embedded`` and ``single`` have one server, ``cluster`` replicates.
    cluster
        Its name in the server's configuration, for ``ON CLUSTER``.
    keep_days
        How long single observations and their places are kept after they came; 0 for ever. Counts, outcomes,
        reports and alerts are never dropped.
    connect_s_max, answer_s_max
        How long to wait for a connection, and for a packet of an answer.

    >>> StoreSettings(host="ch", password="secret").password
    'secret'
    >>> "secret" in repr(StoreSettings(host="ch", password="secret"))
    False
    """

    host: str = "127.0.0.1"
    port: int = 9000
    database: str = "driftline"
    user: str = "default"
    password: str = ""
    password_file: str = ""
    secure: bool = False
    verify: bool = True
    ca_certs: str = ""
    compression: Compression = ""
    flavour: Flavour = "embedded"
    cluster: str = ""
    keep_days: int = 90
    connect_s_max: float = 5.0
    answer_s_max: float = 300.0

    def __post_init__(self) -> None:
        if (self.flavour == "cluster") != bool(self.cluster):
            raise ValueError(f"flavour {self.flavour!r} with cluster {self.cluster!r}; name the cluster, or neither")
        if self.keep_days < 0:
            raise ValueError(f"keep_days is {self.keep_days}; give days, or 0 to keep for ever")

    @classmethod
    def embedded(cls, folder: str | Path, port: int, database: str, user: str = OWNER) -> "StoreSettings":
        """The store over a folder of this machine.

        Parameters
        ----------
        folder
            Data directory of the store, which holds its passwords.
        port
            Port of the store on this machine.
        """
        file = str(password_file(folder, user).absolute())
        return cls(port=port, database=database, user=user, password_file=file, flavour="embedded")

    def resolved_password(self) -> str:
        """The password, read from its file where one is named.

        Raises
        ------
        OSError
            The file cannot be read.
        """
        return read_password(self.password_file) if self.password_file else self.password

    @classmethod
    def from_url(cls, url: str, password: str = "", **other: object) -> "StoreSettings":
        """Read ``clickhouse://user@host:port/database``; ``clickhouses`` speaks TLS.

        ``?compression=lz4`` and ``?cluster=name`` are understood; a password in the URL is refused, since URLs are
        logged.

        Raises
        ------
        ValueError
            The URL is of another kind; the text says what is wrong with it.

        >>> store = StoreSettings.from_url("clickhouses://ana@ch.example/prod?compression=zstd")
        >>> store.user, store.host, store.port, store.database, store.secure, store.compression, store.flavour
        ('ana', 'ch.example', 9440, 'prod', True, 'zstd', 'single')
        """
        parts = urlsplit(url)
        if parts.scheme not in ("clickhouse", "clickhouses") or not parts.hostname:
            raise ValueError(f"{url!r} is no clickhouse://user@host:port/database")
        if parts.password is not None:
            raise ValueError(f"the URL of {parts.hostname} holds a password; give it apart (env:NAME or file:PATH)")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if unknown := set(options) - {"compression", "cluster"}:
            raise ValueError(
                f"the URL of {parts.hostname} asks for {sorted(unknown)}; compression and cluster are known"
            )
        secure = parts.scheme == "clickhouses"
        from_parts: dict[str, object] = {
            "host": parts.hostname,
            "port": parts.port or (9440 if secure else 9000),
            "database": unquote(parts.path.strip("/")) or "driftline",
            "user": unquote(parts.username or "default"),
            "password": password,
            "secure": secure,
            "flavour": "cluster" if "cluster" in options else "single",
        }
        return msgspec.convert(from_parts | options | other, cls)

    def __repr__(self) -> str:
        scheme = "clickhouses" if self.secure else "clickhouse"
        return f"StoreSettings({scheme}://{self.user}@{self.host}:{self.port}/{self.database}, {self.flavour})"
