"""What is to be otherwise than it was: the version that answers, and how it is watched."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from streams.wire.records import Route, Watch


class ReplayError(ValueError):
    """What was asked for cannot be replayed; the text says why and what to do."""


class Change(msgspec.Struct, frozen=True):
    """What is to be otherwise than it was.

    Parameters
    ----------
    model
        ``v2``, or ``churn@v2`` where there are several models: the version that answers everything.
    watch
        Keys of `Watch` to be watched under, for every model; tolerances and budget one by one.
    settings
        Where ``watch`` comes from, for the result.
    """

    model: str | None = None
    watch: Mapping[str, Any] = {}
    settings: str | None = None

    @property
    def as_served(self) -> bool:
        """Whether nothing is to be otherwise."""
        return self.model is None and self.settings is None

    def instead(self, models: Sequence[str]) -> dict[str, str]:
        """The version that answers everything of a model, by model."""
        if self.model is None:
            return {}
        name, _, version = self.model.rpartition("@")
        if not name and len(models) != 1:
            which = ", ".join(f"{model}@{version}" for model in models)
            raise ReplayError(f"--model {version}: of which model? name it, as one of {which}")
        name = name or models[0]
        if name not in models:
            raise ReplayError(f"--model {self.model}: no model {name!r} serves here, only {', '.join(models)}")
        return {name: version}

    def alter(self, route: Route, instead: Mapping[str, str]) -> Route:
        """A route as it is to be."""
        watch = msgspec.to_builtins(route.watch)
        for key, value in self.watch.items():
            watch[key] = {**watch[key], **value} if isinstance(value, dict) else value
        changed = msgspec.structs.replace(route, watch=msgspec.convert(watch, Watch))
        if route.model in instead:
            changed = msgspec.structs.replace(changed, champion=instead[route.model], canary={}, shadows=())
        return changed


def watch_of(file: Path) -> dict[str, Any]:
    """Read the section ``watch`` of a settings file.

    Raises
    ------
    ReplayError
        It cannot be read, has no such section, or a key of it cannot hold.
    """
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8")).get("watch")
    except (OSError, ValueError) as error:
        raise ReplayError(f"--settings {file}: {error}") from None
    if not given:
        raise ReplayError(f"--settings {file}: no section [watch], so nothing would be otherwise")
    try:
        msgspec.convert(given, Watch)
    except msgspec.ValidationError as error:
        raise ReplayError(f"--settings {file}, [watch]: {error}; see streams.wire.records.Watch for its keys") from None
    return dict(given)
