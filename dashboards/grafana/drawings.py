"""A panel of ours as a panel of Grafana."""

from collections.abc import Callable
from typing import Any

from dashboards import theme
from dashboards.panels import Drawing, Panel, Unit

Json = dict[str, Any]

DATASOURCE_TYPE = "grafana-clickhouse-datasource"
_UNITS: dict[Unit, str] = {"share": "percentunit", "rows": "short", "rows/s": "cps", "s": "s", "ms": "ms"}
#: What a chart takes of a query that returns more.
_CHARTED: dict[str, tuple[str, ...]] = {
    "drift_map": ("time", "column", "ratio"),
    "column_effect": ("time", "effect", "low", "high", "tolerance"),
    "performance": ("time", "metric", "realised", "low", "high", "estimated", "reference"),
    "column_cells": ("cell", "reference", "current"),
    "lag_curve": ("age", "expected", "covered"),
}
#: Columns of tables that lead to another dashboard.
_LINKS = ("model", "column", "incident")


def panel(ours: Panel, datasource: str, grid_position: Json, number: int) -> Json:
    """Make a panel.

    Parameters
    ----------
    datasource
        Uid of Grafana's ClickHouse data source.
    grid_position
        ``x``, ``y``, ``w``, ``h`` on Grafana's grid of 24 columns.
    number
        Unique in its dashboard.
    """
    kind, options, custom, overrides = _KINDS[ours.drawing](ours)
    return {
        "id": number,
        "type": kind,
        "title": ours.title,
        "description": f"{ours.question}\n\n{ours.todo}",
        "gridPos": grid_position,
        "datasource": {"type": DATASOURCE_TYPE, "uid": datasource},
        "targets": [target(charted(ours), datasource, over_time="time" in ours.columns and ours.drawing != "table")],
        "options": options,
        "fieldConfig": {
            "defaults": {"unit": _UNITS.get(ours.unit, "none"), "custom": custom, "thresholds": _thresholds(ours)},
            "overrides": overrides,
        },
    }


def charted(ours: Panel) -> str:
    """The query of a panel: the columns that it shows."""
    sql = ours.sql.strip()
    columns = _CHARTED.get(ours.name)
    if columns is None and "parts" in ours.columns:  # For who writes a text in another way.
        columns = tuple(name for name in ours.columns if name != "parts")
    if columns is None:
        return sql
    return f"SELECT {', '.join(columns)}\nFROM\n(\n{_indented(sql)}\n)"


def target(sql: str, datasource: str, *, over_time: bool) -> Json:
    """One query, as the ClickHouse plugin keeps it.

    Parameters
    ----------
    datasource
        Uid of Grafana's ClickHouse data source.
    over_time
        The answer has a column of times and is drawn over it; else it is a table.
    """
    return {
        "refId": "A",
        "datasource": {"type": DATASOURCE_TYPE, "uid": datasource},
        "editorType": "sql",
        "queryType": "timeseries" if over_time else "table",
        "format": 0 if over_time else 1,
        "rawSql": sql,
    }


def _indented(sql: str) -> str:
    return "\n".join(f"    {line}" if line else line for line in sql.splitlines())


def _thresholds(ours: Panel) -> Json:
    steps: list[Json] = [{"color": "transparent" if ours.drawing == "map" else theme.FINE, "value": None}]
    if ours.threshold is not None:
        steps = [
            {"color": theme.washed(theme.FINE, 0.15), "value": None},
            {"color": theme.washed(theme.FINE, 0.40), "value": ours.threshold / 2},
            {"color": theme.CURRENT, "value": ours.threshold},
            {"color": theme.CRITICAL, "value": ours.threshold * 3},
        ]
    return {"mode": "absolute", "steps": steps}


_Kind = tuple[str, Json, Json, list[Json]]
_TOOLTIP = {"mode": "multi", "sort": "none"}
_LEGEND = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
_LINE = {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 0, "showPoints": "never", "spanNulls": False}


def _table(ours: Panel) -> _Kind:
    overrides = [
        _override(name, {"links": [{"title": f"Open {name}", "url": _url(name)}]})
        for name in ours.columns
        if name in _LINKS and ours.level != name
    ]
    return "table", {"showHeader": True, "cellHeight": "sm"}, {"align": "auto", "filterable": False}, overrides


def _url(name: str) -> str:
    keep = "&${model:queryparam}" if name == "column" else ""
    return f"/d/driftline-{name}?var-{name}=${{__value.raw}}{keep}&${{__url_time_range}}"


def _map(ours: Panel) -> _Kind:  # noqa: ARG001
    options = {"rowHeight": 0.9, "colWidth": 0.95, "showValue": "never", "legend": {**_LEGEND, "showLegend": False}}
    link = {"title": "Open the column", "url": _url("column").replace("__value.raw", "__field.labels.column")}
    cells = {"links": [link], "displayName": "${__field.labels.column}", "color": {"mode": "thresholds"}}
    every = {"matcher": {"id": "byType", "options": "number"}, "properties": _properties(cells)}
    return "status-history", {**options, "tooltip": _TOOLTIP}, {"lineWidth": 0, "fillOpacity": 100}, [every]


def _lines(ours: Panel) -> _Kind:  # noqa: ARG001
    return "timeseries", {"legend": _LEGEND, "tooltip": _TOOLTIP}, _LINE, []


def _steps(ours: Panel) -> _Kind:  # noqa: ARG001
    custom = {
        **_LINE,
        "lineInterpolation": "stepAfter",
        "fillOpacity": 25,
        "stacking": {"mode": "normal", "group": "A"},
    }
    return "timeseries", {"legend": _LEGEND, "tooltip": _TOOLTIP}, custom, []


def _evidence(ours: Panel) -> _Kind:  # noqa: ARG001
    custom = {**_LINE, "scaleDistribution": {"type": "log", "log": 10}}
    budget = {"matcher": {"id": "byRegexp", "options": ".*budget.*"}, "properties": _properties(_limit(theme.CRITICAL))}
    return "timeseries", {"legend": _LEGEND, "tooltip": _TOOLTIP}, custom, [budget]


def _effect(ours: Panel) -> _Kind:  # noqa: ARG001
    overrides = [_override("effect", _hue(theme.CURRENT)), *_interval(), _override("tolerance", _limit(theme.CRITICAL))]
    return "timeseries", {"legend": _LEGEND, "tooltip": _TOOLTIP}, _LINE, overrides


def _performance(ours: Panel) -> _Kind:  # noqa: ARG001
    custom = {**_LINE, "spanNulls": True}
    overrides = [
        _like("realised", _hue(theme.CURRENT)),
        _like("estimated", _hue(theme.FINE)),
        _like("reference", _limit(theme.REFERENCE)),
    ]
    return "timeseries", {"legend": _LEGEND, "tooltip": _TOOLTIP}, custom, overrides


def _fan(ours: Panel) -> _Kind:  # noqa: ARG001
    band = {"custom.lineWidth": 0, "custom.fillOpacity": 18, **_hue(theme.CURRENT)}
    overrides = [
        _override("p95", {**band, "custom.fillBelowTo": "p05"}),
        _override("p75", {**band, "custom.fillBelowTo": "p25"}),
        _override("p05", {"custom.lineWidth": 0, **_hue(theme.CURRENT)}),
        _override("p25", {"custom.lineWidth": 0, **_hue(theme.CURRENT)}),
        _override("p50", _hue(theme.CURRENT)),
    ]
    return "timeseries", {"legend": {**_LEGEND, "showLegend": False}, "tooltip": _TOOLTIP}, _LINE, overrides


def _bars(ours: Panel) -> _Kind:
    options = {
        "xField": ours.columns[0],
        "orientation": "horizontal",
        "showValue": "auto",
        "stacking": "none",
        "groupWidth": 0.7,
        "barWidth": 0.95,
        "legend": _LEGEND,
        "tooltip": _TOOLTIP,
    }
    overrides = [_override("reference", _hue(theme.REFERENCE)), _override("current", _hue(theme.CURRENT))]
    return "barchart", options, {"fillOpacity": 90, "lineWidth": 0}, overrides


def _ages(ours: Panel) -> _Kind:
    kind, options, custom, _ = _bars(ours)
    overrides = [
        _override("age", {"unit": "s"}),
        _override("expected", _hue(theme.REFERENCE)),
        _override("covered", _hue(theme.CURRENT)),
    ]
    return kind, options | {"orientation": "vertical", "showValue": "never"}, custom, overrides


def _interval() -> list[Json]:
    faint = {"custom.lineWidth": 0, **_hue(theme.CURRENT)}
    return [
        _override("high", {**faint, "custom.fillBelowTo": "low", "custom.fillOpacity": 20}),
        _override("low", faint),
    ]


def _limit(hue: str) -> Json:
    return {**_hue(hue), "custom.lineStyle": {"fill": "dash", "dash": [8, 6]}, "custom.lineWidth": 1.5}


def _hue(colour: str) -> Json:
    return {"color": {"mode": "fixed", "fixedColor": colour}}


def _override(field: str, values: Json) -> Json:
    return {"matcher": {"id": "byName", "options": field}, "properties": _properties(values)}


def _like(field: str, values: Json) -> Json:
    """By the beginning of a name: a series with labels is called ``field {label="..."}``."""
    return {"matcher": {"id": "byRegexp", "options": f"^{field}\\b.*"}, "properties": _properties(values)}


def _properties(values: Json) -> list[Json]:
    return [{"id": name, "value": value} for name, value in values.items()]


_KINDS: dict[Drawing, Callable[[Panel], _Kind]] = {
    "table": _table,
    "map": _map,
    "lines": _lines,
    "steps": _steps,
    "evidence": _evidence,
    "effect": _effect,
    "performance": _performance,
    "fan": _fan,
    "bars": _bars,
    "ages": _ages,
}
