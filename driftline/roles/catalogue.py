"""The catalogue: references out of the registry, beside their models, or where a watched topic says.

A version whose reference cannot be used stops itself alone: it is told once, and looked at again from time to time.
Where the registry as a whole does not answer, nothing is known of any version, and it is waited for.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from drift.reference.catalogue import Unusable, Unwatched
from drift.reference.file import NoReference
from drift.reference.reference import Reference
from inference import Registry, VersionRemoved
from streams.away import Away
from streams.clock import ticks_ms
from streams.wire.records import DEFAULT_VERSION

log = structlog.get_logger("driftline.roles.catalogue")

#: Versions without one that are remembered; their names may be anybody's.
WITHOUT_MAX = 1_000
#: A version without a usable reference is looked at again after so long: to look is to hash all its files.
RETRY_MS = 30_000

_Version = tuple[str, str]


class References:
    """A `drift.reference.catalogue.Catalogue`; it may be asked from any thread.

    Parameters
    ----------
    registry
        Where packages lie.
    files
        References that lie elsewhere, by model and version.
    clock
        Milliseconds that only grow.
    warn
        Say in the log what cannot be used, once; a command says so itself.
    """

    def __init__(
        self,
        registry: Registry,
        files: Mapping[_Version, Path],
        clock: Callable[[], float] = ticks_ms,
        warn: bool = False,
    ) -> None:
        self._registry = registry
        self._files = files
        self._clock = clock
        self._warn = warn
        self._known: dict[_Version, Reference] = {}
        self._without: dict[_Version, tuple[float, Unwatched]] = {}  # since when, and why
        self._lock = threading.Lock()

    def __call__(self, model: str, version: str) -> Reference:
        """Find a reference; see `drift.reference.catalogue.Catalogue`."""
        key = (model, version)
        if key in self._known:
            return self._known[key]
        if version == DEFAULT_VERSION and key not in self._files:
            raise Unwatched(f"{model} {version}: fixed scores that stood in for a version are nobody's")
        with self._lock:
            if key not in self._known:
                self._known[key] = self._look(key)
        return self._known[key]

    def _look(self, key: _Version) -> Reference:
        looked_ms, former = self._without.pop(key, (0.0, None))
        if former is not None and self._clock() - looked_ms < RETRY_MS:
            self._without[key] = (looked_ms, former)
            raise former
        try:
            reference = self._in_file(*key) if key in self._files else self._in_registry(*key)
        except Unwatched as why:
            if self._warn and isinstance(why, Unusable) and str(why) != str(former):
                log.error("reference.unusable", model=key[0], version=key[1], why=str(why), others="go on")
            self._without[key] = (self._clock(), why)
            if len(self._without) > WITHOUT_MAX:
                del self._without[next(iter(self._without))]
            raise
        if self._warn and former is not None:
            log.info("reference.usable", model=key[0], version=key[1])
        return reference

    def _in_file(self, model: str, version: str) -> Reference:
        try:
            return Reference.from_file(self._files[model, version])
        except (NoReference, OSError) as error:
            raise Unusable(f"{error}; put back the reference of {model} {version}") from error

    def _in_registry(self, model: str, version: str) -> Reference:
        try:
            path = self._registry.folder(model, version) / "reference.arrow"
            if not path.exists():
                raise Unwatched(f"{model} {version} has no {path.name}; make one with `driftline reference build`")
            return Reference.from_file(path)
        except VersionRemoved as error:
            raise Unwatched(str(error)) from None  # Earlier counts over it stay as they are.
        except Away:
            raise
        except ValueError as error:  # of names, manifests, packages, references
            raise Unusable(f"{error}; put {model} {version} back as it was added") from error
        except OSError as error:
            raise Unusable(f"{model} {version}: {error}") from error
