"""Whether anybody answers at an address; asked before any client is made, which would wait and complain aloud."""

import socket

CONNECT_S = 1.0
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
        return "is no host:port"
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except socket.gaierror:
        return "does not resolve"
    except OSError as error:
        return f"does not answer ({error.strerror or error})"
    return None
