"""What `driftline up` says while it starts: a line as each part is up, and what it still waits for."""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import typer

_AGAIN_S = 10.0


class Progress(Protocol):
    """Hears how a start goes on."""

    def note(self, text: str) -> None:
        """Something that people should know, in one line."""

    def part_up(self, name: str, where: str) -> None:
        """A part is up."""

    def waiting(self, reasons: Mapping[str, str]) -> None:
        """Parts that are not up yet, each with what it waits for; called again and again."""

    def done(self) -> None:
        """Nothing is waited for any more, or the start was given up."""


class Silent:
    """Says nothing: for callers that have lines of their own."""

    def note(self, text: str) -> None: ...

    def part_up(self, name: str, where: str) -> None: ...

    def waiting(self, reasons: Mapping[str, str]) -> None: ...

    def done(self) -> None: ...


class Spoken:
    """Writes to stderr: on a terminal with a last line that moves, else plain lines and at times a reminder."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._reminded = self._began
        self._moving = None
        if sys.stderr.isatty():
            from rich.console import Console

            self._moving = Console(stderr=True).status("starting")
            self._moving.start()

    def note(self, text: str) -> None:
        self._line(text)

    def part_up(self, name: str, where: str) -> None:
        self._line(f"  {name:<10} {where:<32} {self._took():>5.1f} s")

    def waiting(self, reasons: Mapping[str, str]) -> None:
        if self._moving is not None:
            self._moving.update(f"{waiting_text(reasons)} ({self._took():.0f} s)")
        elif time.monotonic() - self._reminded > _AGAIN_S:
            self._line(f"  {waiting_text(reasons)} ({self._took():.0f} s)")
            self._reminded = time.monotonic()

    def done(self) -> None:
        if self._moving is not None:
            self._moving.stop()

    def _line(self, text: str) -> None:
        if self._moving is not None:
            self._moving.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            with suppress(OSError):  # our own output may lie on a disk that is full
                typer.echo(text, err=True)

    def _took(self) -> float:
        return time.monotonic() - self._began


def waiting_text(reasons: Mapping[str, str]) -> str:
    """Parts that are waited for, in one line.

    >>> waiting_text({"store": "it does not answer yet", "monitor": "it has no partitions yet"})
    'waiting for store (it does not answer yet), monitor (it has no partitions yet)'
    """
    return "waiting for " + ", ".join(f"{name} ({why})" for name, why in reasons.items())
