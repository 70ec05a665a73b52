"""A sheet as JSON: the page's twin, for machines; its times are ms UTC."""

from typing import Any

from dashboards.page.sentence import say
from dashboards.page.sheet import Sheet
from dashboards.panels import named


def twin(sheet: Sheet) -> dict[str, Any]:
    """The sentence, then every panel with its question and its rows."""
    verdict = say(sheet)
    return {
        "page": sheet.address.page,
        "address": sheet.address.href,
        "severity": verdict.severity,
        "sentence": verdict.text,
        "away": sheet.away,
        "from_ms": sheet.over.start_ms,
        "to_ms": sheet.over.end_ms,
        "asked_ms": sheet.now_ms,
        "panels": {name: _panel(sheet, name) for name in sheet.answers},
        "live": sheet.live,
    }


def _panel(sheet: Sheet, name: str) -> dict[str, Any]:
    panel, answer = named(name), sheet.answers[name]
    about = {"title": panel.title, "question": panel.question, "unit": panel.unit, "asked_ms": answer.asked_ms}
    return {**about, **({"trouble": answer.trouble} if answer.trouble else {}), "rows": sheet.rows(name)}
