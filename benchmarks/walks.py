"""How many files a reader goes through who follows one record through the code, and how often back.

    python -m benchmarks.walks                       # the five walks of docs/ARCHITECTURE.md
    python -m benchmarks.walks TEST ENTRY            # another: a test's id, and the function where the walk begins

A walk runs one test and notes the functions of the five packages in the order in which they are first called between
the entry's call and its return. A reader reads a function once, so later calls of it do not count; neither do lambdas,
comprehensions and generated code. The files of that list, neighbours of one file taken together, are the walk; a return
is a step into a file that was left before.
"""

import argparse
import contextlib
import io
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("streams", "inference", "drift", "dashboards", "driftline")
#: Name, test, entry.
WALKS = (
    (
        "a request to its prediction",
        "tests/inference/test_score.py::test_a_request_has_one_prediction_and_is_observed",
        "Score.process",
    ),
    (
        "a label to its outcome",
        "tests/drift/test_join.py::test_every_version_of_a_prediction_has_an_outcome",
        "Join.process",
    ),
    ("counts to a page", "tests/drift/test_judge.py::test_a_shift_opens_pages_and_orders_once", "Judge.step"),
    (
        "`drift.backtest(labels=)`",
        "tests/drift/test_backtests.py::test_labels_may_stand_in_the_stream_or_beside_it",
        "backtest",
    ),
    (
        "`driftline replay`",
        "tests/driftline/test_replay.py::test_as_it_was_served_a_replay_gives_the_same_bytes",
        "replay",
    ),
)


class Walk:
    """A plugin of pytest that records, in a test itself and not in its fixtures, while the entry runs.

    Parameters
    ----------
    entry
        Qualified name of the function where the walk begins, without its module.
    """

    def __init__(self, entry: str) -> None:
        self.functions: dict[CodeType, str] = {}
        self._entry = entry
        self._inside: list[FrameType] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Watch calls in all threads as long as the test's function runs."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Note a call, or the entry's return."""
        if event == "call":
            code = frame.f_code
            if code.co_qualname == self._entry:
                self._inside.append(frame)
            if self._inside and code not in self.functions and (file := _file(code)):
                self.functions[code] = file
        elif event == "return" and self._inside and frame is self._inside[-1]:
            self._inside.pop()


def steps(files: Iterable[str]) -> tuple[list[str], int]:
    """Files in the order of their first visit, and the number of returns.

    >>> steps(["a", "a", "b", "a", "c", "b", "b"])
    (['a', 'b', 'c'], 2)
    """
    order: list[str] = []
    returns, last = 0, ""
    for file in files:
        if file != last:
            returns += file in order
            order += [] if file in order else [file]
        last = file
    return order, returns


def walk(test: str, entry: str) -> tuple[list[str], int]:
    """Run a test and follow the entry; see `steps`.

    Raises
    ------
    RuntimeError
        The test failed, or the entry was never called.
    """
    tracer = Walk(entry)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(ROOT / test)], plugins=[tracer])
    if code or not tracer.functions:
        raise RuntimeError(
            f"{test} ended with {code}, {len(tracer.functions)} functions of {entry}:\n{said.getvalue()}"
        )
    return steps(tracer.functions.values())


def _file(code: CodeType) -> str:
    """A function's file below the root, or an empty text where it is none of ours."""
    path = Path(code.co_filename)
    if code.co_name.startswith("<") or not path.is_relative_to(ROOT):
        return ""
    file = path.relative_to(ROOT)
    return str(file) if file.parts[0] in PACKAGES else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("test", nargs="?")
    parser.add_argument("entry", nargs="?")
    given = parser.parse_args()
    walks = [("the walk", given.test, given.entry)] if given.test else WALKS
    for name, test, entry in walks:
        order, returns = walk(test, entry)
        print(f"{name}: {len(order)} files, {returns} returns")
        for file in order:
            print(f"    {file}")


if __name__ == "__main__":
    main()
