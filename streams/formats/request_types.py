"""Types of a request by a model's schema: which fields of which types, and what is said where they are not."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from streams.wire.refusals import Refused
from streams.wire.rows import takes_truths
from streams.wire.schema import Feature, FeatureSchema
from streams.wire.spelling import BOOLEAN_TEXTS


class Renaming:
    """Reads JSON whose fields have names that msgspec cannot look for in it: with a quote, a backslash, a tab.

    A request is read as a plain object, and its fields are looked for by names of our own.
    """

    def __init__(self, kind: type[msgspec.Struct], names: Mapping[str, str]) -> None:
        self.type = kind
        self._names = names

    def decode(self, value: bytes) -> Any:
        """Read and check a request."""
        return self.convert(msgspec.json.decode(value))

    def convert(self, request: Any) -> Any:
        """Check a request."""
        try:
            return msgspec.convert(self.renamed(request), self.type)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(self._with_names(str(error))) from None

    def restored(self, refused: Refused) -> Refused:
        """A refusal with the names as they stand in the request."""
        reason, field, detail = refused.args
        return Refused(reason, self._with_names(field), self._with_names(detail), refused.got)

    def _with_names(self, text: str) -> str:
        for name, ours in self._names.items():
            text = text.replace(ours, name)
        return text

    def renamed(self, request: Any) -> Any:
        """A request whose fields have names of our own."""
        if not isinstance(request, dict):
            return request
        nested = request.get("features")
        renamed = {self._names.get(name, name): value for name, value in request.items()}
        return renamed | {"features": self.renamed(nested)} if isinstance(nested, dict) else renamed


Reader = msgspec.json.Decoder[Any] | Renaming


class Decoders(msgspec.Struct, frozen=True):
    """``either`` takes both forms, features in an object of their own or at the top level, in one pass; ``nested`` the
    first alone, and leaves the top level alone; ``features`` reads that object.
    """

    either: Reader
    nested: Reader
    features: Reader


def convert(reader: Reader, request: Any) -> Any:
    """Check a plain object, as what a reader reads.

    Raises
    ------
    msgspec.ValidationError
        It does not fit.
    """
    return reader.convert(request) if isinstance(reader, Renaming) else msgspec.convert(request, reader.type)


@lru_cache(maxsize=256)
def request_decoders(schema: FeatureSchema) -> Decoders:
    """Make what checks a request by a schema."""
    fields = [(f"f{j}", *_field(feature)) for j, feature in enumerate(schema.features)]
    ours = {f.name: f"\ue000{j}\ue000" for j, f in enumerate(schema.features) if _UNFIT.search(f.name)}
    rename = {f"f{j}": ours.get(feature.name, feature.name) for j, feature in enumerate(schema.features)}
    # gc=False: they hold no cycles, and thousands live at once, which the collector would walk again and again.
    features = msgspec.defstruct("Features", fields, rename=rename, kw_only=True, gc=False)
    flat = [(name, kind | msgspec.UnsetType, UNSET) for name, kind, *_ in fields]
    envelope = [
        ("id", str | int | None, None),
        ("ts", int | float | str | None, None),
        ("model", str | None, None),
        ("features", features | msgspec.UnsetType, UNSET),
    ]
    either = msgspec.defstruct("Request", [*envelope, *flat], rename=rename, gc=False)

    def reader(kind: type[msgspec.Struct]) -> Reader:
        return Renaming(kind, ours) if ours else msgspec.json.Decoder(kind)

    return Decoders(reader(either), reader(msgspec.defstruct("Nested", envelope)), reader(features))


#: What msgspec takes in no field's name.
_UNFIT = re.compile(r'[\\"\x00-\x1f]')
#: A truth value by its value, however a client writes it: a column with missing values makes 1.0 of true.
_Truth = bool | Annotated[float, msgspec.Meta(ge=0, le=1, multiple_of=1)] | Literal[BOOLEAN_TEXTS]  # type: ignore[valid-type]


def _field(feature: Feature) -> tuple[Any, ...]:
    kind: Any = {"numeric": float, "boolean": _Truth, "categorical": str | int | float}[feature.kind]
    if feature.kind == "categorical" and takes_truths(feature):
        kind = kind | bool
    return (kind,) if feature.required else (kind | None, None)


_TRUTHS = frozenset(get_args(_Truth))


def truth_misfit(kind: Any, field: str, got: str) -> Refused | None:
    """Say of a truth value what no decoder says, for it knows only the types that it is made of.

    Parameters
    ----------
    kind
        Of the field; None is returned where it is no truth value.
    field
        Its path.
    got
        What stands there instead.
    """
    kinds = set(get_args(kind))
    if not kinds >= _TRUTHS:
        return None
    got = "float" if got == "int" else got
    null = " | null" if type(None) in kinds and got not in ("float", "str") else ""
    return Refused("wrong_type", field, f"Expected `bool | 0 | 1{null}`, got `{got}`", got)


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
