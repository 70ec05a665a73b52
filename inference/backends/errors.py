"""What goes wrong with a model file, with the code in it, and with what runs it.

==============  ================================================================================================
raised          what follows
==============  ================================================================================================
`Unavailable`   the same rows are tried again later; nobody is blamed, and the reason stands beside the lag
`OutOfMemory`   the rows are scored in smaller batches
`Fatal`         the process ends and is started again
anything else   rows may be at fault: the batch is tried again, then halved until the rows at fault stand alone
==============  ================================================================================================
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from streams.away import Away
from streams.fatal import Fatal as Fatal

#: After these a CUDA context is of no use any more: every later call of the process fails with the same words.
LOST_DEVICE = (
    "illegal memory access",
    "device-side assert",
    "unspecified launch failure",
    "misaligned address",
    "ECC error",
    "device lost",
    "GPU is lost",
    "CUDA-capable device(s) is/are busy or unavailable",
    "context is destroyed",
    "launch timed out",
)


class ArtefactError(ValueError):
    """A model file that is refused or cannot be loaded; the text names the file and the remedy."""


class UntrustedCodeError(ArtefactError):
    """A model that is code, from a place that nobody vouched for."""


class Unavailable(Away):
    """What computes does not answer now; no row is at fault."""


class OutOfMemory(RuntimeError):
    """The device has no memory for a batch of this size; a smaller one may pass."""


class ModelExit(RuntimeError):
    """A model tried to end the process, or the thread that runs it: it is an error like any other."""


@contextmanager
def contained() -> Iterator[None]:
    """Run a model's own code: whatever it raises leaves as an `Exception`.

    ``SystemExit``, ``GeneratorExit``, cancellations and exceptions that derive from ``BaseException`` alone pass every
    ``except Exception`` on their way, and end the worker. Ctrl-C reaches the main thread and no other: there a
    ``KeyboardInterrupt`` is a person's, anywhere else the model's.

    Raises
    ------
    ModelExit
        In place of what is no `Exception`.

    >>> with contained():
    ...     raise SystemExit(3)
    Traceback (most recent call last):
    inference.backends.errors.ModelExit: SystemExit: 3
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        raise ModelExit(error_text(error)) from error


def error_text(error: BaseException) -> str:
    """Kind and text of an exception of a stranger's: one whose text cannot be made has its kind alone.

    >>> error_text(ValueError("no such customer"))
    'ValueError: no such customer'
    """
    if isinstance(error, ModelExit):
        return str(error)
    kind = type(error).__name__
    try:
        with contained():
            text = str(error)
    except Exception:
        return f"{kind} (its text cannot be read)"
    return f"{kind}: {text}".encode("utf-8", "replace").decode()  # half a surrogate pair is in no dead letter


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind: libraries add where in their own source it was raised.

    >>> first_line(RuntimeError("no memory\\nException raised from here")), first_line(KeyError())
    ('no memory', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
