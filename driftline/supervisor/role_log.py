"""Why a role ended, read off the end of its log, for people: one line without a trace."""

import re
from itertools import pairwise
from pathlib import Path

_READ_BYTES_MAX = 65_536
_LINE_CHARS_MAX = 400

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# `driftline: TEXT` is what the command line writes of a refusal.
_REFUSAL = re.compile(r"^driftline: (?P<text>.+)$")
# structlog: `2026-11-30 05:55:44 [error    ] watch.crash    kind=Gap why='...'`; `why` is quoted like a Python string.
_CRASH = re.compile(
    r"\[(?:error|critical)\s*\] (?P<event>\S+)\s.*?why=(?P<why>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S+)"
)
# The last line of a trace, below one that is indented: `module.KindError: text`.
_TRACE = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*)(?:: (?P<text>.+)|(?<=Error))$")


def why_ended(text: str, code: int | None = None) -> str:
    r"""The newest reason in a log, else what the exit code says.

    Parameters
    ----------
    text
        The end of the log, from where the process began.
    code
        What the process ended with; negative for a signal.

    >>> why_ended("Traceback (most recent call last):\n  File ...\nOSError: [Errno 28] No space left on device\n")
    'OSError: [Errno 28] No space left on device'
    >>> why_ended("2026-11-30 05:55:44 [error    ] watch.crash      kind=Gap why='answers/0: it\\'s gone'\n")
    "watch: answers/0: it's gone"
    >>> why_ended("driftline: port 18080 is taken\n", 1), why_ended("", -9), why_ended("", 3)
    ('port 18080 is taken', 'it was killed (signal 9)', 'it ended with code 3 and said nothing')
    """
    lines = ["", *_ANSI.sub("", text).splitlines()]
    for above, line in reversed(list(pairwise(lines))):
        if reason := _reason(line.rstrip(), in_trace=above.startswith("  ")):
            return reason[:_LINE_CHARS_MAX]
    if code is not None and code < 0:
        return f"it was killed (signal {-code})"
    return f"it ended with code {code} and said nothing"


def refused(text: str) -> bool:
    r"""Whether a role ended because it cannot run as it is set up: to start it again would change nothing.

    >>> refused("driftline: [watch] tolerances.ks is 0.0\n"), refused("2026-11-30 [error    ] watch.crash why='x'\n")
    (True, False)
    """
    lines = _ANSI.sub("", text).strip().splitlines()
    return bool(lines) and any(_REFUSAL.match(line) for line in lines[-5:])


def read_end(path: Path, start: int = 0) -> str:
    """The end of a log, from byte ``start`` on at most; empty where there is none."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(start, size - _READ_BYTES_MAX))
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def _reason(line: str, in_trace: bool) -> str | None:
    if match := _REFUSAL.match(line):
        return match["text"]
    if match := _CRASH.search(line):
        why = match["why"]
        why = re.sub(r"\\(.)", r"\1", why[1:-1]) if why[0] in "'\"" else why
        return f"{match['event'].removesuffix('.crash')}: {why}"
    if in_trace and (match := _TRACE.match(line)):
        kind = match["kind"].rpartition(".")[2]
        return f"{kind}: {match['text']}" if match["text"] else kind
    return None
