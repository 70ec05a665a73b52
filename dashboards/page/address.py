"""The page's addresses: they hold everything that is shown, so that a link opens what its sender saw."""

import re
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlencode

import msgspec

PageName = Literal["fleet", "model", "column", "incident", "pipeline", "nowhere"]

#: Stretches that the page offers, by the text in the address.
STRETCHES = {"1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000}

#: The end of 2199: ClickHouse and pandas know later times, but nobody's records have them.
INSTANT_MS_MAX = 7_258_118_400_000
#: A name of 255 characters of four bytes each, encoded, twice.
PATH_CHARS_MAX = 8_192
QUERY_CHARS_MAX = 2_048
_FIELDS_MAX = 32
#: What `decodeURI` leaves encoded, and `encodeURI` encodes again.
_RESERVED = re.compile(r"[;/?:@&=+$,#]")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at.

    ``last`` is one of `STRETCHES`, counted back from the newest data; ``start_ms`` and ``end_ms`` pin a range
    instead; with neither, the page chooses. ``root`` stands before every path, where a proxy serves the page below one.
    """

    page: PageName = "fleet"
    model: str = ""
    column: str = ""
    incident: str = ""
    last: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    root: str = ""

    @classmethod
    def read(cls, path: str, search: str = "", root: str = "") -> "Address":
        """Read a path and its query; whatever is not understood there is left out.

        Parameters
        ----------
        path, search
            As a browser has them, encoded; ``path`` with or without ``root`` before it.
        root
            Where a proxy serves the page: ``/driftline``, or empty.

        >>> Address.read("/m/employment/c/RELP", "?last=6h").column
        'RELP'
        >>> Address.read("/i/employment-7").incident, Address.read("/x").page
        ('employment-7', 'nowhere')
        """
        query = {key: values[-1] for key, values in _query(search).items()}
        time: dict[str, Any] = {
            "last": query["last"] if query.get("last") in STRETCHES else "",
            "start_ms": _instant(query.get("from")),
            "end_ms": _instant(query.get("to")),
            "root": root,
        }
        if root and (path == root or path.startswith(f"{root}/")):
            path = path.removeprefix(root)
        if len(path) > PATH_CHARS_MAX:
            return cls(page="nowhere", root=root)
        match [unquote(part) for part in path.strip("/").split("/") if part]:
            case []:
                return cls(page="fleet", **time)
            case ["pipeline"]:
                return cls(page="pipeline", **time)
            case ["m", model]:
                return cls(page="model", model=model, **time)
            case ["m", model, "c", *column] if column:
                return cls(page="column", model=model, column="/".join(column), **time)
            case ["m~", model, "c", column]:
                return cls(page="column", model=_of_tildes(model), column=_of_tildes(column), **time)
            case ["i", incident]:
                return cls(page="incident", incident=incident, **time)
        return cls(page="nowhere", root=root)

    @property
    def href(self) -> str:
        """Path and query.

        >>> Address(page="column", model="a/b", column="RELP", last="6h").href
        '/m/a%2Fb/c/RELP?last=6h'
        """
        fields = {"last": self.last, "from": self.start_ms, "to": self.end_ms}
        query = urlencode({key: value for key, value in fields.items() if value not in ("", None)})
        return self.root + self._path + (f"?{query}" if query else "")

    @property
    def chart_href(self) -> str:
        """`href` for a link inside a chart.

        Plotly decodes and encodes a link once more, which turns ``%2F`` into ``%252F``: a name with such a character is
        spelled with tildes there.

        >>> Address(page="column", model="m", column="debt/income").chart_href
        '/m~/m/c/debt~2Fincome'
        >>> Address(page="column", model="m", column="Größe").chart_href
        '/m/m/c/Gr%C3%B6%C3%9Fe'
        """
        if self.page != "column" or not _RESERVED.search(self.model + self.column):
            return self.href
        path = f"/m~/{_tildes(self.model)}/c/{_tildes(self.column)}"
        return self.href.replace(self._path, path, 1)

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


def problem(path: str, search: str) -> str:
    """What is wrong with an address that a program asks for; empty where nothing is. A page leaves it out instead.

    >>> problem("/m/x", "from=0&to=999999999999999")
    'to is 999999999999999; give milliseconds since 1970, at most 7258118400000'
    >>> problem("/m/x", "last=6h"), problem("/m/x", "last=2h&x=1")
    ('', "last is '2h'; give one of 1h, 6h, 24h, 7d, 30d")
    """
    if len(path) > PATH_CHARS_MAX:
        return f"the path has {len(path)} characters; {PATH_CHARS_MAX} are the most"
    if len(search) > QUERY_CHARS_MAX:
        return f"the query has {len(search)} characters; {QUERY_CHARS_MAX} are the most"
    query = _query(search)
    for key in ("last", "from", "to"):
        values = query.get(key, [])
        if len(values) > 1:
            return f"{key} is given {len(values)} times; give it once"
        if key == "last" and values and values[0] not in STRETCHES:
            return f"last is {values[0][:40]!r}; give one of {', '.join(STRETCHES)}"
        if key != "last" and values and _instant(values[0]) is None:
            shown = values[0] if values[0].isdecimal() and len(values[0]) < 40 else repr(values[0][:40])
            return f"{key} is {shown}; give milliseconds since 1970, at most {INSTANT_MS_MAX}"
    start, end = (_instant(query[key][0]) if key in query else None for key in ("from", "to"))
    if start is not None and end is not None and start > end:
        return f"from is {start} and to is {end}; from comes first"
    return ""


def _query(search: str) -> dict[str, list[str]]:
    try:
        return parse_qs(search.removeprefix("?")[:QUERY_CHARS_MAX], keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:  # too many fields
        return {}


def _instant(text: str | None) -> int | None:
    if not text or not (text.isascii() and text.isdigit()) or len(text) > len(str(INSTANT_MS_MAX)):
        return None
    return ms if (ms := int(text)) <= INSTANT_MS_MAX else None


def _tildes(name: str) -> str:
    return "".join(
        chr(byte) if byte < 128 and (chr(byte).isalnum() or chr(byte) in "-_.") else f"~{byte:02X}"
        for byte in name.encode()
    )


def _of_tildes(text: str) -> str:
    return unquote(text.replace("%", "%25").replace("~", "%"))
