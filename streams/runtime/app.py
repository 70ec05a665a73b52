"""The Faust app of one role: it supervises the agents, follows `models`, and answers over HTTP on loopback."""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import faust
import msgspec
import prometheus_client

from streams.kafka import members
from streams.kafka.alive import Broker
from streams.kafka.cluster import Cluster
from streams.kafka.credentials import faust_credentials
from streams.logs import escape_strangers
from streams.private import private_folder
from streams.runtime import connections, slots
from streams.runtime.agent import Agent
from streams.runtime.needs import Need
from streams.runtime.starting import Answer, Starting
from streams.wire.records import Route
from streams.wire.route_book import RouteBook

_SESSION_S = 10.0
_STOP_S_MAX = 8.0


class _App(faust.App):  # type: ignore[misc]
    """A Faust app that ends in our order, and in time."""

    step_agents: list[Agent]

    async def on_start(self) -> None:
        """Bound the connections of the server that begins with the app."""
        self.add_future(connections.bound(lambda: self.web._runner.server))
        await super().on_start()

    async def on_stop(self) -> None:
        """Let the agents finish what they hold, side by side, before Faust stops the rest.

        Where the log has gone as well, an orderly end would wait for it for ever: the deadline begins first.
        """
        ending = threading.Timer(_STOP_S_MAX, os._exit, (1,))
        ending.daemon = True
        ending.start()
        await asyncio.gather(*(agent.stop() for agent in self.step_agents))
        await super().on_stop()


class _Worker(faust.Worker):  # type: ignore[misc]
    """A Faust worker whose dump shows lines of code alone: Faust's own shows every local variable, and with them the
    settings and their secrets."""

    def _on_sigusr1(self) -> None:
        faulthandler.dump_traceback(sys.stderr, all_threads=True)
        for task in asyncio.all_tasks(self.loop):
            task.print_stack(file=sys.stderr)
        sys.stderr.flush()

    def _on_sigusr2(self) -> None:
        """No debugger: a role has no terminal."""


class Role:
    """One process: a Faust app with its agents.

    Parameters
    ----------
    cluster
        The log.
    name, slot
        ``worker`` and ``0``, say: what names this process in groups and logs.
    port
        For ``/livez``, ``/readyz``, ``/startupz``, ``/metrics`` and ``/status``, on ``host``.
    folder
        Where Faust may keep files; it keeps none that matter.
    """

    def __init__(
        self, cluster: Cluster, name: str, slot: str, port: int, host: str = "127.0.0.1", *, folder: Path
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.slot = slot
        self.agents: list[Agent] = []
        self.serving: dict[str, dict[str, Any]] = {}
        self.needs = [Need(f"Kafka at {cluster.bootstrap}", Broker(cluster, "models").ask, blocks=True)]
        self._awaited = ""
        self._started = False
        # Whoever looks up a group finds its members by this, and where each of them answers: see
        # `streams.kafka.members`.
        self._client = members.client_id(name, slot, port)
        private_folder(folder)  # Faust makes the last folder of a path alone
        self.app = _App(
            # Faust's own group, which follows `models`, is new at every start: a member of the same group that was
            # killed would hold its session, and with it our agents, for ten seconds. Routes are read whole anyway.
            cluster.topic(f"{name}-{slot}-{uuid4().hex[:8]}"),
            broker=[f"kafka://{address.strip()}" for address in cluster.bootstrap.split(",")],
            broker_credentials=faust_credentials(cluster.opened()),
            broker_session_timeout=_SESSION_S,
            broker_request_timeout=_SESSION_S * 2,
            consumer_auto_offset_reset="earliest",
            topic_disable_leader=True,
            store="memory://",
            datadir=folder,
            web_bind=host,
            web_host=host,
            web_port=port,
            autodiscover=False,
            stream_wait_empty=False,  # a model that is still being loaded would be waited for
        )
        self.app.step_agents = self.agents
        pages = {"/livez": self._livez, "/readyz": self._readyz, "/startupz": self._startupz}
        pages |= {"/metrics": self._metrics, "/status": self._status}
        self._starting = Starting(host, port, pages)
        for path, answer in pages.items():
            self._serve(path, answer)

    def add_agent(self, *args: Any, **kwargs: Any) -> Agent:
        """Add an agent (see `Agent`) to this process."""
        agent = Agent(self.app, *args, slot=self.slot, client=self._client, **kwargs)
        self.agents.append(agent)
        return agent

    def follow_models(self, book: RouteBook, news: Callable[[Route], None]) -> None:
        """Follow `models`; ``news`` is told every route that is newer than what the book holds."""
        topic = self.app.topic(self.cluster.topic("models"), key_serializer="raw", value_serializer="raw")

        async def follow(stream: Any) -> None:
            async for event in stream.events():
                record = f"models/{event.message.partition}/{event.message.offset}"
                route = book.apply(event.value, record)
                book.warn()
                if route is not None:
                    await _in_daemon_thread(news, route)

        self.app.agent(topic, name="driftline.models")(follow)

    def begin(self) -> None:
        """Answer over HTTP from now on, and ask what is needed whether it answers: what comes before `run` may wait."""
        for need in self.needs:
            need.start()
        self._starting.start()

    def awaits(self, what: str) -> None:
        """Take down what is waited for before `run`; empty where nothing is any more."""
        self._awaited = what

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; on SIGUSR1 it writes to stderr where every thread and task stands.

        Raises
        ------
        SlotTaken
            Another process of this role has the slot.
        """
        self._starting.stop()  # a predecessor is looked for at this very port
        self._started = True
        if self.agents:
            slots.refuse_taken(self.cluster, self.agents[0].name, f"{self.name}-{self.slot}")
        escape_strangers()
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
        worker = _Worker(self.app, loglevel="WARNING", redirect_stdouts=False, override_logging=False)
        worker.execute_from_commandline()

    def status(self) -> dict[str, Any]:
        """What the pipeline page shows of this process."""
        steps = [agent.health.status() for agent in self.agents] if self._started else []
        about = {"role": f"{self.name}-{self.slot}", "started": self._started, "waits": self.away()}
        return {**about, "steps": steps, "serving": self.serving}

    def away(self) -> list[str]:
        """What the process needs and does not get, whatever its steps do."""
        reasons = [*(need.away() for need in self.needs), self._awaited]
        return list(dict.fromkeys(filter(None, reasons)))

    def trouble(self) -> list[str]:
        """Why this process is not ready."""
        if not self._started:
            return self.away() or ["it starts"]
        blocked = [why for need in self.needs if need.blocks and (why := need.away())]
        return [*blocked, *(f"{agent.name}: {wrong}" for agent in self.agents if (wrong := agent.health.trouble()))]

    def waits(self) -> list[str]:
        """What is waited for while everything else goes on."""
        if not self._started:
            return []
        away = [why for need in self.needs if not need.blocks and (why := need.away())]
        return [*away, *(f"{agent.name} waits: {why}" for agent in self.agents if (why := agent.health.waits()))]

    def set_aside(self) -> list[str]:
        """What was set aside of late while everything else went on."""
        return [f"{agent.name}: {note}" for agent in self.agents for note in agent.health.set_aside()]

    def _livez(self) -> Answer:
        return _lines(["ok"])

    def _readyz(self) -> Answer:
        why = self.trouble()
        return _lines([*(why or ["ok"]), *self.waits(), *self.set_aside()], 503 if why else 200)

    def _startupz(self) -> Answer:
        # What waits for something that is away is no fault of this process: a restart would change nothing.
        blocked = not self._started or any(need.blocks and need.away() for need in self.needs)
        agents = [] if blocked else self.agents
        why = [f"{agent.name}: {failing}" for agent in agents if (failing := agent.health.failing())]
        return _lines(why or ["ok"], 503 if why else 200)

    def _metrics(self) -> Answer:
        self.status()  # brings the lag up to now
        return 200, "text/plain", prometheus_client.generate_latest()

    def _status(self) -> Answer:
        return 200, "application/json", msgspec.json.encode(self.status())

    def _serve(self, path: str, answer: Callable[[], Answer]) -> None:
        async def page(web: Any, request: Any) -> Any:  # noqa: ARG001
            code, kind, body = answer()
            return web.bytes(body, content_type=kind, status=code)

        self.app.page(path)(page)


def _lines(lines: list[str], code: int = 200) -> Answer:
    return code, "text/plain", ("\n".join(lines) + "\n").encode()


async def _in_daemon_thread(call: Callable[..., None], *args: Any) -> None:
    """Wait for a call that the end of the process does not wait for, as it does for those in an executor: to load a
    model may take long."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(None)

    def run() -> None:
        error = None
        try:
            call(*args)
        except Exception as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=run, name=getattr(call, "__name__", "call"), daemon=True).start()
    await done
