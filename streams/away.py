"""What is away: a broker, a store, a registry, a disk that does not answer now.

Nothing is at fault that waits for it: no record is refused, nothing is skipped, and the same question is asked again.
"""

import time
from collections.abc import Callable

_PAUSE_S = 1.0


class Away(Exception):
    """Something does not answer now; the same question may be answered later. The text says what, and where."""


def patiently(call: Callable[[], object], awaits: Callable[[str], object], stopping: Callable[[], bool]) -> None:
    """Call until what the call needs is there, or nobody waits for it any more.

    Parameters
    ----------
    call
        Raises `Away` as long as it is to be called again.
    awaits
        Given what is waited for, after every call; empty once it has succeeded.
    stopping
        Whether nobody waits any more.
    """
    while not stopping():
        try:
            call()
        except Away as error:
            awaits(str(error))
            time.sleep(_PAUSE_S)
        else:
            break
    awaits("")
