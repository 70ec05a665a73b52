"""Places in JSON: ``$.data.rows``, ``$.outputs[0]``, and ``$.rows[*].p`` for each element of a list.

>>> read(parse("$.rows[*].p"), {"rows": [{"p": 0.5}, {"p": 0.25}]})
[0.5, 0.25]
"""

import re
from typing import Any

from inference.backends.errors import ArtefactError
from inference.backends.remote.failures import WrongAnswer

#: Each element of a list.
EACH = -1
_STEP = re.compile(r"\.([\w-]+)|\[(\d{1,6}|\*)\]")

Path = tuple[str | int, ...]


def parse(text: str) -> Path:
    """Read a path.

    Raises
    ------
    ArtefactError
        It is none.

    >>> parse("$.a[0][*].b-c")
    ('a', 0, -1, 'b-c')
    """
    steps: list[str | int] = []
    at = 1
    while text.startswith("$") and (step := _STEP.match(text, at)):
        name, index = step.groups()
        steps.append(name if name is not None else EACH if index == "*" else int(index))
        at = step.end()
    if not text.startswith("$") or at < len(text):
        raise ArtefactError(f"{text!r} is no JSON path; write $.name, [0] for an element, [*] for each")
    return tuple(steps)


def read(path: Path, value: Any) -> Any:
    """What stands at a path.

    Raises
    ------
    WrongAnswer
        Nothing does.

    >>> read(parse("$.a[1]"), {"a": [1, 2]})
    2
    """
    for n, step in enumerate(path):
        if step == EACH and isinstance(value, list):
            return [read(path[n + 1 :], each) for each in value]
        here = step in value if isinstance(value, dict) else isinstance(step, int) and 0 <= step < _length(value)
        if not here:
            raise WrongAnswer(f"answers with JSON that has nothing at {spelled(path[: n + 1])}")
        value = value[step]
    return value


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def put(path: Path, value: Any, tree: dict[str, Any]) -> dict[str, Any]:
    """A tree with a value at a path of names; what is on the way is copied, and the rest shared.

    Parameters
    ----------
    path
        Names alone.

    >>> put(parse("$.data.rows"), [1], {"data": {"x": 0}, "y": 1})
    {'data': {'x': 0, 'rows': [1]}, 'y': 1}
    """
    name, *rest = path
    assert isinstance(name, str), path
    below = tree.get(name)
    inner = put(tuple(rest), value, below if isinstance(below, dict) else {}) if rest else value
    return {**tree, name: inner}


def spelled(path: Path) -> str:
    """A path as it is written.

    >>> spelled(("a", 0, EACH, "b"))
    '$.a[0][*].b'
    """
    return "$" + "".join(f".{s}" if isinstance(s, str) else "[*]" if s == EACH else f"[{s}]" for s in path)
