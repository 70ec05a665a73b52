"""A record of `models` as a route, or why it is none: a pure function, so that every reader decides alike."""

import msgspec

from streams.wire.records import FORMAT, Route

#: What every reader of JSON counts exactly.
_EPOCH_MAX = 2**53
#: Beyond this a route's epoch is one more than the last: a leap to the end would leave no epoch for any other route.
_LEAP_MAX = 2**52
#: The last millisecond of the year 9999.
_TS_MAX = 253_402_300_799_999


class RouteError(ValueError):
    """A record that is no route, or a route that contradicts itself; the text says what to change."""


def versions(route: Route) -> tuple[str, ...]:
    """Every version that a route needs loaded, the champion first."""
    return (route.champion, *sorted(route.canary), *route.shadows)


def check_epoch(route: Route, known: int) -> Route:
    """Refuse a route after which there would be no room for others; returns it otherwise.

    Parameters
    ----------
    known
        Epoch of the model's route that holds; 0 where there is none.

    Raises
    ------
    RouteError
        Its epoch leaps too far.
    """
    if route.epoch > max(_LEAP_MAX, known + 1):
        leap = f"epoch {route.epoch} leaps from {known}; the next one is {known + 1}"
        raise RouteError(f"route of {route.model!r}: {leap}")
    return route


def check(route: Route) -> Route:
    """Refuse a route whose shares or versions contradict each other; returns it otherwise.

    Raises
    ------
    RouteError
        With what is wrong.
    """
    name = f"route of {route.model!r}, epoch {route.epoch}"
    wrong = {version: share for version, share in route.canary.items() if not 0 <= share <= 1}
    if wrong:
        raise RouteError(f"{name}: canary shares lie between 0 and 1, got {wrong}")
    if sum(route.canary.values()) > 1:
        raise RouteError(f"{name}: the canary shares add up to {sum(route.canary.values())}, more than 1")
    named = versions(route)
    twice = sorted({version for version in named if named.count(version) > 1})
    if twice:
        raise RouteError(f"{name}: each version is champion, canary or shadow, and named once; got {twice}")
    return route


def read_route(value: bytes | None) -> Route:
    """Read the value of a record on `models`.

    Raises
    ------
    RouteError
        It is no route.

    >>> read_route(b'{"hello": "world"}')
    Traceback (most recent call last):
    streams.wire.route.RouteError: it is no route: Object missing required field `model`
    """
    if not value:
        raise RouteError("it is no route: the record has no value")
    try:
        route = msgspec.json.decode(value, type=Route)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RouteError(f"it is no route: {error}") from None
    if route.format != FORMAT:
        raise RouteError(f"it is a route of format {route.format}; {FORMAT} is known here: upgrade")
    if not 1 <= route.epoch <= _EPOCH_MAX:
        raise RouteError(f"route of {route.model!r}: epochs lie between 1 and 2^53, got {route.epoch}")
    if not 0 <= route.ts <= _TS_MAX:
        raise RouteError(f"route of {route.model!r}: ts is ms since 1970, up to the year 9999, got {route.ts}")
    return check(route)
