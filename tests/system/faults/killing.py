"""Death at a line: a life ends between two lines that it executes, and all that it held in memory is gone."""

import sys
from collections.abc import Callable, Iterable
from types import FrameType, ModuleType
from typing import Any


class Killed(BaseException):
    """The process ends here; no `except Exception` sees it."""


def live(life: Callable[[], Any], modules: Iterable[ModuleType], dies_at: int | None = None) -> int:
    """Run ``life`` to its end, or to the ``dies_at``-th line that it executes in ``modules``; returns the lines done.

    >>> import textwrap
    >>> live(lambda: textwrap.dedent("a"), [textwrap], dies_at=2)
    1
    """
    files = {module.__file__ for module in modules}
    done = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal done
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            if done + 1 == dies_at:
                raise Killed
            done += 1
        return trace

    sys.settrace(trace)  # of this thread alone
    try:
        life()
    except Killed:
        pass
    finally:
        sys.settrace(None)
    return done
