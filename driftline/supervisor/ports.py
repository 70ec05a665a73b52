"""The ports that `driftline up` needs: which setting names each, and who holds one that is taken."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from driftline.broker.ports import CANDIDATES, free_port, is_free
from driftline.settings import Settings

LOOPBACK = "127.0.0.1"
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Port(NamedTuple):
    """A port that the settings name for something that `up` starts."""

    key: str
    host: str
    number: int

    @property
    def free(self) -> bool:
        """Whether a server could listen there now."""
        return is_free(self.number, self.host)


class Holder(NamedTuple):
    """Who uses a port, as far as this user may see: ``name, process 123``; 0 where it cannot be seen."""

    text: str
    pid: int = 0


def wanted(settings: Settings) -> list[Port]:
    """Ports of the parts that are ours to start, in starting order; the roles' own is the first of several.

    >>> [port.key for port in wanted(Settings())]
    ['kafka.port', 'clickhouse.port', 'page.port', 'roles.port']
    """
    ports = [Port("kafka.port", LOOPBACK, settings.kafka.port)] if settings.embedded_kafka else []
    ports += [Port("clickhouse.port", LOOPBACK, settings.clickhouse.port)] if settings.embedded_store else []
    ports.append(Port("page.port", settings.page.host, settings.page.port))
    return [*ports, Port("roles.port", settings.roles.host, settings.roles.port)]


def listens(host: str, number: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((LOOPBACK if host in ("", "0.0.0.0") else host, number)) == 0  # noqa: S104


def problems(ports: list[Port]) -> Iterator[str]:
    """Say of each port that is taken who holds it and which setting changes it; of two that are one, the same.

    The roles' first port may be taken: they use the next free ones.
    """
    first: dict[int, str] = {}
    for port in ports:
        if port.number in first:
            yield f"{port.key} and {first[port.number]} are both {port.number}; set {port.key} to another port"
        elif port.key != "roles.port" and not port.free:
            yield taken(port)
        first.setdefault(port.number, port.key)


def taken(port: Port) -> str:
    """One line about a port that somebody else holds.

    >>> taken(Port("page.port", "127.0.0.1", 18080)).partition(" by ")[0]
    'port 18080 is taken'
    """
    other = free_above(port.number, port.host)
    return f"port {port.number} is taken by {holder(port.number).text}; stop that program, or set {port.key} = {other}"


def holder(number: int) -> Holder:
    """Who listens on a port, or else whose outgoing connection uses it."""
    with suppress(psutil.Error, FileNotFoundError):
        here = [c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == number and c.pid]
        for connection in sorted(here, key=lambda c: c.status != psutil.CONN_LISTEN):
            with suppress(psutil.Error, FileNotFoundError):  # the latter where it ends as psutil reads
                name = psutil.Process(connection.pid).name()
                how = "" if connection.status == psutil.CONN_LISTEN else "an outgoing connection of "
                return Holder(f"{how}{name}, process {connection.pid}", connection.pid or 0)
    return Holder("a program of another user")


def free_above(number: int, host: str = LOOPBACK) -> int:
    """A free port to propose in place of one that is taken: the next one that lies outside of the ephemeral range."""
    for port in range(number + 1, CANDIDATES.stop):
        if is_free(port, host):
            return port
    return free_port()


def ephemeral() -> range:
    """Ports that the kernel gives to outgoing connections; empty where it does not say."""
    with suppress(OSError, ValueError):
        first, last = map(int, _EPHEMERAL.read_text().split())
        return range(first, last + 1)
    return range(0)


def next_free(first: int, host: str, but: Mapping[int, object] | set[int]) -> int:
    """The first free port from ``first`` on that is not set aside for another part.

    Parameters
    ----------
    first
        Where to begin.
    host
        Address that a server would listen on.
    but
        Ports that are set aside.
    """
    number = first
    while number in but or not is_free(number, host):
        number += 1
    return number
