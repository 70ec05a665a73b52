"""How a worker follows routes: each that is announced is loaded; one that cannot be is tried again, and named.

Models are loaded one after the other, but a load that takes longer than `NEXT_LOAD_S` holds up no other: it goes on
beside them, for ever if need be.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import structlog

from inference import Serving
from streams.away import Away
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.routes import read_book
from streams.wire.records import Route

log = structlog.get_logger("driftline.worker")

#: Pauses before a route that could not be loaded is tried again; the last one repeats.
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
#: The longest pause where something is away: whoever comes back should not be waited for.
RETRY_AWAY_S = 2.0
#: How long the next load waits for the one before it.
NEXT_LOAD_S = 20.0


class Following:
    """Follows the routes of one worker, and keeps what ``/status`` says of them.

    Parameters
    ----------
    serving
        Loads and serves.
    status
        By model ``{"version"?, "epoch"?, "refused"?, "refused_epoch"?, "away"?}``: what this worker serves, why it
        does not serve the newest route, and whether that is because something does not answer.
    elsewhere
        Models that somebody else serves.
    """

    def __init__(
        self, cluster: Cluster, serving: Serving, status: dict[str, dict[str, Any]], elsewhere: Collection[str] = ()
    ) -> None:
        self._cluster = cluster
        self._serving = serving
        self._status = status
        self._elsewhere = frozenset(elsewhere)
        self._refused: dict[str, Route] = {}
        self._ends: dict[int, tuple[int, int]] = {}
        self._loading = defaultdict[tuple[str, int], threading.Lock](threading.Lock)
        self._noting = threading.Lock()
        self._news = threading.Event()

    def begin(self, routes: Collection[Route]) -> None:
        """Begin to load the models of the routes that hold; returns before they are loaded, and until they are their
        requests wait."""
        expected = [route for route in routes if route.model not in self._elsewhere]
        for route in expected:
            self._serving.expect(route)
        self._in_background("follow-routes", partial(self._follow_all, expected))
        self._in_background("retry-routes", self.retry)

    def absent(self) -> str:
        """Models of which no version can be loaded because something does not answer; empty where there is none."""
        return "; ".join(
            f"{model}: {state['refused']}"
            for model, state in self._behind()
            if state["away"] and "version" not in state
        )

    def behind(self) -> str:
        """Models whose newest route is not followed, while an older one is or their requests are refused."""
        texts = [
            f"{model} {state['version']} goes on, epoch {state['refused_epoch']} is not followed: {state['refused']}"
            if "version" in state
            else f"requests of {model} are refused: {state['refused']}"
            for model, state in self._behind()
            if "version" in state or not state["away"]
        ]
        return "; ".join(texts)

    def _behind(self) -> list[tuple[str, dict[str, Any]]]:
        return sorted((model, state) for model, state in self._status.copy().items() if "refused" in state)

    def follow(self, route: Route) -> None:
        """Serve by a route; where that cannot be, the former one goes on."""
        if route.model not in self._elsewhere:
            with self._loading[route.model, route.epoch]:
                self._try(route)

    def follow_soon(self, route: Route) -> None:
        """The same in a thread of its own; returns once it is done, or has taken too long to wait for."""
        self._in_background("follow-route", partial(self.follow, route)).join(NEXT_LOAD_S)

    def _follow_all(self, routes: Collection[Route]) -> None:
        for route in routes:
            self.follow_soon(route)

    def catch_up(self) -> None:
        """Begin to load every model that was announced until now; returns before they are loaded."""
        ends = ranges.bounds(self._cluster, "models")
        if ends == self._ends:
            return
        for route in read_book(self._cluster, warn=False).routes.values():
            known = route.model in self._serving.models() or route.model in self._serving.missing()
            if not known and route.model not in self._elsewhere:
                self._serving.expect(route)
                self._in_background("follow-route", partial(self.follow, route))
        self._ends = ends

    def retry(self) -> None:
        """Try again what could not be loaded, for ever: its registry may have been away, its package may be mended."""
        failures = 0
        while True:
            self._news.wait(self._pause_s(failures))
            if self._news.is_set():  # a route was refused just now: begin with the shortest pause
                self._news.clear()
                failures = 0
                continue
            failures += 1
            for route in list(self._refused.values()):
                self._in_background("retry-route", partial(self._try_again, route)).join(NEXT_LOAD_S)

    def _try_again(self, route: Route) -> None:
        loading = self._loading[route.model, route.epoch]
        if not loading.acquire(blocking=False):
            return  # an earlier attempt still loads it
        try:
            if self._refused.get(route.model) is route:
                self._try(route)
        finally:
            loading.release()

    def _pause_s(self, failures: int) -> float | None:
        if not self._refused:
            return None
        pause_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
        away = any(self._status[model].get("away") for model in list(self._refused))
        return min(pause_s, RETRY_AWAY_S) if away else pause_s

    def _in_background(self, name: str, call: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=call, name=name, daemon=True)
        thread.start()
        return thread

    def _try(self, route: Route) -> None:
        if route.epoch < self._newest_tried(route.model):
            return  # threads follow routes; another one had a newer route
        error: Exception | None = None
        try:
            self._serving.follow(route)
        except Exception as raised:  # the old route goes on; what is wrong with the new one stands on the status page
            error = raised
        with self._noting:
            if route.epoch < self._newest_tried(route.model):
                self._note_served(route.model)  # a newer route was loaded or refused meanwhile, and is tried again
            elif error is None:
                self._refused.pop(route.model, None)
                self._status[route.model] = self._served(route.model)
            else:
                self._note_refused(route, error)

    def _newest_tried(self, model: str) -> int:
        state = self._status.get(model, {})
        return max(int(state.get("epoch", 0)), int(state.get("refused_epoch", 0)))

    def _note_served(self, model: str) -> None:
        self._status[model] = {**self._status[model], **self._served(model)}

    def _note_refused(self, route: Route, error: Exception) -> None:
        why = str(error) or type(error).__name__
        if self._status.get(route.model, {}).get("refused") != why:
            log.error("worker.route_refused", model=route.model, epoch=route.epoch, why=why)
        missing = self._serving.missing().get(route.model)
        away = missing.waits if missing else isinstance(error, Away)
        refused = {"refused": why, "refused_epoch": route.epoch, "away": away}
        self._status[route.model] = {**self._served(route.model), **refused}
        if self._refused.get(route.model) is not route:
            self._refused[route.model] = route
            self._news.set()

    def _served(self, model: str) -> dict[str, Any]:
        served = self._serving.models().get(model)
        return {"version": served.route.champion, "epoch": served.route.epoch} if served else {}
