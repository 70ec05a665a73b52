"""JSON a column at a time, for what nearly every request is."""

from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from streams.formats.envelope import ID_CHARACTERS_MAX, REQUEST_BYTES_MAX, id_of, time_of
from streams.formats.request_types import request_decoders
from streams.wire.block import Block
from streams.wire.effects import Headers
from streams.wire.refusals import Refused
from streams.wire.rows import Gathering
from streams.wire.schema import FeatureSchema

_OWN = attrgetter("id", "ts", "model", "features")


class JsonColumns:
    """Reads what nearly every request is: the default model's, right, complete, and without a header that says more.

    It goes through a block a column at a time, which takes half as long. Of whatever is not plain it leaves the
    position: `JsonDecoder` finds out what that is.
    """

    def __init__(self, model: str, schema: FeatureSchema) -> None:
        self._model = model
        self._schema = schema
        self._decode = request_decoders(schema).either.decode

    def __call__(self, block: Block) -> tuple[Gathering, list[int]]:
        """Read what is plain; returns it, and the positions of the others."""
        decode, at, requests = self._decode, [], []
        others: list[int] = []
        for n, (value, headers) in enumerate(zip(block.values, block.headers, strict=True)):
            if not value or len(value) > REQUEST_BYTES_MAX or (headers and _say_more(headers)):
                others.append(n)
                continue
            try:
                requests.append(decode(value))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                others.append(n)
            else:
                at.append(n)
        gathering = Gathering(self._schema)
        while odd := self._gather(gathering, block, at, requests):
            others += [at[n] for n in odd]
            at, requests = ([item for n, item in enumerate(items) if n not in odd] for items in (at, requests))
        return gathering, sorted(others)

    def _gather(self, gathering: Gathering, block: Block, at: list[int], requests: list[Any]) -> set[int]:
        """Gather requests, all or none: returns those that are not plain after all."""
        if not requests:
            return set()
        as_first = astuple if requests[0].features is UNSET else _OWN
        ids, times, models, nested, *flat = zip(*map(as_first, requests), strict=True)
        odd: set[int] = set()
        if models.count(None) < len(models):
            odd |= {n for n, model in enumerate(models) if model not in (None, self._model)}
        if (count := nested.count(UNSET)) < len(nested):  # in an object of their own, or at least some
            most = count * 2 > len(nested)
            odd |= {n for n, feature_object in enumerate(nested) if (feature_object is UNSET) != most}
            if not most:
                flat = [] if odd else list(zip(*map(astuple, nested), strict=True))
        for j, feature in enumerate(self._schema.features if flat else ()):
            if UNSET in flat[j]:
                odd |= {n for n, value in enumerate(flat[j]) if value is UNSET and feature.required}
                flat[j] = tuple(None if value is UNSET else value for value in flat[j])
        names = [id_ if type(id_) is str and len(id_) <= ID_CHARACTERS_MAX else "" for id_ in ids]
        moments = [block.times[n] for n in at]
        if "" in names or times.count(None) < len(times) or min(moments) < 0:
            for n, (id_, ts) in enumerate(zip(ids, times, strict=True)):
                try:
                    names[n] = names[n] or id_of(block, at[n], id_)
                    moments[n] = time_of(block, at[n], ts)
                except Refused:
                    odd.add(n)
        if not odd:
            gathering.add_all(at, names, moments, flat)
        return odd


def _say_more(headers: Headers) -> bool:
    """Whether headers name a model, an id or a time."""
    return any(name in ("model", "ce_id", "ce_time") for name, _ in headers)
