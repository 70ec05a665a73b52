"""The rules as Grafana's alerting reads them: query, reduce, threshold."""

from dashboards.grafana.classic import DATASOURCE
from dashboards.grafana.drawings import Json, target
from dashboards.rules import RULES, Rule

FOLDER, FOLDER_UID, GROUP = "Driftline", "driftline", "driftline"


def provisioned(datasource: str = DATASOURCE) -> Json:
    """The file for ``provisioning/alerting``."""
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": FOLDER,
        "interval": "1m",
        "rules": [_of_file(r, datasource) for r in RULES],
    }
    return {"apiVersion": 1, "groups": [group]}


def for_api(datasource: str = DATASOURCE) -> list[Json]:
    """The bodies for ``/api/v1/provisioning/alert-rules``."""
    return [_of_api(rule, datasource) for rule in RULES]


def _of_file(rule: Rule, datasource: str) -> Json:
    return {**_common(rule, datasource), "keepFiringFor": "5m", "missing_series_evals_to_resolve": 2}


def _of_api(rule: Rule, datasource: str) -> Json:
    return {
        **_common(rule, datasource),
        "orgID": 1,
        "folderUID": FOLDER_UID,
        "ruleGroup": GROUP,
        "keep_firing_for": "5m",
        "missingSeriesEvalsToResolve": 2,
    }


def _common(rule: Rule, datasource: str) -> Json:
    return {
        "uid": f"driftline-{rule.name}",
        "title": rule.title,
        "condition": "C",
        "data": [_query(rule, datasource), _expression("B", _REDUCE), _expression("C", _threshold(rule.above))],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": f"{rule.for_s}s",
        "annotations": {"summary": rule.summary, "description": rule.todo},
        "labels": {"product": "driftline", "severity": rule.severity},
        "isPaused": False,
    }


def _query(rule: Rule, datasource: str) -> Json:
    return {
        "refId": "A",
        "relativeTimeRange": {"from": rule.over_s, "to": 0},
        "datasourceUid": datasource,
        "model": target(rule.sql.strip(), datasource, over_time=False),
    }


def _expression(name: str, model: Json) -> Json:
    common = {"refId": name, "datasource": {"type": "__expr__", "uid": "__expr__"}}
    return {
        "refId": name,
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": "__expr__",
        "model": {**common, **model},
    }


_REDUCE: Json = {"type": "reduce", "expression": "A", "reducer": "last"}


def _threshold(above: float) -> Json:
    conditions = [{"evaluator": {"type": "gt", "params": [above]}}]
    return {"type": "threshold", "expression": "B", "conditions": conditions}
