"""Whether anybody answers at an address; asked before any client is made, which would wait and complain aloud."""

import socket
from collections.abc import Mapping

CONNECT_S = 1.0
NO_ADDRESS = "is no host:port"
#: Whoever takes a connection may be busy; that is no failure.
ANSWER_S = 8.0


def unreachable(address: str) -> str | None:
    """Why nobody answers at ``host:port``; None where somebody does.

    >>> unreachable("nowhere")
    'is no host:port'
    >>> unreachable("nobody.invalid:9092")
    'does not resolve'
    """
    host, _, port = address.strip().rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        return NO_ADDRESS
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except socket.gaierror:
        return "does not resolve"
    except OSError as error:
        return f"does not answer ({error.strerror or error})"
    return None


def down(addresses: str) -> Mapping[str, str]:
    """Why nobody answers at any of several comma-separated addresses; empty where one of them may.

    An address that is not written ``host:port`` is left to the client, which has a default port.

    >>> down("nobody.invalid:9092, nowhere.invalid:9092")
    {'nobody.invalid:9092': 'does not resolve', 'nowhere.invalid:9092': 'does not resolve'}
    >>> down("nobody.invalid:9092, kafka")
    {}
    """
    reasons = {}
    for address in map(str.strip, addresses.split(",")):
        why = unreachable(address)
        if why is None or why == NO_ADDRESS:
            return {}
        reasons[address] = why
    return reasons
