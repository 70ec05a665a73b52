"""Free ports on loopback."""

import random
import socket

from driftline.broker.errors import BrokerError

HOST = "127.0.0.1"
# Below the range that the kernel gives to outgoing connections, so that none of those takes a port between
# our look and Java's bind.
CANDIDATES = range(20_000, 32_768)
LOOKS_MAX = 1000


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen on `port` of an address of this machine now."""
    try:
        (family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As Java: closing connections don't count.
            probe.bind(address)
    except OSError:
        return False
    return True


def free_port(but: int = 0) -> int:
    """Some free port, other than `but`."""
    # Two processes that start together must not try the same ports, so the system's randomness, no seed.
    chance = random.SystemRandom()
    for _ in range(LOOKS_MAX):
        port = chance.choice(CANDIDATES)
        if port != but and is_free(port):
            return port
    raise BrokerError(
        f"no free port on {HOST}: {LOOKS_MAX} ports between {CANDIDATES.start} and {CANDIDATES.stop} are taken; "
        "name a free one"
    )
