"""The versions that are served: loaded one after the other, found by what a request names, asked through a batcher."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from inference.backends import Fatal
from inference.oip.answers import answer_of
from inference.oip.refusals import InvalidRequest, Loading, UnknownModel, count, shown
from inference.oip.requests import DATATYPE, INPUT, OUTPUT, InferAnswer, InferRequest, matrix_of
from inference.packages.model_toml import ModelPackage
from inference.serving.batch_facts import RequestRefused
from inference.serving.batcher import Batcher
from inference.serving.hung_calls import hangs
from inference.serving.scorer import Scorer
from streams.away import Away, patiently
from streams.clock import ticks_ms
from streams.logs import logger

Load = Callable[[str, str], Scorer]
PLATFORM = "driftline"


class Named(NamedTuple):
    """A version by its names."""

    model: str
    version: str

    def __str__(self) -> str:
        return f"{self.model} {self.version}"


class Versions:
    """Versions that are named once and served until the end.

    Parameters
    ----------
    load
        As `Registry.load` without its device; called from one thread.
    named
        Which versions, at least one; of a request that names none, the first of its model is asked.
    """

    def __init__(self, load: Load, named: Sequence[Named]) -> None:
        self.named = tuple(dict.fromkeys(named))
        self._load = load
        self._batchers: dict[Named, Batcher] = {}
        self._scorers: dict[Named, Scorer] = {}
        self._waits = ""
        self._stopping = False

    def load(self, on_error: Callable[[Exception], object]) -> None:
        """Begin to load; returns at once. What does not answer is asked again for ever.

        Parameters
        ----------
        on_error
            Told why a version cannot be loaded, or that only a new process can go on.
        """
        threading.Thread(target=self._load_all, args=(on_error,), name="load", daemon=True).start()

    def _load_all(self, on_error: Callable[[Exception], object]) -> None:
        try:
            patiently(partial(self._load_missing, on_error), self._await, lambda: self._stopping)
        except Exception as error:
            on_error(error)

    def _load_missing(self, on_fatal: Callable[[Fatal], object]) -> None:
        """Load what is not loaded yet; a version whose server does not answer holds up no other."""
        away: list[str] = []
        for named in self.named:
            if named in self._batchers or self._stopping:
                continue
            try:
                self._load_one(named, on_fatal)
            except Away as error:
                away.append(str(error))
                self._await("; ".join(away))
        if away:
            raise Away("; ".join(dict.fromkeys(away)))

    def _load_one(self, named: Named, on_fatal: Callable[[Fatal], object]) -> None:
        started = time.monotonic()
        scorer = self._load(*named)
        self._scorers[named] = scorer
        self._batchers[named] = Batcher(scorer, on_fatal)
        took_s = round(time.monotonic() - started, 1)
        logger(__name__).info("oip.loaded", model=named.model, version=named.version, s=took_s)

    def _await(self, what: str) -> None:
        if what and what != self._waits:
            logger(__name__).warning("oip.waits", why=what)
        self._waits = what

    def trouble(self) -> list[str]:
        """Why this process is not ready, a line each."""
        if self._stopping:
            return ["it stops"]
        loading = [f"{named} is being loaded" for named in self.named if named not in self._batchers]
        away = [why for batcher in list(self._batchers.values()) if (why := batcher.health())]  # it may grow meanwhile
        return [*([self._waits] if self._waits else []), *loading, *away]

    def hung(self) -> str:
        """Which version has had a batch for too long; empty where none has."""
        now_ms = ticks_ms()
        return next((why for scorer in list(self._scorers.values()) if (why := hangs(scorer, now_ms))), "")

    def versions_of(self, model: str) -> list[str]:
        """Versions of a model that are named here, the one that is asked by default first."""
        return [named.version for named in self.named if named.model == model]

    def find(self, model: str, version: str = "") -> Batcher:
        """What answers for a model.

        Raises
        ------
        UnknownModel
            Nobody named it on the command line.
        Loading
            It is being loaded.
        """
        versions = self.versions_of(model)
        if not versions or (version and version not in versions):
            here = ", ".join(map(str, self.named[:20]))
            raise UnknownModel(f"{shown(f'{model} {version}'.strip())} is not served here; {here} is")
        named = Named(model, version or versions[0])
        if named not in self._batchers:
            raise Loading(f"{named} is being loaded{f': {self._waits}' if self._waits else ''}; ask again in seconds")
        return self._batchers[named]

    def is_ready(self, model: str, version: str = "") -> bool:
        """Whether a version answers now."""
        try:
            return not self._stopping and not self.find(model, version).health()
        except (UnknownModel, Loading):
            return False

    async def infer(self, request: InferRequest) -> InferAnswer:
        """Score a request's rows; cancelled, it leaves the queue.

        Raises
        ------
        InvalidRequest, UnknownModel, Away, Fatal, ModelBroken
            See `inference.oip.refusals`.
        """
        names = ("", "")
        try:
            batcher = self.find(request.model, request.version)
            package = batcher.package
            names = (package.name, package.version)
            matrix = matrix_of(request, package.schema, batcher.rows_waiting_max)
            if request.bucket and request.bucket not in batcher.shapes.buckets:
                raise InvalidRequest(f"{request.bucket} is no shape of {Named(*names)}; {batcher.shapes.buckets} are")
            return answer_of(request, package, await asyncio.wrap_future(batcher.submit(matrix, request.bucket)))
        except asyncio.CancelledError:
            RequestRefused(*names, "gone").tell()
            raise
        except Exception as error:
            count(error, *names)
            raise

    async def close(self, wait_s: float) -> bool:
        """Take no new rows, and wait for those that are being scored; returns whether all are."""
        self._stopping = True
        batchers = list(self._batchers.values())
        for batcher in batchers:
            batcher.close()
        until = time.monotonic() + wait_s
        joined = [await asyncio.to_thread(batcher.join, max(0.0, until - time.monotonic())) for batcher in batchers]
        return all(joined)


def metadata_of(batcher: Batcher) -> dict[str, Any]:
    """What a version takes and gives, as the protocol's JSON has it; ``parameters`` say what has no place there."""
    package = batcher.package
    return {
        "name": package.name,
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": DATATYPE, "shape": [-1, len(package.inputs)]}],
        "outputs": [{"name": OUTPUT, "datatype": DATATYPE, "shape": [-1, batcher.outputs]}],
        "parameters": {
            "version": package.version,
            "task": package.task,
            "features": _features(package),
            "classes": list(package.outputs.classes),
            "buckets": list(batcher.shapes.buckets),
            "rows_max": batcher.rows_waiting_max,
        },
    }


def _features(package: ModelPackage) -> list[dict[str, Any]]:
    """Columns of the matrix; a level's code is its place among the categories."""
    return [
        {
            "name": feature.name,
            "kind": feature.kind,
            **({"categories": feature.categories} if feature.categories else {}),
        }
        for feature in package.inputs
    ]
