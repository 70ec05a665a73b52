"""Hostile connections to the page: none of them locks out a reader, none holds a thread, none is served for ever."""

import http.client
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from waitress import wasyncore

from dashboards.page import connections, make_server, query_cache
from dashboards.page.server import THREADS

#: 4 MB: more than the kernel's buffers hold.
SCRIPT = "/_dash-component-suites/plotly/package_data/plotly.min.js"
GET = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def nothing(sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
    raise ConnectionError("no store here")


@contextmanager
def running(most: int | None = None) -> Iterator[Any]:
    server = make_server(nothing, dict)
    if most:
        connections.guard(server, most)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server() -> Iterator[Any]:
    with running() as one:
        yield one


def connect(server: Any, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", int(server.effective_port)), 10)
    client.sendall(sent)
    return client


def until(true: Any, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def served_s(server: Any, path: str = "/livez") -> float:
    """How long a reader waits; he is answered."""
    began = time.monotonic()
    client = http.client.HTTPConnection("127.0.0.1", int(server.effective_port), timeout=20)
    client.request("GET", path)
    assert client.getresponse().status == 200
    client.close()
    return time.monotonic() - began


def answer(client: socket.socket) -> bytes:
    """All that is answered until the connection is closed; empty where it is closed without a word."""
    got = []
    with client:
        client.settimeout(20)
        try:
            while piece := client.recv(65_536):
                got.append(piece)
        except ConnectionResetError:
            pass
    return b"".join(got)


@pytest.mark.parametrize("why", ["its client has gone", "it is overdue"])
def test_a_newcomer_is_not_taken_for_the_connection_that_made_room_for_it(why: str, monkeypatch: Any) -> None:
    """Both in one turn of the loop: one connection ends, and another comes, which would get its file number."""
    server = make_server(nothing, dict)
    connections.guard(server, 2)
    turn = partial(wasyncore.poll2, 0.1, server._map)
    with ExitStack() as files, closing(server), closing(connect(server, GET[:9])), closing(connect(server)) as silent:
        files.callback(wasyncore.close_all, server._map, ignore_all=True)
        files.callback(server.task_dispatcher.shutdown)
        while files.enter_context(Path(os.devnull).open()).fileno() < 100:
            pass  # no number below stays free
        until(lambda: turn() or [c.began for c in server.active_channels.values()] == [True, False])
        if why == "it is overdue":
            monkeypatch.setattr(connections, "REQUEST_S_MAX", 0)
            server.next_channel_cleanup = 0
        else:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it goes with a reset
            silent.close()
        newcomer = connect(server, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        got: list[bytes] = []
        asking = threading.Thread(target=lambda: got.append(answer(newcomer)), daemon=True)
        asking.start()
        until(lambda: turn() or not asking.is_alive())
    assert got[0].startswith(b"HTTP/1.1 200")


def test_half_requests_lock_nobody_out(server: Any) -> None:
    with ExitStack() as ending:
        for n in range(300):  # 100 was the limit, and 120 of them starved the page
            ending.enter_context(connect(server, b"GET /livez HTTP/1.1\r\nX-%d: " % n))
        assert max(served_s(server) for _ in range(5)) < 2


def test_more_connections_than_the_limit_cost_the_quietest_ones() -> None:
    with running(most=20) as server, ExitStack() as ending:
        halves = [ending.enter_context(connect(server, b"GET /")) for _ in range(60)]
        until(lambda: len(server.active_channels) >= 20)
        assert max(served_s(server) for _ in range(5)) < 2
        assert len(server.active_channels) <= 20
        halves[0].settimeout(10)
        assert halves[0].recv(1) == b""


def test_a_request_that_comes_by_drops_has_a_deadline(server: Any, monkeypatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_S_MAX", 1.0)
    with connect(server, b"GET /livez HTTP/1.1\r\n") as client:
        began = time.monotonic()
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            while time.monotonic() - began < 15:
                client.sendall(b"X")
                time.sleep(0.1)
    assert time.monotonic() - began < 10


def test_an_answer_that_nobody_reads_is_thrown_away(server: Any, monkeypatch) -> None:
    monkeypatch.setattr(connections, "STALLED_S_MAX", 1.0)
    assert served_s(server, SCRIPT) < 10
    with ExitStack() as ending:
        for _ in range(20):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", int(server.effective_port)))
            client.sendall(f"GET {SCRIPT} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            ending.enter_context(client)
        until(lambda: len(server.active_channels) > 0)
        assert served_s(server) < 5
        until(lambda: not server.active_channels)


def test_what_follows_a_request_before_its_answer_is_not_read(server: Any) -> None:
    got = answer(connect(server, GET * 50))
    assert got.count(b"HTTP/1.1 200 OK") == 1 and b"Connection: close" in got


def test_one_connection_serves_one_request_after_the_other(server: Any) -> None:
    client = http.client.HTTPConnection("127.0.0.1", int(server.effective_port), timeout=20)
    for _ in range(3):
        client.request("GET", "/livez")
        assert client.getresponse().read() == b"ok\n"
    client.close()


SMUGGLED = b"GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ODD = {
    "two lengths": b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n" + SMUGGLED,
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "odd chunks": b"POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "length with a sign": b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: +44\r\n\r\n" + SMUGGLED,
    "space before the colon": b"GET /livez HTTP/1.1\r\nHost : a\r\nContent-Length: 44\r\n\r\n" + SMUGGLED,
    "folded header": b"GET /livez HTTP/1.1\r\nConnection: close\r\nHost: 127.0.0.1\r\n X: y\r\n\r\n",
    "bare line feeds": b"GET /livez HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 44\n\n" + SMUGGLED,
    "no request": b"\x16\x03\x01\x02\x00\x01\x00" + bytes(range(256)) + b"\r\n\r\n",
    "huge header": b"GET /livez HTTP/1.1\r\nX: " + b"a" * 200_000,
    "many headers": b"GET /livez HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(5_000)) + b"\r\n",
    "long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "huge body": b"POST /_dash-update-component HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\n\r\n",
}


@pytest.mark.parametrize("sent", ODD.values(), ids=ODD)
def test_an_odd_request_has_at_most_one_answer_and_no_fault_of_ours(server: Any, sent: bytes) -> None:
    got = answer(connect(server, sent))
    codes = [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]] + [
        int(part[:3]) for part in got.split(b"HTTP/1.0 ")[1:]
    ]
    assert len(codes) <= 1
    assert all(code in (400, 403, 405, 413, 414, 431) for code in codes), got[:300]
    assert b'"page"' not in got  # the second request of the bytes was not answered
    if codes:
        assert b"Content-Security-Policy: default-src 'self'" in got and b"Cache-Control: no-store" in got
    assert served_s(server) < 2


def test_a_queue_that_is_full_says_so(monkeypatch) -> None:
    monkeypatch.setattr(connections, "WAITING_MAX", 4)
    monkeypatch.setattr(query_cache, "WAITING_MAX", 1_000)
    going = threading.Event()

    def slow(sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
        going.wait(20)
        raise ConnectionError("no store here")

    server = make_server(slow, dict)
    threading.Thread(target=server.run, daemon=True).start()
    dispatcher = server.task_dispatcher
    with ExitStack() as ending:
        for n in range(THREADS + 10):  # each thread has one, one after the other; ten wait
            sent = b"GET /api/m/m%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % n
            ending.enter_context(connect(server, sent))
            if n < THREADS:
                until(lambda busy=n + 1: dispatcher.active_count == busy and not dispatcher.queue)
        until(lambda: len(dispatcher.queue) == 10)
        late = connect(server, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        until(lambda: len(dispatcher.queue) == 11)
        going.set()
        assert answer(late).startswith(b"HTTP/1.1 429 Too Many Requests")
    until(lambda: not dispatcher.queue and dispatcher.active_count == 0)
    assert served_s(server) < 5
    server.close()
