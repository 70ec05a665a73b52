"""Canary shares as people write them."""

from collections.abc import Collection

from streams.wire.route import RouteError


def share(text: str) -> tuple[str | None, float]:
    """Read a canary as people write it: a share, or a version and its share.

    Raises
    ------
    RouteError
        It is no share between 0 and 1.

    >>> share("5%"), share("v2=0.05"), share("v2=12.5 %")
    ((None, 0.05), ('v2', 0.05), ('v2', 0.125))
    """
    version, equals, amount = text.rpartition("=")
    number = amount.strip()
    try:
        value = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        raise RouteError(
            f"--canary {text}: write a share, as in 5%, or a version with its share, as in v2=5%"
        ) from None
    if not 0 < value <= 1:
        raise RouteError(f"--canary {text}: a share lies between 0 and 100 %; 5 is 500 %, write 5%")
    return (version if equals else None), round(value, 12)


def read_shares(version: str | None, canary: Collection[str]) -> tuple[dict[str, float], str | None]:
    """Read the canaries of a command: shares by version, and the champion if one was named.

    Raises
    ------
    RouteError
        A text is no share, or a share lacks its version.
    """
    read = [share(text) for text in canary]
    bare = [amount for name, amount in read if name is None]
    shares = {name: amount for name, amount in read if name is not None}
    if len(bare) > 1:
        raise RouteError("--canary was given two shares without a version; write --canary v2=5% --canary v3=5%")
    if bare and version is None:
        raise RouteError("--canary was given a share without a version; write it first, or --canary v2=5%")
    if bare:
        assert version is not None
        return {**shares, version: bare[0]}, None
    return shares, version
