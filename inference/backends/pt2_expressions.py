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
    end = 0
    while end < len(text) <= CHARACTERS_MAX and (match := _TOKEN.match(text, end)):
        end = match.end()
        if match[0] != " ":
            tokens.append(match[0])
    if not tokens or end < len(text) or _expression(tokens, 0, 0) != len(tokens):
        raise ArtefactError(f"size {text[:80]!r} is more than sums and products of symbols; export it anew")


def _expression(tokens: list[str], at: int, depth: int) -> int:
    """Place after the expression that begins here; -1 where none does."""
    if at >= len(tokens) or depth > DEPTH_MAX:
        return -1
    first = tokens[at]
    if first.lstrip("-").isdigit():
        return at + 1
    if tokens[at + 1 : at + 2] != ["("]:
        return -1
    if first == "Symbol":
        return _symbol(tokens, at + 2)
    return _arguments(tokens, at + 2, depth) if first in _FUNCTIONS else -1


def _arguments(tokens: list[str], at: int, depth: int) -> int:
    while (at := _expression(tokens, at, depth + 1)) > 0:
        after = tokens[at : at + 1]
        at += 1
        if after == [")"]:
            return at
        if after != [","]:
            return -1
    return -1


def _symbol(tokens: list[str], at: int) -> int:
    """Place after ``'s0', positive=True)``."""
    if not tokens[at : at + 1] or not tokens[at].startswith("'"):
        return -1
    at += 1
    while tokens[at : at + 1] == [","]:
        name, equals, truth = (*tokens[at + 1 : at + 4], "", "", "")[:3]
        if not name.isalpha() or equals != "=" or truth not in ("True", "False"):
            return -1
        at += 4
    return at + 1 if tokens[at : at + 1] == [")"] else -1
