"""Two reports compared in the fields that both have.

A Driftline that is younger or older writes fields that the other did not know. Such a field is no difference: what both
wrote is compared, and the others are named.
"""

from typing import Any

import msgspec

from streams.wire.records import ColumnReport, MetricReport, Report

#: Fields whose absence is a value: they are left out where they do not apply, by every version that knows them.
_ABSENT_MEANS_SOMETHING = frozenset(
    field.encode_name
    for struct in (Report, ColumnReport, MetricReport)
    for field in msgspec.structs.fields(struct)
    if field.default is msgspec.UNSET
)


class ReportComparison:
    """Compares encoded reports, and remembers which fields only one side has.

    Attributes
    ----------
    new, gone
        Fields that only replayed reports have, and those that only served ones have: ``columns.ks``.

    >>> comparison = ReportComparison()
    >>> comparison.equal(b'{"rows":3,"columns":[{"name":"x"}]}', b'{"rows":3,"columns":[{"name":"x","ks":0.1}]}')
    True
    >>> comparison.new, comparison.equal(b'{"rows":3}', b'{"rows":4}')
    ({'columns.ks'}, False)
    """

    def __init__(self) -> None:
        self.new: set[str] = set()
        self.gone: set[str] = set()

    def equal(self, served: bytes, replayed: bytes) -> bool:
        """Whether all fields that both reports have are the same."""
        return served == replayed or self._equal(msgspec.json.decode(served), msgspec.json.decode(replayed), "")

    def _equal(self, served: Any, replayed: Any, path: str) -> bool:
        if isinstance(served, dict) and isinstance(replayed, dict):
            return self._equal_fields(served, replayed, path)
        if isinstance(served, list) and isinstance(replayed, list):
            items = [self._equal(*pair, path) for pair in zip(served, replayed, strict=False)]
            return len(served) == len(replayed) and all(items)
        return type(served) is type(replayed) and bool(served == replayed)

    def _equal_fields(self, served: dict[str, Any], replayed: dict[str, Any], path: str) -> bool:
        prefix = f"{path}." if path else ""
        only = served.keys() ^ replayed.keys()
        self.new |= {prefix + name for name in only & replayed.keys() - _ABSENT_MEANS_SOMETHING}
        self.gone |= {prefix + name for name in only & served.keys() - _ABSENT_MEANS_SOMETHING}
        both = sorted(served.keys() & replayed.keys())
        values = [self._equal(served[name], replayed[name], prefix + name) for name in both]
        return not only & _ABSENT_MEANS_SOMETHING and all(values)
