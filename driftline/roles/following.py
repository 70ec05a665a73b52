"""How a worker follows routes: each that is announced is loaded; one that cannot be is tried again, and named."""

import threading
from collections.abc import Collection
from typing import Any

import structlog

from inference import Serving
from streams import ranges
from streams.cluster import Cluster
from streams.records import Route
from streams.routes import read_book

log = structlog.get_logger("driftline.worker")

#: Pauses before a route that could not be loaded is tried again; the last one repeats.
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class Following:
    """Follows the routes of one worker, and keeps what ``/status`` says of them.

    Parameters
    ----------
    serving
        Loads and serves.
    status
        By model ``{"version", "epoch", "refused"?, "refused_epoch"?}``: what this worker serves, and why it does not
        serve the newest route.
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
        self._loading = threading.Lock()
        self._news = threading.Event()

    def follow(self, route: Route) -> None:
        """Serve by a route; where that cannot be, the former one goes on."""
        if route.model not in self._elsewhere:
            with self._loading:
                self._try(route)

    def catch_up(self) -> None:
        """Begin to load every model that was announced until now; returns before they are loaded."""
        ends = ranges.bounds(self._cluster, "models")
        if ends == self._ends:
            return
        for route in read_book(self._cluster, warn=False).routes.values():
            known = route.model in self._serving.models() or route.model in self._serving.missing()
            if not known and route.model not in self._elsewhere:
                self._serving.expect(route)
                threading.Thread(target=self.follow, args=(route,), name="follow-route", daemon=True).start()
        self._ends = ends

    def retry(self) -> None:
        """Try again what could not be loaded, for ever: its registry may have been away, its package may be mended."""
        failures = 0
        while True:
            self._news.wait(RETRY_S[min(failures, len(RETRY_S) - 1)] if self._refused else None)
            if self._news.is_set():  # a route was refused just now: begin with the shortest pause
                self._news.clear()
                failures = 0
                continue
            failures += 1
            for route in list(self._refused.values()):
                with self._loading:
                    if self._refused.get(route.model) is route:
                        self._try(route)

    def _try(self, route: Route) -> None:
        known = self._status.get(route.model, {})
        if route.epoch < max(known.get("epoch", 0), known.get("refused_epoch", 0)):
            return  # two threads follow routes; the other one had a newer route
        try:
            self._serving.follow(route)
        except Exception as error:  # the old route goes on; what is wrong with the new one stands on the status page
            why = str(error) or type(error).__name__
            if known.get("refused") != why:
                log.error("worker.route_refused", model=route.model, epoch=route.epoch, why=why)
            self._status[route.model] = {**known, "refused": why, "refused_epoch": route.epoch}
            if self._refused.get(route.model) is not route:
                self._refused[route.model] = route
                self._news.set()
        else:
            self._refused.pop(route.model, None)
            self._status[route.model] = {"version": route.champion, "epoch": route.epoch}
