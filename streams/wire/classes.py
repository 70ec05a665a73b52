"""One class, one name: the classes of a model, and every spelling of them that a client, a table or a topic may use.

A value names a class by its exact text first, then by the number that it spells (``1``, ``1.0`` and ``"1.0"`` are one
class, ``"01"`` is another), then as one of a pair: ``true`` and ``false``, in any case, are the classes 1 and 0 of a
model of 1 and 0, and the other way round. ``"yes"`` is no spelling of 1.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec

from streams.wire.spelling import level_text, missing

#: Digits as people and programs write numbers; a leading zero makes a code of it ("01"), which is text.
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
#: The other class of a customary pair.
OPPOSITE = {"0": "1", "1": "0", "false": "true", "true": "false", "False": "True", "True": "False"}
_TRUTH = {"false": Decimal(0), "true": Decimal(1)}


class _Value(NamedTuple):
    """What a text stands for: a number, a truth value (as 0 or 1), or itself."""

    kind: Literal["number", "truth", "text"]
    value: Decimal | str


class Classes(msgspec.Struct, frozen=True, dict=True):
    """The classes of a model.

    Parameters
    ----------
    names
        As the model spells them.
    open
        There may be further classes: a value that names none of these is a class of its own.

    >>> Classes(("0", "1")).of(True), Classes(("False", "True")).of("1.0"), Classes(("no", "yes")).of(1)
    ('1', 'True', None)
    """

    names: tuple[str, ...]
    open: bool = False

    def of(self, value: str | float | bool | None) -> str | None:
        """Name the class that a value means; None where it means none, or is missing."""
        if missing(value):
            return None
        text = level_text(value)
        if text in self._exact:
            return text
        return self._by_value.get(
            _of_pair(_value(text)) if self._is_pair else _value(text), text if self.open else None
        )

    def of_all(self, values: Iterable[Any]) -> list[str | None]:
        """Name the class of each value."""
        return [self.of(value) for value in values]

    @cached_property
    def _exact(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _is_pair(self) -> bool:
        return _is_pair(map(_value, self.names))

    @cached_property
    def _by_value(self) -> dict[_Value, str]:
        """Classes by what they stand for; of two that stand for the same each answers to its exact text alone."""
        by_value: dict[_Value, str] = {}
        twice = set()
        for name in self.names:
            value = _of_pair(_value(name)) if self._is_pair else _value(name)
            if value in by_value:
                twice.add(value)
            by_value[value] = name
        return {value: name for value, name in by_value.items() if value not in twice and value.kind != "text"}


def class_names(*columns: Mapping[str, int]) -> tuple[str, ...]:
    """Name every class that columns hold, each once: texts that stand for the same value are one class.

    Parameters
    ----------
    columns
        Rows of each level text. A class is named as the first column that holds it spells it most often.

    >>> class_names({"false": 5, "true": 3}, {"1": 2, "0": 9, "1.0": 1})
    ('false', 'true')
    >>> class_names({"1": 2, "1.0": 3, "2": 1})
    ('1.0', '2')
    """
    values = {text: _value(text) for column in columns for text in column}
    if _is_pair(values.values()):
        values = {text: _of_pair(value) for text, value in values.items()}
    named: dict[_Value, str] = {}
    for column in columns:
        for text in sorted(column, key=lambda text: (-column[text], text)):
            named.setdefault(values[text], text)
    order = {text: at for at, text in enumerate(text for column in columns for text in column)}
    return tuple(sorted(named.values(), key=order.__getitem__))


def _value(text: str) -> _Value:
    bare = text.strip()
    if bare.lower() in _TRUTH:
        return _Value("truth", _TRUTH[bare.lower()])
    if _NUMBER.fullmatch(bare):
        return _Value("number", Decimal(bare))
    return _Value("text", text)


def _is_pair(values: Iterable[_Value]) -> bool:
    """Whether there is nothing but truth values and the numbers 0 and 1."""
    held = set(values)
    return bool(held) and all(value.kind != "text" and value.value in (0, 1) for value in held)


def _of_pair(value: _Value) -> _Value:
    return _Value("number", value.value) if value.kind == "truth" else value
