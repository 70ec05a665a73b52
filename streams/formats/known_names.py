"""Names in a request that are no feature of its model: said by name, with what was probably meant.

>>> from streams.wire.schema import Feature
>>> schema = FeatureSchema((Feature("age", required=True), Feature("tenure")))
>>> unknown(["AGE", "TENURE", "when"], schema).args[2]
"none of its names is a feature: it has 'AGE', 'TENURE', 'when', and the model takes 'age', 'tenure'; names are \
case-sensitive: 'AGE' is 'age', 'TENURE' is 'tenure'"
>>> unknown(["age", "when"], schema) is None
True
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from streams.wire.refusals import Refused
from streams.wire.schema import FeatureSchema

#: What stands beside the features of a request whose features lie at the top level.
_ENVELOPE = frozenset({"id", "ts", "model", "features"})

_SHOWN_MAX = 4
_CHARACTERS_MAX = 60


def unknown(names: Collection[str], schema: FeatureSchema, field: str = "$") -> Refused | None:
    """Refuse a request none of whose names is a feature; None where one is.

    Parameters
    ----------
    names
        Of its features, or of what may be one.
    field
        Where they stand.
    """
    expected = schema.names
    if not set(expected).isdisjoint(names):
        return None
    if not names and any(feature.required for feature in schema.features):
        return None  # The refusal of a missing required feature says more.
    if not names:
        return Refused("no_known_feature", field, f"it holds no feature; the model takes {_listed(expected)}")
    detail = f"none of its names is a feature: it has {_listed(names)}, and the model takes {_listed(expected)}"
    return Refused("no_known_feature", field, detail + _meant(names, expected))


def own_names(names: Iterable[str]) -> list[str]:
    """Names that stand at the top level, without those of the envelope."""
    return [name for name in names if name not in _ENVELOPE]


def missing(why: Refused, names: Collection[str], schema: FeatureSchema) -> Refused:
    """Say of a required feature that is missing what stands there instead, if anything is like it.

    Parameters
    ----------
    why
        The refusal, as the decoder makes it.
    names
        Those that stand in the request.
    schema
        Of its model.

    >>> from streams.wire.schema import Feature
    >>> schema = FeatureSchema((Feature("age", required=True), Feature("tenure")))
    >>> why = Refused("missing_field", "$.features.age", "Object missing required field `age`")
    >>> missing(why, ["Age", "tenure"], schema).args[2]
    "Object missing required field `age`; names are case-sensitive: 'Age' is 'age'"
    """
    reason, field, detail = why.args
    absent = [name for name in schema.names if name not in names and field.endswith(name)]
    strange = [name for name in names if name not in schema.names]
    return Refused(reason, field, detail + _meant(strange, absent)) if absent else why


def _meant(names: Iterable[str], expected: Collection[str]) -> str:
    """What was probably meant by names that are none of the expected ones."""
    by_casefold = {name.strip().casefold(): name for name in expected}
    cased, near = [], []
    for name in names:
        if match := by_casefold.get(name.strip().casefold()):
            cased.append(f"{_quoted(name)} is {_quoted(match)}")
        elif close := get_close_matches(name[:_CHARACTERS_MAX], expected, 1, 0.75):
            near.append(f"did you mean {_quoted(close[0])} by {_quoted(name)}?")
    if cased:
        more = len(cased) - _SHOWN_MAX
        return f"; names are case-sensitive: {', '.join(cased[:_SHOWN_MAX])}" + (
            f" and {more} more" if more > 0 else ""
        )
    return f"; {near[0]}" if near else ""


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(_quoted(name) for name in list(names)[:_SHOWN_MAX])
    more = len(names) - _SHOWN_MAX
    return shown + (f" and {more} more" if more > 0 else "")


def _quoted(name: str) -> str:
    return repr(name if len(name) <= _CHARACTERS_MAX else f"{name[:_CHARACTERS_MAX]}...")
