"""Page data as JSON: the JSON view of a page, for machines; its times are ms UTC."""

from typing import Any

from dashboards.page.page_data import PageData
from dashboards.page.sentence import say
from dashboards.panels import named


def json_view(data: PageData) -> dict[str, Any]:
    """The sentence, then every panel with its question and its rows."""
    verdict = say(data)
    return {
        "page": data.address.page,
        "address": data.address.href,
        "severity": verdict.severity,
        "sentence": verdict.text,
        "away": data.away,
        "from_ms": data.over.start_ms,
        "to_ms": data.over.end_ms,
        "asked_ms": data.now_ms,
        "panels": {name: _panel(data, name) for name in data.answers},
        "live": data.live,
    }


def _panel(data: PageData, name: str) -> dict[str, Any]:
    panel, answer = named(name), data.answers[name]
    about = {"title": panel.title, "question": panel.question, "unit": panel.unit, "asked_ms": answer.asked_ms}
    return {**about, **({"trouble": answer.trouble} if answer.trouble else {}), "rows": data.rows(name)}
