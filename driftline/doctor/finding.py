"""What a check says."""

from typing import Literal

import msgspec

State = Literal["ok", "note", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, how it stands, what was seen, and the command or setting that mends it."""

    name: str
    state: State
    said: str
    fix: str = ""


def failing(name: str, text: str, fix: str) -> Finding:
    """Something that will not work; every failure has its remedy.

    Parameters
    ----------
    name
        Of the check, as ``kafka``.
    text
        What was seen.
    fix
        The command or setting that mends it; never empty.
    """
    assert fix, name
    return Finding(name, "fail", text, fix)
