"""Where a log goes: roles log to stdout; a command's stdout is its result, so what its parts warn of goes to stderr.

structlog loads rich, a sixth of a second: what commands use as well asks here for a logger when there is something to
log, and not before.
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


def warnings_to_stderr() -> None:
    """From here on warnings alone are logged, and on stderr."""
    global _to_stderr  # noqa: PLW0603 (structlog's own configuration is the process's, too)
    _to_stderr = True
    if "structlog" in sys.modules:
        logger(__name__)
