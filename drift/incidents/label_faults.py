"""How labels that are none are told: a fault of who sends them, and not of the model."""

from collections.abc import Mapping

from drift.incidents.spelling import percent
from drift.incidents.text import Text, since, text
from drift.performance.label_faults import OTHERS
from drift.reference.reference import Reference

#: Texts, and classes, that a sentence names.
_NAMED_MAX = 4


def label_fault(reference: Reference, faults: Mapping[str, int], labels: int, since_ms: int) -> Text:
    """Say how many labels are none that the model could be right about, and what stands there instead.

    Parameters
    ----------
    faults
        Labels by their text in quotes, as `drift.performance.label_faults` counts them.
    labels
        All labels, the faults among them.
    since_ms
        When it began.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"x": [1, 2, 3, 4], "p": [0.1, 0.2, 0.8, 0.9], "y": [0, 0, 1, 1]})
    >>> reference = Reference.fit(table, task="binary", score="p", label="y")
    >>> "".join(part.text for part in label_fault(reference, {"'maybe'": 3, "'n/a'": 2}, 20, 0))
    "25 % of the labels are not among the model's classes (0 and 1): 'maybe', 'n/a'; they are left out"
    """
    count = sum(faults.values())
    ranked = sorted(faults, key=lambda name: (name == OTHERS, -faults[name], name))
    texts = ", ".join(ranked[:_NAMED_MAX]) + (" and others" if len(ranked) > _NAMED_MAX else "")
    numbers = reference.task == "regression"
    if count >= labels:
        wanted = "a number" if numbers else f"one of the model's classes ({_classes(reference)})"
        return text("no label", since(since_ms), f" is {wanted}: {texts}; performance cannot be measured")
    wrong = "are not numbers" if numbers else f"are not among the model's classes ({_classes(reference)})"
    share = percent(count / labels)
    return text(f"{share} of the labels", since(since_ms), f" {wrong}: {texts}; they are left out")


def _classes(reference: Reference) -> str:
    names = reference.classes or reference.class_reader.names
    if len(names) <= 2:
        return " and ".join(names)
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(names[:_NAMED_MAX]) + more
