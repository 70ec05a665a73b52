"""Ten ways to break a request, each with the reason that its dead letter must give."""

from collections.abc import Callable
from typing import Any

import msgspec

from streams.formats.envelope import AHEAD_MS_MAX, ID_CHARACTERS_MAX, REQUEST_BYTES_MAX
from streams.wire.refusals import Reason

Break = Callable[[dict[str, Any]], bytes]


def _with(**changes: Any) -> Break:
    return lambda request: msgspec.json.encode({**request, **changes})


def _features(**changes: Any) -> Break:
    return lambda request: msgspec.json.encode({**request, "features": {**request["features"], **changes}})


#: In the order in which the demo uses them.
WAYS: tuple[tuple[Reason, Break], ...] = (
    ("undecodable", lambda request: b"age=41&city=Boston"),
    ("undecodable", lambda request: msgspec.json.encode(request)[:-7]),
    ("undecodable", lambda request: b'{"id": "\xff\xfe"}'),
    ("empty", lambda request: b""),
    ("wrong_type", _features(AGEP="forty-one")),
    ("wrong_type", lambda request: b"[1, 2, 3]"),
    ("missing_field", lambda request: msgspec.json.encode({**request, "features": {}})),
    ("impossible_timestamp", lambda request: msgspec.json.encode({**request, "ts": request["ts"] + 30 * AHEAD_MS_MAX})),
    ("impossible_id", _with(id="x" * (ID_CHARACTERS_MAX + 1))),
    ("oversize", _with(note="x" * REQUEST_BYTES_MAX)),
)
