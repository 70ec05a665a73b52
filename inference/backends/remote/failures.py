"""What may go wrong with a call, and whose fault it is.

====================================================  ==========================  ======================================
what came                                             kind                        because
====================================================  ==========================  ======================================
no connection, TLS refused, nothing before the        `Away`                      a machine is down, or hangs
deadline, half an answer
HTTP 408, 429, 5xx; gRPC UNAVAILABLE, INTERNAL,       `Away`                      it says so itself; who serves many
DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED and others                                  fails on rows of others, too
HTTP 3xx, 401, 403, 404, 405 and others               `Away`                      the model is not there (yet), the key
gRPC NOT_FOUND, UNIMPLEMENTED, UNAUTHENTICATED,                                   is another: to be mended there, or in
PERMISSION_DENIED, FAILED_PRECONDITION                                            `remote.toml`, and by no row
HTTP 400, 422; gRPC INVALID_ARGUMENT, OUT_OF_RANGE    `InputRefused`              it has read the batch, and takes
                                                                                  others: the blank batch tells
HTTP 413; gRPC RESOURCE_EXHAUSTED because the         `OutOfMemory`               a smaller batch may pass
message is larger than the server takes
not JSON, another shape, dtype or name, larger than   `Away`                      another model is served there, or
``answer_bytes_max``, packed though not asked for                                 something else answers
a score that is NaN or no probability                 a score                     it is the row's, as with any model
====================================================  ==========================  ======================================

Servers that answer 500 to a row that they cannot score (MLServer and Triton's Python backend do so where the model's
own code raises) name it in ``refusals``: then such a row is found and set aside, at the price that a server which is
ill, and well again while the blank batch is tried, has rows blamed for it.
"""

from inference.backends.errors import OutOfMemory, Unavailable

#: Answers by which a server refuses a batch for what stands in it.
REFUSALS = ("400", "422", "INVALID_ARGUMENT", "OUT_OF_RANGE")
_TEXT_BEGIN, _TEXT_END = 120, 150


class Away(Unavailable):
    """A call failed, and no row is at fault.

    Attributes
    ----------
    late
        Whether the deadline has passed, so that there is no time for another.
    """

    def __init__(self, text: str, *, late: bool = False) -> None:
        super().__init__(text)
        self.late = late


class WrongAnswer(Away):
    """An answer that is none for this batch: another address may give one."""


class InputRefused(ValueError):
    """The server has read the batch and refuses it: rows may be at fault."""


def of_status(status: int, text: str, refusals: tuple[str, ...]) -> Exception:
    """The failure that an HTTP status other than 200 is.

    Parameters
    ----------
    status, text
        What came.
    refusals
        Statuses that blame the batch, beside `REFUSALS` of the protocols.

    >>> of_status(422, '{"error": "x must be a number"}', REFUSALS)
    InputRefused('answers 422: {"error": "x must be a number"}')
    >>> [type(of_status(status, "", REFUSALS)).__name__ for status in (404, 413, 500, 503)]
    ['Away', 'OutOfMemory', 'Away', 'Away']
    """
    answered = f"answers {status}: {text}" if text else f"answers {status}"
    if str(status) in refusals:
        return InputRefused(answered)
    if status == 413:
        return OutOfMemory(answered)
    return Away(answered)


def of_code(code: str, text: str, refusals: tuple[str, ...]) -> Exception:
    """The failure that a gRPC status other than OK is.

    Parameters
    ----------
    code, text
        Its name, and what came with it.
    refusals
        Codes that blame the batch.

    >>> of_code("INVALID_ARGUMENT", "expected 3 columns", REFUSALS)
    InputRefused('answers INVALID_ARGUMENT: expected 3 columns')
    """
    answered = f"answers {code}: {text}" if text else f"answers {code}"
    if code in refusals:
        return InputRefused(answered)
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in text:
        return OutOfMemory(answered)
    return Away(answered, late=code == "DEADLINE_EXCEEDED")


def shortened(text: str) -> str:
    """A stranger's text on one line, and of a long one begin and end, where tracebacks say what it was.

    Secrets are hidden before: of one that is cut in two a part would stay.
    """
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_BEGIN + _TEXT_END else f"{line[:_TEXT_BEGIN]}...{line[-_TEXT_END:]}"
