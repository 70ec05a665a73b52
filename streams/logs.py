"""Where a log goes: roles log to stdout; a command's stdout is its result, so what its parts warn of goes to stderr.

structlog loads rich, a sixth of a second: what commands use as well asks here for a logger when there is something to
log, and not before.

What is logged was often written by strangers: a name, a text of an exception. Nothing of it may end a line or speak to
the terminal that shows the log.
"""

import logging
import sys
from typing import Any

_to_stderr = False


def logger(name: str) -> Any:
    """A structlog logger, loaded now."""
    import structlog

    if _to_stderr:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever stderr is by then
        )
    return structlog.get_logger(name)


def one_line(text: str) -> str:
    """Text in which what would end a line, move a terminal's cursor or turn its direction stands as an escape.

    >>> one_line("caf\u00e9"), one_line("a\\x1b[2J\\nb\\u202ec")
    ('caf\u00e9', 'a\\\\x1b[2J\\\\nb\\\\u202ec')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _in_one_line(_logger: Any, _method: str, event: Any) -> Any:
    """A processor of structlog."""
    traces = ("exception", "stack")  # they are lines
    return {name: one_line(v) if isinstance(v, str) and name not in traces else v for name, v in event.items()}


def escape_strangers() -> None:
    """From here on no value that is logged ends a line or speaks to a terminal."""
    import structlog

    *before, render = structlog.get_config()["processors"]
    if _in_one_line not in before:
        structlog.configure(processors=[*before, _in_one_line, render])


def warnings_to_stderr() -> None:
    """From here on warnings alone are logged, and on stderr."""
    global _to_stderr  # noqa: PLW0603 (structlog's own configuration is the process's, too)
    _to_stderr = True
    if "structlog" in sys.modules:
        logger(__name__)
