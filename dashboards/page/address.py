"""The page's addresses: they hold everything that is shown, so that a link opens what its sender saw."""

from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlencode

import msgspec

PageName = Literal["fleet", "model", "column", "incident", "pipeline", "nowhere"]

#: Stretches that the page offers, by the text in the address.
STRETCHES = {"1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at.

    ``last`` is one of `STRETCHES`, counted back from the newest data; ``start_ms`` and ``end_ms`` pin a range
    instead; with neither, the page chooses.
    """

    page: PageName = "fleet"
    model: str = ""
    column: str = ""
    incident: str = ""
    last: str = ""
    start_ms: int | None = None
    end_ms: int | None = None

    @classmethod
    def read(cls, path: str, search: str = "") -> "Address":
        """Read a path and its query; whatever is not understood there is left out.

        >>> Address.read("/m/employment/c/RELP", "?last=6h").column
        'RELP'
        >>> Address.read("/i/employment-7").incident, Address.read("/x").page
        ('employment-7', 'nowhere')
        """
        asked = {key: values[-1] for key, values in parse_qs(search.removeprefix("?")).items()}
        time: dict[str, Any] = {
            "last": asked["last"] if asked.get("last") in STRETCHES else "",
            "start_ms": _whole(asked.get("from")),
            "end_ms": _whole(asked.get("to")),
        }
        match [unquote(part) for part in path.strip("/").split("/") if part]:
            case []:
                return cls(page="fleet", **time)
            case ["pipeline"]:
                return cls(page="pipeline", **time)
            case ["m", model]:
                return cls(page="model", model=model, **time)
            case ["m", model, "c", *column] if column:
                return cls(page="column", model=model, column="/".join(column), **time)
            case ["i", incident]:
                return cls(page="incident", incident=incident, **time)
        return cls(page="nowhere")

    @property
    def href(self) -> str:
        """Path and query.

        >>> Address(page="column", model="a/b", column="RELP", last="6h").href
        '/m/a%2Fb/c/RELP?last=6h'
        """
        asked = {"last": self.last, "from": self.start_ms, "to": self.end_ms}
        query = urlencode({key: value for key, value in asked.items() if value not in ("", None)})
        return self._path + (f"?{query}" if query else "")

    @property
    def _path(self) -> str:
        match self.page:
            case "model":
                return f"/m/{_part(self.model)}"
            case "column":
                return f"/m/{_part(self.model)}/c/{_part(self.column)}"
            case "incident":
                return f"/i/{_part(self.incident)}"
            case "pipeline":
                return "/pipeline"
        return "/"

    def go(self, **changes: str | int | None) -> "Address":
        """The same stretch of time, elsewhere."""
        return msgspec.structs.replace(self, **changes)


def _part(name: str) -> str:
    return quote(name, safe="")


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 15 else None
