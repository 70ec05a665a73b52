"""Calls of models that do not return: a batch that takes longer than its model says ends the process.

No thread can be ended from outside. So the process ends, and whoever started it starts it again; what was in hand is
remembered (`inference.scoring.in_hand`), comes again in smaller parts, and a record that hangs by itself is refused in
the end. Shadows are left alone: nobody waits for them.
"""

import threading
from collections.abc import Callable

from inference.serving.scorer import Scorer
from streams.clock import ticks_ms

_LOOK_S = 0.5


def hung_call(scorer: Scorer | None, now_ms: float) -> str:
    """Say which version has a call that takes too long, and how long; empty where none has.

    Parameters
    ----------
    scorer
        Who answers at the moment, whatever the routes say by now; None where nobody does.
    now_ms
        Monotonic time.
    """
    return "" if scorer is None else hangs(scorer, now_ms)


def hangs(scorer: Scorer, now_ms: float) -> str:
    """Say that a version has had one batch for too long; empty where it has not, at a monotonic time."""
    began_ms, call_s_max = scorer.call_began_ms, scorer.package.limits.call_s_max
    if began_ms is None or now_ms - began_ms <= call_s_max * 1000:
        return ""
    return (
        f"{scorer.package.name} {scorer.package.version} has had one batch for {(now_ms - began_ms) / 1000:.0f} s; "
        f"limits.call_s_max = {call_s_max:g} in its model.toml"
    )


def watch_calls(
    answering: Callable[[], Scorer | None], end: Callable[[str], object], stop: threading.Event | None = None
) -> None:
    """Look for hung calls, in a thread of its own.

    Parameters
    ----------
    answering
        Who answers at the moment; see `hung_call`.
    end
        Ends the process; called once with the reason.
    stop
        Ends the watch.
    """
    stopped = stop or threading.Event()

    def look() -> None:
        while not stopped.wait(_LOOK_S):
            if why := hung_call(answering(), ticks_ms()):
                end(why)
                return

    threading.Thread(target=look, name="hung-calls", daemon=True).start()
