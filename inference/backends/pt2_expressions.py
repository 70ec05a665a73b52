"""Sizes of a dynamic program as sympy spells them, read word by word before sympy evaluates them.

>>> check_size("Mul(Integer(4), Symbol('s77', positive=True, integer=True))")
>>> check_size("__import__('os')")
Traceback (most recent call last):
inference.backends.errors.ArtefactError: size "__import__('os')" is more than sums and products of symbols; export it anew
"""  # noqa: E501

import re

from inference.backends.errors import ArtefactError

#: Characters and depth of one size; what torch writes is far below.
CHARACTERS_MAX = 2_000
DEPTH_MAX = 20
# Each branch begins with another character and none is repeated within another, so matching takes linear time.
_TOKEN = re.compile(r"[A-Za-z]{1,20}|'[a-z]{1,8}\d{1,9}'|-?\d{1,18}(?!\d)|[(),=]| ")
#: Functions that grow no faster than their arguments together; no powers.
_FUNCTIONS = frozenset({"Add", "Mul", "Max", "Min", "Integer", "FloorDiv", "CleanDiv", "Mod", "PythonMod"})


def check_size(text: str) -> None:
    """Refuse a size that is not made of symbols, integers and a few functions.

    Raises
    ------
    ArtefactError
        It is longer, deeper or something else.
    """
    tokens: list[str] = []
    place = 0
    while place < len(text) <= CHARACTERS_MAX and (match := _TOKEN.match(text, place)):
        place = match.end()
        if match[0] != " ":
            tokens.append(match[0])
    if not tokens or place < len(text) or _expression(tokens, 0, 0) != len(tokens):
        raise ArtefactError(f"size {text[:80]!r} is more than sums and products of symbols; export it anew")


def _expression(tokens: list[str], place: int, depth: int) -> int:
    """Place after the expression that begins here; -1 where none does."""
    if place >= len(tokens) or depth > DEPTH_MAX:
        return -1
    first = tokens[place]
    if first.lstrip("-").isdigit():
        return place + 1
    if tokens[place + 1 : place + 2] != ["("]:
        return -1
    if first == "Symbol":
        return _symbol(tokens, place + 2)
    return _arguments(tokens, place + 2, depth) if first in _FUNCTIONS else -1


def _arguments(tokens: list[str], place: int, depth: int) -> int:
    while (place := _expression(tokens, place, depth + 1)) > 0:
        after = tokens[place : place + 1]
        place += 1
        if after == [")"]:
            return place
        if after != [","]:
            return -1
    return -1


def _symbol(tokens: list[str], place: int) -> int:
    """Place after ``'s0', positive=True)``."""
    if not tokens[place : place + 1] or not tokens[place].startswith("'"):
        return -1
    place += 1
    while tokens[place : place + 1] == [","]:
        name, equals, truth = (*tokens[place + 1 : place + 4], "", "", "")[:3]
        if not name.isalpha() or equals != "=" or truth not in ("True", "False"):
            return -1
        place += 4
    return place + 1 if tokens[place : place + 1] == [")"] else -1
