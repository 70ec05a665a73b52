"""Where in somebody else's records our words are."""

from typing import Any

import msgspec

from streams.formats.envelope import header
from streams.wire.block import Block

_KEY = "@key"
_HEADER = "@header."


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """How the records of a topic are read.

    A path is names with dots between them (``input.customer.age``), a number where there is a list (``input.0``); a
    name may have dots of its own (``input.sepal.length``). ``@key`` is the record's key and ``@header.NAME`` a header.
    ``$`` is the whole record.

    Parameters
    ----------
    topic
        As it is called on the cluster.
    model, version
        Whose predictions these are, and of which version's reference.
    id
        Path of the prediction's id; empty for that of the CloudEvent, else topic/partition/offset.
    ts
        Path of the event time; empty for that of the CloudEvent, else Kafka's.
    score, prediction
        Paths of the score and of the predicted class; empty where there is none.
    label, label_ts
        Paths of the label and of its time (empty: of a record without a prediction its ``ts``, else Kafka's).
    features
        Path of the object that holds the features by their names.
    columns
        Paths of features that lie elsewhere, or have another name there.
    where
        Path to text: records that say something else are not meant.
    """

    topic: str
    model: str
    version: str
    id: str = ""
    ts: str = ""
    score: str = ""
    prediction: str = ""
    label: str = ""
    label_ts: str = ""
    features: str = "$"
    columns: dict[str, str] = {}
    where: dict[str, str] = {}

    @property
    def predicts(self) -> bool:
        """Whether the records hold predictions, and not labels alone."""
        return bool(self.score or self.prediction)

    def place_of(self, feature: str) -> str:
        """Path of a feature.

        >>> Mapping(topic="t", model="m", version="v1", features="input", columns={"age": "years"}).place_of("city")
        'input.city'
        """
        if feature in self.columns:
            return self.columns[feature]
        return feature if self.features in ("", "$") else f"{self.features}.{feature}"


def spelled(path: str) -> str:
    """Name a path in a dead letter.

    >>> spelled("input.age"), spelled("@key")
    ('$.input.age', '@key')
    """
    return path if path.startswith("@") else f"$.{path.removeprefix('$.')}"


def picked(record: Any, path: str, block: Block, at: int) -> Any:
    """What stands at a path of a record; None where there is nothing.

    Parameters
    ----------
    record
        What a record holds, as JSON's types; None where it cannot be read.
    path
        A path with dots, ``@key`` or ``@header.NAME``.
    at
        Position of the record in the block.

    >>> block = Block("t", 0, [7], [0], [b"k"], [b""], [[("h", b"x")]])
    >>> [picked({"a": [{"b": 5}]}, path, block, 0) for path in ("a.0.b", "a.1.b", "a.b", "@key", "@header.h")]
    [5, None, None, 'k', 'x']
    >>> picked({"in": {"sepal.length": 5.5}}, "in.sepal.length", block, 0)
    5.5
    """
    if path.startswith("@"):
        if path == _KEY:
            key = block.keys[at]
            return None if key is None else key.decode("utf-8", "replace")
        return header(block, at, path.removeprefix(_HEADER))
    if path in ("", "$"):
        return record
    return _inside(record, path.removeprefix("$.").split("."))


def _inside(value: Any, names: list[str]) -> Any:
    """What stands at the end of a path; a name with dots in it (``sepal.length``) goes before a path of its parts."""
    if not names:
        return value
    if isinstance(value, list):
        at = int(names[0]) if names[0].isdecimal() else len(value)
        return _inside(value[at], names[1:]) if at < len(value) else None
    if not isinstance(value, dict):
        return None
    for taken in range(len(names), 0, -1):
        name = names[0] if taken == 1 else ".".join(names[:taken])
        if name in value and (inner := _inside(value[name], names[taken:])) is not None:
            return inner
    return None
