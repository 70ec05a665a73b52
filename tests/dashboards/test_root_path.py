"""The page below a path of a proxy: every link, script and answer is asked for below it."""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen

import browser
import playing
import pytest
import scene

from dashboards.page import make_server
from drift.store import Store

pytestmark = pytest.mark.system  # minutes: `make test-all`

ROOT = "/tools/drift"
NAME = "drift.localhost"  # browsers take it for loopback, and it is another name than the page's own


class Proxy(BaseHTTPRequestHandler):
    """A reverse proxy that serves the page below `ROOT`, and nothing beside it."""

    upstream = 0
    strips = True
    outside: list[str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not (self.path == ROOT or self.path.startswith(f"{ROOT}/")):
            self.outside.append(self.path)
            self.send_error(404)
            return
        path = (self.path.removeprefix(ROOT) or "/") if self.strips else self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        back = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=30)
        back.request(self.command, path, body, dict(self.headers))
        answer = back.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in ("Connection", "Transfer-Encoding", "Content-Length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        back.close()

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(params=[True, False], ids=["stripped", "kept"])
def proxied(request: pytest.FixtureRequest, store: Store) -> Iterator[tuple[str, list[str]]]:
    """Address of the page behind the proxy, and what was asked for outside of it."""
    page = make_server(
        store.query, scene.status, clock=lambda: scene.END_MS + 20_000, root_path=ROOT, hosts=[NAME, "127.0.0.1"]
    )
    with playing.running(page):
        handler = type("One", (Proxy,), {"upstream": int(page.effective_port), "strips": request.param, "outside": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{NAME}:{server.server_port}", handler.outside
        server.shutdown()
        server.server_close()


def test_the_twins_and_probes_are_below_it(proxied: tuple[str, list[str]]) -> None:
    url = proxied[0].replace(NAME, "127.0.0.1")
    said = json.loads(urlopen(f"{url}{ROOT}/api/m/employment?last=6h").read())
    assert said["address"] == f"{ROOT}/m/employment?last=6h" and said["page"] == "model"
    assert json.loads(urlopen(url + said["address"].replace(ROOT, f"{ROOT}/api", 1)).read())["page"] == "model"
    for path in ("/livez", "/readyz", "", "/"):
        assert urlopen(url + ROOT + path).status == 200


@pytest.mark.skipif(bool(browser.MISSING), reason=f"needs {browser.MISSING}")
def test_a_reader_clicks_through_every_page(proxied: tuple[str, list[str]]) -> None:
    url, outside = proxied
    with browser.chromium() as window:
        window.open(url + ROOT + "/")
        _click(window, ".model .name", "/m/employment")
        window.until(lambda: window.find("#chart-drift_map .ytick a"), "the map's links")
        links = [str(link.get_attribute("href")) for link in window.find("a[href]")]
        assert [link for link in links if not link.startswith(f"{url}{ROOT}/")] == []
        window.open(url + _href(window, "#chart-drift_map .ytick a"))
        assert window.driver.current_url.startswith(f"{url}{ROOT}/m/employment/c/")
        _click(window, ".brand", "/")
        _click(window, 'nav a[href$="/pipeline"]', "/pipeline")
        window.open(f"{url}{ROOT}/i/employment-1")
        assert window.find(f'a[href^="{ROOT}/m/employment/c/"]')
        assert window.complaints() == []
        assert window.asked() == {url.removeprefix("http://")}
    assert outside == []


def _click(window: browser.Browser, css: str, path: str) -> None:
    window.driver.execute_script("arguments[0].click()", window.find(css)[0])
    window.until(lambda: window.driver.current_url.partition("?")[0].endswith(ROOT + path), path)
    window.until(lambda: window.find(".sentence"), "the sentence")


def _href(window: browser.Browser, css: str) -> str:
    script = "const a = document.querySelector(arguments[0]); return a.href.baseVal ?? a.getAttribute('href')"
    return str(window.driver.execute_script(script, css))
