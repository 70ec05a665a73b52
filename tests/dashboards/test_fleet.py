"""The line of a model on the fleet: which version serves it, whatever has answered."""

from datetime import UTC
from typing import Any

import pytest

from dashboards.macros import Range
from dashboards.page import fleet
from dashboards.page.address import Address
from dashboards.page.page_data import PageData

ROW: dict[str, Any] = {
    "model": "delay",
    "versions": "v1",
    "rows": 10,
    "moved": 0,
    "watched": 0,
    "open_incidents": 0,
    "severity": "",
    "incident": None,
    "metric": "",
}


@pytest.mark.parametrize(
    ("serving", "rows", "said"),
    [
        # The newest times are those of another version's rows: a backfill is of the past.
        ({"delay": {"version": "v2", "epoch": 2}}, 10, "serving v2"),
        ({"delay": {"version": "v2", "epoch": 2}}, 0, "serving v2"),
        ({"tickets": {"version": "v3", "epoch": 1}}, 10, "answered by v1"),
        ({}, 10, "answered by v1"),
    ],
)
def test_the_version_that_serves_is_what_workers_say(serving: dict[str, Any], rows: int, said: str) -> None:
    live = {"roles": {"store-0": {}, "worker-0": {"steps": [], "serving": serving}}}
    data = PageData(Address(page="fleet"), Range(0, 3_600_000), {}, live, 3_600_000)
    assert said in str(fleet._line(ROW | {"rows": rows}, data, UTC, [1.0, 2.0]))
