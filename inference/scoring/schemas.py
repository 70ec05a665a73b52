"""What decoders ask: the schema of a model, by one picture of what serves."""

from collections.abc import Mapping

from inference.packages.model_toml import nearest
from inference.serving.models import NotServed, Served, Serving
from streams.wire.refusals import Refused
from streams.wire.schema import FeatureSchema


class ServedSchemas:
    """What decoders ask: the schema of a model by one picture of what serves, and why there is none.

    ``absent`` are the models that were asked for in vain since the last `look`.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._models: Mapping[str, Served] = {}
        self._missing: Mapping[str, NotServed] = {}
        self.absent: set[str] = set()

    def look(self) -> Mapping[str, Served]:
        """Take a new picture of what serves."""
        self.absent = set()
        self._missing = self._serving.missing()
        self._models = self._serving.models()
        return self._models

    def outdated(self) -> bool:
        """Whether a new picture would show something else."""
        return self._models is not self._serving.models() or self._missing is not self._serving.missing()

    def __call__(self, model: str | None, /) -> tuple[str, FeatureSchema] | None:
        """Find a model's schema; without a name, that of the only one that has a route, loaded or not."""
        models = self._models or self._serving.models()
        routed = {*models, *self._missing}
        if model is None and len(routed) == 1:
            (model,) = routed
        served = models.get(model) if model is not None else None
        return None if served is None or model is None else (model, served.schema)

    def why_absent(self, model: str | None) -> Refused:
        """Say why a request has no model."""
        if model is None and (names := ", ".join(sorted({*self._models, *self._missing}))):
            several = f"no model is named, and several serve: put one of {names} into the field or the header 'model'"
            return Refused("unknown_model", "$.model", several)
        if model is None:
            return Refused("unknown_model", "$.model", "no model is named, and none serves")
        self.absent.add(model)
        if missing := self._missing.get(model):
            return Refused("model_not_loaded", "$.model", str(missing))
        near = nearest(model, tuple(sorted(self._models))) if self._models else ""
        return Refused("unknown_model", "$.model", f"no route for {model!r}{near}")
