"""What a process needs from elsewhere, asked beside the work whether it answers.

Work that waits in a library says nothing for minutes, and work that nobody brings never finds out. A question with a
deadline of its own says within seconds what is away; nothing is refused or skipped for it.
"""

import threading
import time
from collections.abc import Callable

EVERY_S = 3.0
AGAIN_S = 1.0
#: A question that has had no answer for so long is one: a folder that hangs has no deadline.
HANGS_S = 10.0


class Need:
    """One dependency.

    Parameters
    ----------
    name
        What it is called where it hangs.
    ask
        Returns if it answers, and raises what says that it does not, where, and what to do.
    blocks
        Whether nothing goes on without it: the process is not ready then.
    every_s
        Seconds between an answer and the next question; where it is away, at most `AGAIN_S`.
    """

    def __init__(self, name: str, ask: Callable[[], object], *, blocks: bool = False, every_s: float = EVERY_S) -> None:
        self.name = name
        self.blocks = blocks
        self._ask = ask
        self._every_s = every_s
        self._why = ""
        self._asked_s: float | None = None
        self._stopping = threading.Event()

    def away(self) -> str:
        """Why it is away, in a sentence; empty while it answers, or is asked for the first time."""
        asked_s = self._asked_s
        waited_s = 0.0 if asked_s is None else time.monotonic() - asked_s
        if waited_s > HANGS_S:
            return f"{self.name} has not answered for {waited_s:.0f} s; see whether it hangs"
        return self._why

    def start(self) -> None:
        """Ask from now on, in a thread that the end of the process does not wait for."""
        threading.Thread(target=self._run, name=f"need-{self.name}", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()

    def look(self) -> None:
        """Ask once."""
        self._asked_s = time.monotonic()
        try:
            self._ask()
        except Exception as error:
            self._why = str(error) or type(error).__name__
        else:
            self._why = ""
        finally:
            self._asked_s = None

    def _run(self) -> None:
        self.look()
        while not self._stopping.wait(min(AGAIN_S, self._every_s) if self._why else self._every_s):
            self.look()
