"""Connections to a role: half a request is not waited for for ever, and many leave room for a probe."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web

from streams.runtime import connections
from streams.runtime.connections import Bounds


def test_of_too_many_those_go_that_have_brought_nothing_for_the_longest(monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 2)
    bounds = Bounds()
    assert bounds.over({"a": 0, "b": 0}, 0.0) == []
    assert bounds.over({"a": 1, "b": 0, "c": 0}, 1.0) == ["b"]
    assert bounds.over({"a": 1, "c": 0}, 11.0) == []
    assert bounds.over({"a": 1, "c": 1}, 11.1) == ["a"]


@pytest.mark.parametrize("limit", ["time", "number"])
def test_half_requests_are_closed_and_a_probe_is_answered(monkeypatch, limit):
    monkeypatch.setattr(connections, "QUIET_S_MAX", 1.0 if limit == "time" else 600.0)
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 1_000 if limit == "time" else 0)
    monkeypatch.setattr(connections, "_LOOK_S", 0.05)

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def both() -> None:
        app = web.Application()
        app.router.add_get("/livez", livez)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        where = runner.addresses[0][:2]
        halves = [await asyncio.open_connection(*where) for _ in range(20)]
        for _, writer in halves:
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Half")
        probe, asking = await asyncio.open_connection(*where)
        asking.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await asyncio.wait_for(probe.readline(), 30)).startswith(b"HTTP/1.1 200")
        bounding = asyncio.create_task(connections.bound(lambda: runner.server))
        for reader, _ in halves:
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 30) == b""
        bounding.cancel()
        await runner.cleanup()

    asyncio.run(both())
