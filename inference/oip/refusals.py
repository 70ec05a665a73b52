"""Why a request has no scores, and which code that is on each wire.

==========================  ==========================  =================  ======
raised                      reason                      gRPC               HTTP
==========================  ==========================  =================  ======
`InvalidRequest`            it is at fault              INVALID_ARGUMENT   400
`UnknownModel`              no such version is served   NOT_FOUND          404
`QueueFull`, `Stopping`     ask again, or elsewhere     UNAVAILABLE        503
any other `Away`, `Fatal`,  nobody is blamed            UNAVAILABLE        503
`ModelBroken`
anything else               a fault of ours             INTERNAL           500
==========================  ==========================  =================  ======
"""

from typing import NamedTuple

from inference.backends import Fatal, error_text
from inference.serving.batch_facts import Reason, RequestRefused
from inference.serving.batcher import QueueFull, Stopping
from inference.serving.scorer import ModelBroken
from streams.away import Away
from streams.logs import logger, one_line

#: Of a refusal; gRPC sends it as a header, and clients take few bytes of those.
_TEXT_MAX = 1_000
#: Of a stranger's name in a refusal.
_NAME_MAX = 100


class InvalidRequest(ValueError):
    """A request at fault; the text says what came, and what was wanted."""


class UnknownModel(LookupError):
    """No such model, or no such version of it, is served here."""


class Loading(Away):
    """A version that is still being loaded."""


class Refusal(NamedTuple):
    """An error as a client sees it."""

    reason: Reason
    grpc_code: str
    http_status: int
    text: str


_KINDS: tuple[tuple[type[BaseException], Reason, str, int], ...] = (
    (InvalidRequest, "invalid", "INVALID_ARGUMENT", 400),
    (UnknownModel, "unknown", "NOT_FOUND", 404),
    (Loading, "loading", "UNAVAILABLE", 503),
    (QueueFull, "full", "UNAVAILABLE", 503),
    (Stopping, "stopping", "UNAVAILABLE", 503),
    (Away, "unavailable", "UNAVAILABLE", 503),
    (Fatal, "unavailable", "UNAVAILABLE", 503),
    (ModelBroken, "unavailable", "UNAVAILABLE", 503),
)


def refusal_of(error: BaseException) -> Refusal:
    """The refusal that an error is; one that nobody foresaw is logged, and its text stays here.

    >>> refusal_of(InvalidRequest("no tensor; send one"))
    Refusal(reason='invalid', grpc_code='INVALID_ARGUMENT', http_status=400, text='no tensor; send one')
    """
    reason, grpc_code, http_status = _kind(error)
    if reason == "error":
        logger(__name__).error("oip.unforeseen", why=error_text(error), exc_info=error)
        return Refusal(reason, grpc_code, http_status, "a fault of this server; its log says more")
    return Refusal(reason, grpc_code, http_status, one_line(str(error))[:_TEXT_MAX])


def count(error: BaseException, model: str = "", version: str = "") -> None:
    """Count a request that has no scores.

    Parameters
    ----------
    error
        Why.
    model, version
        What serves; empty where nothing does, for a label is no stranger's text.
    """
    RequestRefused(model, version, _kind(error)[0]).tell()


def _kind(error: BaseException) -> tuple[Reason, str, int]:
    fits = ((reason, code, status) for kind, reason, code, status in _KINDS if isinstance(error, kind))
    return next(fits, ("error", "INTERNAL", 500))


def shown(name: str) -> str:
    """A stranger's name, in quotes, and not too much of it.

    >>> shown("m" * 200) == repr("m" * 100 + "...")
    True
    """
    return repr(name if len(name) <= _NAME_MAX else f"{name[:_NAME_MAX]}...")
