"""HTTP to one address: pooled connections, a deadline, and no more of an answer than is wanted."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from time import monotonic
from typing import Any

import msgspec
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as Urllib3Timeout

from inference.backends.errors import ArtefactError
from inference.backends.remote.failures import Away, WrongAnswer

_CHUNK_BYTES = 262_144
_CONNECTIONS_MAX = 8


class Answer(msgspec.Struct, frozen=True):
    """What came: the status, headers by lower-case name, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Stale(ConnectionError):
    """A connection that the server had closed after an earlier answer, as it may at any time."""


class _Timed:
    """A connection with a deadline for all headers of an answer: a socket's own timeout begins anew with each byte.

    It also knows whether it has given an answer before.
    """

    sock: Any
    timeout: Any
    _answers = 0

    def connect(self) -> None:
        self._answers = 0
        super().connect()  # type: ignore[misc]

    def request(self, *args: Any, **kwargs: Any) -> None:
        with self._stale():
            super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        timer = threading.Timer(self.timeout, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            with self._stale():
                response = super().getresponse(*args, **kwargs)  # type: ignore[misc]
        finally:
            timer.cancel()
        self._answers += 1
        return response

    @contextmanager
    def _stale(self) -> Iterator[None]:
        try:
            yield
        except ConnectionError as error:  # RemoteDisconnected is one
            if self._answers:
                raise _Stale(str(error)) from error
            raise

    def _give_up(self) -> None:
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


class _TimedHttp(_Timed, HTTPConnection):
    pass


class _TimedHttps(_Timed, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _TimedHttp


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedHttps


class HttpClient:
    """Posts to one address. No redirect is followed, no proxy of the environment used, nothing unpacked.

    Parameters
    ----------
    address
        ``http://host:port/prefix``, or https.
    ca
        File of authorities; the system's when empty.
    bytes_max
        Of an answer.
    """

    def __init__(self, address: str, ca: str = "", bytes_max: int = 16_777_216) -> None:
        url = urllib3.util.parse_url(address)
        self._prefix, self._bytes_max = (url.path or "").rstrip("/"), bytes_max
        more: dict[str, Any] = {}
        if url.scheme == "https":
            try:
                more["ssl_context"] = ssl.create_default_context(cafile=ca or None)
            except OSError as error:
                raise ArtefactError(f"ca {ca!r}: {error.strerror or error}; name a PEM file of authorities") from error
        pool: Any = _HttpsPool if url.scheme == "https" else _HttpPool
        self._pool = pool(url.host, url.port, maxsize=_CONNECTIONS_MAX, retries=False, **more)

    def post(self, path: str, body: bytes, headers: dict[str, str], timeout_s: float) -> Answer:
        """Post a body.

        Parameters
        ----------
        path
            Below the address.
        body, headers
            What is sent.
        timeout_s
            For all of it. A server that sends a byte at a time can make it twice as long.

        Raises
        ------
        Away
            No answer, or half of one.
        WrongAnswer
            It is longer than allowed, or packed.
        """
        ends_s = monotonic() + timeout_s
        sent = {"accept-encoding": "identity", "user-agent": "driftline", **headers}
        try:
            for _ in range(_CONNECTIONS_MAX):  # an old one each time, and then a new one
                try:
                    return self._once(path, body, sent, ends_s)
                except ProtocolError as error:
                    # The deadline closes a connection, too: then it is no old one.
                    if monotonic() >= ends_s or not any(isinstance(part, _Stale) for part in error.args):
                        raise
            return self._once(path, body, sent, ends_s)
        except (NewConnectionError, ConnectTimeoutError) as error:
            late = isinstance(error, ConnectTimeoutError)
            raise Away(f"cannot be reached: {_why(error)}", late=late) from None
        except Urllib3Timeout:
            raise _late(timeout_s) from None
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            if monotonic() >= ends_s:
                raise _late(timeout_s) from None
            raise Away(f"breaks off: {_why(error)}") from None

    def _once(self, path: str, body: bytes, headers: dict[str, str], ends_s: float) -> Answer:
        response = self._pool.urlopen(
            "POST",
            self._prefix + path,
            body=body,
            headers=headers,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(total=max(ends_s - monotonic(), 1e-3)),
        )
        try:
            return Answer(response.status, _lower(response.headers), self._body(response, ends_s))
        except BaseException:
            response.close()  # the rest of it must not be the next call's answer
            raise

    def _body(self, response: Any, ends_s: float) -> bytes:
        length, packed = response.headers.get("content-length", ""), response.headers.get("content-encoding")
        if packed not in (None, "", "identity"):
            raise WrongAnswer(f"answers packed by {packed!r}, which was not asked for")
        chunks: list[bytes] = []
        size = 0
        while True:
            if size > self._bytes_max or (length.isdigit() and int(length) > self._bytes_max):
                raise WrongAnswer(f"answers with more than {self._bytes_max:,} bytes; see answer_bytes_max")
            if monotonic() > ends_s:
                raise Urllib3Timeout
            chunk = response.read1(_CHUNK_BYTES)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
            size += len(chunk)


def _late(timeout_s: float) -> Away:
    return Away(f"has not answered within {1000 * timeout_s:.0f} ms", late=True)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _why(error: BaseException) -> str:
    """The last of a chain of causes, without the objects that urllib3 names in front of it."""
    return str(error).rpartition(">: ")[2] or type(error).__name__
