"""The shape of a request by a model's schema: which fields of which types, and what is said where they are not."""

import re
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from streams.refusals import Refused
from streams.schema import Feature, FeatureSchema


class Decoders(msgspec.Struct, frozen=True):
    """``either`` takes both forms, features in an object of their own or at the top level, in one pass; ``nested`` the
    first alone, and leaves the top level alone; ``features`` is the Struct of that object.
    """

    either: msgspec.json.Decoder[Any]
    nested: msgspec.json.Decoder[Any]
    features: type[msgspec.Struct]


@lru_cache(maxsize=256)
def request_decoders(schema: FeatureSchema) -> Decoders:
    """Make what checks a request by a schema; ``.type`` of either one is a Struct for `msgspec.convert`."""
    fields = [(f"f{j}", *_field(feature)) for j, feature in enumerate(schema.features)]
    rename = {f"f{j}": feature.name for j, feature in enumerate(schema.features)}
    # gc=False: they hold no cycles, and thousands live at once, which the collector would walk again and again.
    features = msgspec.defstruct("Features", fields, rename=rename, kw_only=True, gc=False)
    flat = [(name, kind | msgspec.UnsetType, UNSET) for name, kind, *_ in fields]
    own = [
        ("id", str | int | None, None),
        ("ts", int | float | str | None, None),
        ("model", str | None, None),
        ("features", features | msgspec.UnsetType, UNSET),
    ]
    either = msgspec.defstruct("Request", [*own, *flat], rename=rename, gc=False)
    return Decoders(msgspec.json.Decoder(either), msgspec.json.Decoder(msgspec.defstruct("Nested", own)), features)


def _field(feature: Feature) -> tuple[Any, ...]:
    kind: Any = {"numeric": float, "boolean": bool | Literal[0, 1], "categorical": str | int | float}[feature.kind]
    return (kind,) if feature.required else (kind | None, None)


_AT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>.*)`", re.DOTALL)


def misfit(error: msgspec.ValidationError) -> Refused:
    """Say which field does not fit, and how."""
    said = _AT.match(str(error))
    what, path = (said["what"], said["path"] or "$") if said else (str(error), "$")
    missing = _MISSING.search(what)
    return Refused("missing_field", f"{path}.{missing['name']}", what) if missing else Refused("wrong_type", path, what)


def features_of(request: Any, schema: FeatureSchema) -> tuple[Any, ...]:
    """Values of a request in schema order, in whichever form it came.

    Raises
    ------
    Refused
        A required one is missing at the top level.
    """
    if request.features is not UNSET:
        return astuple(request.features)
    features = astuple(request)[4:]
    if UNSET in features:
        return tuple(_flat(v, f) for v, f in zip(features, schema.features, strict=True))
    return features


def _flat(value: Any, feature: Feature) -> Any:
    if value is not UNSET:
        return value
    if feature.required:
        raise Refused("missing_field", f"$.{feature.name}", f"Object missing required field `{feature.name}`")
    return None
