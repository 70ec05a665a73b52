"""`docs/operations.md` names every metric and every reason of a dead letter, in the words of the program."""

import re
from pathlib import Path

from prometheus_client import REGISTRY

from inference.scoring import facts as scoring
from inference.serving import batch_facts
from streams.runtime import batch_tuner, facts, telemetry
from streams.wire.dead_letters import IN_WORDS

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
ROWS = [
    tuple(cell.strip() for cell in line.strip("| ").split(" | ")) for line in PAGE.splitlines() if line[:3] == "| `"
]


def test_every_metric_is_named_with_its_labels_and_meaning():
    assert scoring and batch_facts and batch_tuner and facts and telemetry  # whose metrics they are
    known = set()
    for collector in set(REGISTRY._collector_to_names):
        for metric in collector.describe() if hasattr(collector, "describe") else ():
            if metric.name.startswith("driftline_"):
                total = "_total" if metric.type == "counter" else ""
                known.add((f"`{metric.name}{total}`", ", ".join(collector._labelnames), metric.documentation))
    assert known == {row for row in ROWS if row[0].startswith("`driftline_")}


def test_every_reason_is_explained():
    assert [row for row in ROWS if re.fullmatch("`[a-z]+(_[a-z]+)*`", row[0]) and len(row) == 2] == [
        (f"`{reason}`", words) for reason, words in IN_WORDS.items()
    ]
