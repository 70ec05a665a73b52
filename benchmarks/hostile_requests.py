"""Hostile requests to the page, while a reader looks at it: no fault of ours, memory bounded, the reader never waits.

    python -m benchmarks.hostile_requests [--requests 10000] [--seed 1] [--clients 16]

The page runs as a process of its own over an embedded store with one model's counts. Clients send what a program would
that was written to break it: parameters out of range, twice, very long; paths that climb, that are no UTF-8; headers
without end, two lengths, half requests that are left open, answers that nobody reads; garbage. Prints a table; exit
code 1 where a request got a 5xx, the reader waited for two seconds, or memory grew by more than `GROWTH_MB_MAX`.
"""

import argparse
import http.client
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.hostile_page import LINE, PageProcess

READER_S_MAX = 2.0
GROWTH_MB_MAX = 150.0
_KEPT_OPEN_MAX = 40

_NAMES = (
    *("employment", "nobody", "a/b", "../..", "%00", "%FF%FE", "'; DROP TABLE x", "{x:String}"),
    *("é" * 300, "<script>"),
)
_VALUES = [
    *("0", "-1", "NaN", "inf", "1e99", "999999999999999", "9" * 400, "", "%00", "%FF", "1;2", "{a:Int64}", "' OR 1=1"),
    *("1796039601542", "7258118400000", "7258118400001"),
]
_PATHS = [
    "/", "/api", "/api/m/{}", "/api/m/{}/c/{}", "/api/i/{}", "/api/pipeline", "/m/{}", "/m~/{}/c/{}", "/metrics",
    "/_dash-component-suites/{}/{}", "/assets/{}", "/_dash-layout", "/_dash-dependencies", "/{}/{}/{}", "//{}",
    "/%2e%2e/{}",
]  # fmt: skip


def request_of(rng: random.Random) -> tuple[str, bytes, str]:
    """One hostile request: what kind it is, its bytes, and what is done after they are sent: read, leave or hold."""
    kind = rng.choice(["query", "query", "path", "path", "callback", "headers", "smuggle", "half", "unread", "garbage"])
    path = rng.choice(_PATHS)
    for _ in range(path.count("{}")):
        path = path.replace("{}", _percent(rng.choice(_NAMES)), 1)
    line = f"GET {path}"
    if kind == "query":
        keys = rng.choices(["from", "to", "last", "x", "from"], k=rng.randint(1, 5))
        line += "?" + "&".join(f"{key}={_percent(rng.choice(_VALUES))}" for key in keys)
    head = f"{line} HTTP/1.1\r\nHost: {rng.choice(['127.0.0.1', '127.0.0.1', 'evil.example', 'localhost:1', ''])}\r\n"
    end = b"Connection: close\r\n\r\n"
    if kind == "callback":
        body = bytes(rng.choices(b'{}[]":,0123456789aeounlstrx\xff', k=rng.randint(0, 3_000)))
        head = "POST /_dash-update-component HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        return kind, f"{head}Content-Length: {len(body)}\r\n".encode() + end + body, "read"
    if kind == "headers":
        huge = "".join(f"X-{n}: {'y' * rng.randint(0, 400)}\r\n" for n in range(rng.randint(1, 400)))
        return kind, (head + huge).encode() + end, "read"
    if kind == "smuggle":
        lengths = rng.choice(
            ["Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
             "Transfer-Encoding: chunked, x\r\n", "Content-Length: -1\r\n", "Content-Length: 99999999999\r\n"]
        )  # fmt: skip
        return kind, (head + lengths).encode() + end + b"0\r\n\r\nGET /api HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "read"
    if kind == "half":
        whole = head.encode() + end
        return kind, whole[: rng.randrange(1, len(whole) - 2)], "hold"
    if kind == "unread":
        script = "/_dash-component-suites/plotly/package_data/plotly.min.js"
        return kind, f"GET {script} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * rng.randint(1, 20), "hold"
    if kind == "garbage":
        return kind, rng.randbytes(rng.randint(1, 4_000)) + b"\r\n\r\n", "read"
    return kind, head.encode(errors="replace") + end, "read"


def _percent(text: str) -> str:
    return "".join(char if char.isascii() and char > " " else "%20" if char == " " else "%C3%A9" for char in text)


class Clients:
    """What the hostile clients have sent and got; threads share it."""

    def __init__(self, port: int, requests: int, seed: int) -> None:
        self.port = port
        self.left = requests
        self.seed = seed
        self.codes: dict[str, Counter[str]] = {}
        self.faults: list[str] = []
        self._lock = threading.Lock()

    def run(self, number: int) -> None:
        """Send until all are sent."""
        rng = random.Random(f"{self.seed}-{number}")
        held: list[socket.socket] = []
        while self._take():
            kind, sent, then = request_of(rng)
            code, client = self._send(sent, then)
            with self._lock:
                self.codes.setdefault(kind, Counter())[code] += 1
                if code.startswith("5") and len(self.faults) < 5:
                    self.faults.append(f"{code}: {sent[:200]!r}")
            held += [client] if client else []
            if len(held) > _KEPT_OPEN_MAX:
                held.pop(rng.randrange(len(held))).close()
        for client in held:
            client.close()

    def _take(self) -> bool:
        with self._lock:
            self.left -= 1
            return self.left >= 0

    def _send(self, sent: bytes, then: str) -> tuple[str, socket.socket | None]:
        try:
            client = socket.create_connection(("127.0.0.1", self.port), 10)
            client.sendall(sent)
            if then == "hold":
                return "held open", client
            client.settimeout(30)
            got = client.recv(65_536)
            while got and client.recv(65_536):
                pass
            client.close()
        except TimeoutError:
            return "no answer in time", None
        except OSError:
            return "closed", None
        return (got[9:12].decode(errors="replace") if got.startswith(b"HTTP/") else "closed"), None


def read(port: int, paths: list[str], waits_s: list[float], stop: threading.Event, rounds: int = 0) -> None:
    """A reader who opens pages one after the other, and wants each answered with a 200; for ever, or so many times."""
    while not stop.is_set() and (not rounds or len(waits_s) < rounds * len(paths)):
        for path in paths:
            began = time.monotonic()
            try:
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                client.request("GET", path)
                status = client.getresponse().status
                refusal = "" if status == 200 else f"status {status}"
                client.close()
            except (OSError, http.client.HTTPException) as error:
                refusal = repr(error)
            waits_s.append(999.0 if refusal else time.monotonic() - began)
            if not refusal and waits_s[-1] > READER_S_MAX:
                refusal = f"{waits_s[-1]:.1f} s"
            if refusal:
                print(f"  reader     {path}: {refusal}", file=sys.stderr)
            stop.wait(0.1)


def main() -> int:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=16)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, PageProcess(Path(folder)) as page:
        hostile, waits_s, stop = Clients(page.port, asked.requests, asked.seed), list[float](), threading.Event()
        paths = ["/api", f"/api/m/{LINE}", "/", "/livez", "/api/pipeline"]
        read(page.port, paths, [], threading.Event(), rounds=1)  # the page is open when they come
        memory, peak_mb = psutil.Process(page.pid), 0.0
        before_mb = memory.memory_info().rss / 1e6
        reader = threading.Thread(target=read, args=(page.port, paths, waits_s, stop))
        threads = [threading.Thread(target=hostile.run, args=(n,)) for n in range(asked.clients)]
        began = time.monotonic()
        for thread in (reader, *threads):
            thread.start()
        while any(thread.is_alive() for thread in threads):
            peak_mb = max(peak_mb, memory.memory_info().rss / 1e6)
            time.sleep(0.2)
        took_s = time.monotonic() - began
        stop.set()
        reader.join()
    return report(hostile, waits_s, peak_mb - before_mb, before_mb, took_s)


def report(hostile: Clients, waits_s: list[float], grown_mb: float, before_mb: float, took_s: float) -> int:
    """Print what came of it; 0 where all is well."""
    for kind, codes in sorted(hostile.codes.items()):
        print(f"  {kind:<10} {sum(codes.values()):>6,}   " + "  ".join(f"{c} {n:,}" for c, n in codes.most_common()))
    waits = sorted(waits_s)
    slowest, p99 = waits[-1], waits[int(len(waits) * 0.99)]
    middle = waits[len(waits) // 2]
    print(f"  reader     {len(waits):>6,}   median {middle:.3f} s, p99 {p99:.3f} s, slowest {slowest:.3f} s")
    print(f"  memory     {before_mb:.0f} MB before, {grown_mb:+.0f} MB at most; {took_s:.0f} s, seed {hostile.seed}")
    for fault in hostile.faults:
        print(f"  fault      {fault}", file=sys.stderr)
    return 1 if hostile.faults or slowest > READER_S_MAX or grown_mb > GROWTH_MB_MAX else 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
