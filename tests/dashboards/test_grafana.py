"""The generated files: as committed, as Grafana's own types read them, and whole in themselves."""

import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.grafana import alerts, build, check
from dashboards.grafana.classic import DATASOURCE, LEVELS, dashboards
from dashboards.panels import PANELS
from dashboards.rules import RULES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # The SDK says that classic dashboards are not the newest kind.
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.alerting import Rule as TypedRule
    from grafana_foundation_sdk.models.dashboard import Dashboard

COMMITTED = Path(__file__).resolve().parents[2] / "docker" / "grafana"
BOARDS = dashboards()


def test_committed_files_are_the_generated() -> None:
    assert check(COMMITTED) == []


def test_check_tells_what_differs(tmp_path: Path) -> None:
    build(tmp_path)
    assert check(tmp_path) == []
    (tmp_path / "dashboards" / "driftline-fleet.json").write_text("{}")
    (tmp_path / "dashboards" / "old.json").write_text("{}")
    shutil.rmtree(tmp_path / "provisioning" / "alerting")
    told = check(tmp_path)
    assert [line.split(";")[0] for line in told] == [
        "provisioning/alerting/driftline.yaml is missing",
        "dashboards/old.json is not generated any more",
        "dashboards/driftline-fleet.json differs from what the panels say",
    ]


@pytest.mark.parametrize("uid", BOARDS)
def test_grafanas_own_types_know_every_key(uid: str) -> None:
    """What the typed model reads and writes again must hold all that we wrote: a misspelt key would be gone."""
    register_default_plugins()
    board = json.loads((COMMITTED / "dashboards" / f"{uid}.json").read_text())
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert _lost(board, again, uid) == []


@pytest.mark.parametrize("rule", alerts.for_api(), ids=lambda rule: rule["uid"])
def test_grafanas_own_types_know_the_rules(rule: dict[str, Any]) -> None:
    again = json.loads(json.dumps(TypedRule.from_json(rule), cls=JSONEncoder))
    assert _lost(rule, again, rule["uid"]) == []


def _lost(ours: Any, theirs: Any, place: str) -> list[str]:
    """Where ours says something that theirs does not."""
    if isinstance(ours, dict):
        if not isinstance(theirs, dict):
            return [place]
        gone = [f"{place}.{key}" for key in ours if key not in theirs]
        return gone + [at for key in ours if key in theirs for at in _lost(ours[key], theirs[key], f"{place}.{key}")]
    if isinstance(ours, list):
        if len(ours) != len(theirs):
            return [place]
        return [at for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) for at in _lost(a, b, f"{place}[{i}]")]
    return [] if ours == theirs else [f"{place}: {ours!r} became {theirs!r}"]


@pytest.mark.parametrize("uid", BOARDS)
def test_dashboard_is_classic_and_whole(uid: str) -> None:
    board = BOARDS[uid]
    assert board["schemaVersion"] <= 42
    assert "elements" not in board  # The v2 schema, which file provisioning refuses.
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers) <= 20
    for panel in board["panels"]:
        assert panel["description"].count("?") >= 1
        assert panel["datasource"]["uid"] == DATASOURCE
    assert _overlaps(board["panels"]) == []


def _overlaps(panels: list[dict[str, Any]]) -> list[tuple[str, str]]:
    taken: dict[tuple[int, int], str] = {}
    clashes = []
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken:
                    clashes.append((taken[x, y], panel["title"]))
                taken[x, y] = panel["title"]
    return clashes


def test_every_panel_is_in_grafana_once() -> None:
    titles = [panel["title"] for board in BOARDS.values() for panel in board["panels"]]
    assert sorted(titles) == sorted(panel.title for panel in PANELS)


def test_links_lead_to_dashboards_of_ours() -> None:
    text = json.dumps(BOARDS)
    assert set(re.findall(r"/d/(driftline-[a-z]+)", text)) <= set(BOARDS) == {f"driftline-{level}" for level in LEVELS}


def test_variables_used_are_variables_given() -> None:
    for board in BOARDS.values():
        given = {variable["name"] for variable in board["templating"]["list"]}
        assert set(re.findall(r"\$\{(\w+):singlequote\}", json.dumps(board))) <= given, board["uid"]


def test_provisioning_as_grafana_reads_it() -> None:
    folder = COMMITTED / "provisioning"
    sources = yaml.safe_load((folder / "datasources" / "driftline.yaml").read_text())
    assert sources["apiVersion"] == 1
    assert sources["datasources"][0]["uid"] == DATASOURCE
    providers = yaml.safe_load((folder / "dashboards" / "driftline.yaml").read_text())
    assert providers["providers"][0]["folderUid"] == alerts.FOLDER_UID
    groups = yaml.safe_load((folder / "alerting" / "driftline.yaml").read_text())["groups"]
    rules = groups[0]["rules"]
    assert [rule["uid"] for rule in rules] == [f"driftline-{rule.name}" for rule in RULES]
    assert all(len(rule["uid"]) <= 40 for rule in rules)
    for rule in rules:
        assert [part["refId"] for part in rule["data"]] == ["A", "B", "C"]
        assert [part["model"].get("type") for part in rule["data"]] == [None, "reduce", "threshold"]
        assert rule["condition"] == "C"
        # Grafana fills environment variables into labels: a lone dollar there would vanish.
        assert "$" not in json.dumps(rule["labels"])
        assert not re.search(r"\$\{", json.dumps(rule["annotations"]))


def test_rules_name_only_labels_that_their_query_returns() -> None:
    for rule in RULES:
        named = set(re.findall(r"\$labels\.(\w+)", rule.summary + rule.todo))
        assert named <= set(rule.labels), rule.name


def test_nothing_but_rules_touches_the_users_alerting() -> None:
    provisioned = yaml.safe_load((COMMITTED / "provisioning" / "alerting" / "driftline.yaml").read_text())
    assert set(provisioned) == {"apiVersion", "groups"}
