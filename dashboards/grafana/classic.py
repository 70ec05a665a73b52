"""The dashboards: one a level, linked downwards, in Grafana's classic JSON."""

from importlib import resources
from typing import Any

from dashboards.grafana.drawings import DATASOURCE_TYPE, Json, panel, target
from dashboards.panels import Level, Panel, at_level

SCHEMA_VERSION = 42
DATASOURCE = "driftline-clickhouse"
LEVELS: tuple[Level, ...] = ("fleet", "model", "column", "incident", "pipeline")

_WIDTH = 24
_TITLES = {
    "fleet": "Fleet: which model needs me?",
    "model": "Model: what moved, since when, does it hurt?",
    "column": "Column: how did it move?",
    "incident": "Incident: what do I do now?",
    "pipeline": "Pipeline: is the machine well?",
}
_MODELS = "SELECT model FROM counts_by_minute GROUP BY model ORDER BY model"
_COLUMNS = "SELECT column FROM references WHERE model = ${model:singlequote} GROUP BY column ORDER BY column"
_INCIDENTS = "SELECT incident FROM alerts GROUP BY incident ORDER BY max(ts) DESC"
_ITS_MODEL = "SELECT any(model) FROM alerts WHERE incident = ${incident:singlequote}"
#: Variables of each level, and the query that offers their values.
VARIABLES: dict[Level, dict[str, str]] = {
    "fleet": {},
    "model": {"model": _MODELS},
    "column": {"model": _MODELS, "column": _COLUMNS},
    "incident": {"incident": _INCIDENTS, "model": _ITS_MODEL},
    "pipeline": {},
}


def dashboards(datasource: str = DATASOURCE) -> dict[str, Json]:
    """All dashboards by uid."""
    made = [_dashboard(level, datasource) for level in LEVELS]
    return {dashboard["uid"]: dashboard for dashboard in made}


def _dashboard(level: Level, datasource: str) -> Json:
    return {
        "uid": f"driftline-{level}",
        "title": f"Driftline / {_TITLES[level]}",
        "tags": ["driftline"],
        "schemaVersion": SCHEMA_VERSION,
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": _annotations(level, datasource)},
        "templating": {"list": [_variable(name, sql, datasource) for name, sql in VARIABLES[level].items()]},
        "links": _links(level),
        "panels": _laid_out(at_level(level), datasource),
    }


def _laid_out(panels: tuple[Panel, ...], datasource: str) -> list[Json]:
    made, x, y, tall = [], 0, 0, 0
    for number, ours in enumerate(panels, 1):
        wide, high = _size(ours)
        if x + wide > _WIDTH:
            x, y, tall = 0, y + tall, 0
        made.append(panel(ours, datasource, {"x": x, "y": y, "w": wide, "h": high}, number))
        x, tall = x + wide, max(tall, high)
    return made


def _size(ours: Panel) -> tuple[int, int]:
    """Width of 24, height in units of 30 px."""
    if ours.drawing == "map":
        return 24, 14
    if ours.drawing == "table":
        return 24, 8
    return 12, 12 if ours.drawing == "bars" else 8


def _variable(name: str, sql: str, datasource: str) -> Json:
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": {"type": DATASOURCE_TYPE, "uid": datasource},
        "query": sql,
        "definition": sql,
        "refresh": 2,
        "sort": 0,
        "multi": False,
        "includeAll": False,
        "hide": 2 if sql == _ITS_MODEL else 0,
        "options": [],
        "current": {},
    }


def _annotations(level: Level, datasource: str) -> list[Json]:
    if "model" not in VARIABLES[level]:
        return []
    sql = resources.files("dashboards").joinpath("queries", "marks.sql").read_text().strip()
    mark: dict[str, Any] = {
        "name": "incidents and orders",
        "datasource": {"type": DATASOURCE_TYPE, "uid": datasource},
        "enable": True,
        "hide": False,
        "iconColor": "#CC79A7",
        "target": target(sql, datasource, over_time=False),
    }
    return [mark]


def _links(level: Level) -> list[Json]:
    return [
        {
            "title": other,
            "type": "link",
            "url": f"/d/driftline-{other}",
            "keepTime": True,
            "includeVars": True,
            "targetBlank": False,
            "asDropdown": False,
            "icon": "dashboard",
            "tags": [],
            "tooltip": _TITLES[other],
        }
        for other in LEVELS
        if other != level
    ]
