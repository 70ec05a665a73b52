"""What a `remote.toml` says of the time when its server is away: who answers then, and after how long.

>>> from inference.packages.model_toml import ModelPackage, Outputs
>>> from streams.wire.schema import Feature
>>> package = ModelPackage(
...     name="m", version="v2", task="multiclass", artefact="remote.toml", inputs=(Feature("x"),),
...     outputs=Outputs(classes=("red", "green", "blue")),
... )
>>> fallback_to("v1", 5, package)
Fallback(version='v1', scores=(), after_s=5)
>>> [round(score, 2) for score in fallback_to(FixedScore(0.8, "green"), 5, package).scores]
[0.1, 0.8, 0.1]
"""

import math

import msgspec

from inference.backends.errors import ArtefactError
from inference.packages.model_toml import ModelPackage, nearest
from streams.names import NameRefused, check_name

#: The largest finite float32, as scores are.
_SCORE_MAX = 3.4028234663852886e38


class FixedScore(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    """A score that is no model's.

    Parameters
    ----------
    default
        The score: of a binary model the probability of its positive class, of a multiclass model that of ``class``.
    class_
        The class that a multiclass model predicts, ``class`` in the file.
    """

    default: float
    class_: str = ""


class Fallback(msgspec.Struct, frozen=True):
    """Who answers in place of a version that is away.

    Parameters
    ----------
    version
        Another version of the model; empty where the scores are fixed.
    scores
        A row of the model's outputs that answers every request; empty where a version answers.
    after_s
        How long the version has to be away before.
    """

    version: str
    scores: tuple[float, ...]
    after_s: float


def fallback_to(answers: str | FixedScore, after_s: float, package: ModelPackage) -> Fallback:
    """Check what a `remote.toml` says of a fallback against its model.

    Parameters
    ----------
    answers, after_s
        ``fallback`` and ``fallback_after_s`` of the file.
    package
        The model that runs elsewhere.

    Raises
    ------
    ArtefactError
        A version that is none, or the model itself; a score that its task cannot have.
    """
    if isinstance(answers, FixedScore):
        return Fallback("", _fixed(answers, package), after_s)
    try:
        check_name("version", answers)
    except NameRefused as error:
        raise ArtefactError(f"fallback: {error}") from None
    if answers == package.version:
        raise ArtefactError(
            f"fallback {answers!r}: it is this version itself, which is away then; name another version of "
            f"{package.name}, or a fixed score, as in fallback = {{ default = 0.5 }}"
        )
    return Fallback(answers, (), after_s)


def _fixed(fixed: FixedScore, package: ModelPackage) -> tuple[float, ...]:
    score, classes = fixed.default, package.outputs.classes
    if package.task == "multiclass":
        return _multiclass(fixed, classes)
    if fixed.class_:
        raise ArtefactError(f"fallback.class {fixed.class_!r}: only a multiclass model needs it; leave it out")
    if package.task == "binary" and not 0 <= score <= 1:
        raise ArtefactError(
            f"fallback.default {score:g}: {package.name} is binary, and the score is the probability of "
            f"{package.outputs.positive!r}; write a number from 0 to 1"
        )
    if not (math.isfinite(score) and abs(score) <= _SCORE_MAX):
        raise ArtefactError(f"fallback.default {score:g}: a regression's value is a finite number of 32 bits")
    return (score,)


def _multiclass(fixed: FixedScore, classes: tuple[str, ...]) -> tuple[float, ...]:
    """Probabilities of all classes: what the named one leaves is spread over the others."""
    score = fixed.default
    if fixed.class_ not in classes:
        named = f"fallback.class {fixed.class_!r}" if fixed.class_ else "fallback.class is missing"
        raise ArtefactError(
            f'{named}: the model is multiclass; write {{ default = 0.9, class = "{classes[0]}" }}'
            f"{nearest(fixed.class_, classes)}"
        )
    if not 1 / len(classes) < score <= 1:
        raise ArtefactError(
            f"fallback.default {score:g}: it is the probability of the predicted class, so it lies above "
            f"{1 / len(classes):.3g}, one of {len(classes)} classes, and is at most 1"
        )
    rest = (1 - score) / (len(classes) - 1)
    return tuple(score if name == fixed.class_ else rest for name in classes)
