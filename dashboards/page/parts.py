"""The pieces that pages are put together from: headings, figures, panels, tables, links. No numbers of their own."""

import base64
import re
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, TypeAlias

from dash import dcc, html
from dash.development.base_component import Component

from dashboards import theme, words

Child: TypeAlias = Component | str | None


_CHIPS = {"quiet": "quiet", "watch": "watch", "warning": "warning", "critical": "critical", "empty": "nothing yet"}


def chip(severity: str, word: str = "") -> Component:
    """A severity in a word and a hue."""
    return html.Span(word or _CHIPS.get(severity, severity), className=f"chip chip--{severity}")


def figures(pairs: Sequence[tuple[str, Child, str]]) -> Component:
    """A strip of numbers: name, value, what stands small beneath."""
    return html.Dl(
        [
            html.Div([html.Dt(name), html.Dd([value, html.Small(firm(beneath)) if beneath else None])])
            for name, value, beneath in pairs
        ],
        className="figures",
    )


def blank(text: str, command: str = "") -> Component:
    """An empty state: what to do next."""
    return html.Div([html.P(text), copyable(command) if command else None], className="blank")


def notices(texts: Sequence[str]) -> list[Component]:
    """What is wrong, above everything else."""
    return [html.P(text, className="notice", role="alert") for text in texts]


def copyable(command: str) -> Component:
    """A command, and a button that copies it."""
    return html.Div(
        [html.Code(command), dcc.Clipboard(content=command, title="Copy", className="copy")], className="command"
    )


def table(
    headings: Sequence[str], lines: Sequence[Sequence[Any]], numbers: Sequence[int] = (), *, slim: bool = False
) -> Component:
    """A table that becomes a list of cards on a narrow screen.

    Parameters
    ----------
    headings
        A column each; on a narrow screen they stand before the values.
    lines
        The rows: as many cells as there are headings, each a text, a number or a component.
    numbers
        Indices of the columns that are set flush right.
    slim
        It stays a table on a narrow screen.
    """
    look_of = ["number" if n in numbers else "" for n in range(len(headings))]
    head = html.Tr([html.Th(name, scope="col", className=c) for name, c in zip(headings, look_of, strict=True)])
    body = [
        html.Tr(
            [
                html.Td(value, className=c, **{"data-label": name})
                for name, value, c in zip(headings, line, look_of, strict=True)
            ]
        )
        for line in lines
    ]
    return html.Div(
        html.Table([html.Thead(head), html.Tbody(body)]), className="table table--slim" if slim else "table"
    )


def moment(ms: int | None, zone: tzinfo, beside: words.Beside | None = None, *, seconds: bool = False) -> Component:
    """A time in the reader's zone, UTC on hover.

    Parameters
    ----------
    ms, zone, beside, seconds
        As of `dashboards.words.clock`; None is shown as a dash.
    """
    return html.Time(words.clock(ms, zone, beside, seconds=seconds), title=words.utc(ms))


def spark(values: Sequence[float], label: str) -> Component:
    """A line the size of a word."""
    width, height, pad = 120.0, 28.0, 2.0
    top = max(values, default=0) or 1
    step = width / max(1, len(values) - 1)
    points = " ".join(f"{i * step:.1f},{height - pad - v / top * (height - 2 * pad):.1f}" for i, v in enumerate(values))
    area = f"0,{height} {points} {width},{height}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" preserveAspectRatio="none">'
        f'<polygon points="{area}" fill="{theme.CURRENT}" fill-opacity=".18"/>'
        f'<polyline points="{points}" fill="none" stroke="{theme.CURRENT}" stroke-width="1.5"/></svg>'
    )
    return html.Img(
        src=f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}", alt=label, className="spark"
    )


def firm(text: str) -> str:
    """Bind numbers to their units, and the ends of an interval, so that no line breaks between them.

    >>> firm("labels 60 %").encode(), firm("MAE 50.7 [47, 54]").encode()
    (b'labels 60\\xc2\\xa0%', b'MAE 50.7 [47,\\xc2\\xa054]')
    """
    return _INTERVAL.sub(lambda ends: ends[0].replace(" ", "\u00a0"), _UNIT.sub("\u00a0", text))


_INTERVAL = re.compile(r"\[[^\]]*\]")
_UNIT = re.compile(r"(?<=[0-9]) (?=%|ms\b|s\b|min\b|h\b|d\b|M\b|G\b)")
