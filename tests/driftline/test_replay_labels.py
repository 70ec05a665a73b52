"""Labels of a replay with another model: sums made anew, faults as they were counted."""

import numpy as np
import pandas as pd

from drift import Reference
from driftline.replay.compare_predictions import Row
from driftline.replay.paired_metrics import metrics
from driftline.replay.relabel import Relabelled
from inference import ModelPackage
from inference.packages.model_toml import Outputs
from streams.wire.records import MINUTE_MS, LabelSums, Outcome, Prediction
from streams.wire.schema import Feature

TS = 1_700_000_000_000 // MINUTE_MS * MINUTE_MS


def reference():
    p = np.random.default_rng(0).random(400)
    frame = pd.DataFrame({"x": p, "p": p, "hat": (p >= 0.5).astype(int), "y": (p >= 0.4).astype(int)})
    return Reference.fit(frame, task="binary", score="p", prediction="hat", label="y")


def row(id_, served, replayed):
    said = {"id": id_, "model": "m", "ts": TS}
    return Row(
        Prediction(**said, version="v1", score=served, prediction=str(int(served >= 0.5))),
        Prediction(**said, version="v2", score=replayed, prediction=str(int(replayed >= 0.5))),
    )


def outcome(id_, label):
    return Outcome(id=id_, model="m", version="v1", ts=TS, score=0.9, prediction="1", label=label, label_ts=TS + 1)


def test_faults_are_carried_over_once_to_the_version_that_stands_in():
    known = reference()
    rows = [row("a", 0.9, 0.2), row("b", 0.9, 0.8)]
    relabelled = Relabelled(lambda *_: known, [(5, outcome("a", "1")), (5, outcome("b", "true"))], rows)
    recorded = LabelSums(
        model="m", version="v1", reference="old", segment="", minute_ms=TS, cells=b"", topic="feedback", partition=0,
        first=0, last=3, faults={"'maybe'": 2},
    )  # fmt: skip
    sums = relabelled.until(recorded, 5)
    assert {(one.version, one.reference) for one in sums} == {("v2", known.id)}
    assert [one.faults for one in sums if one.faults] == [{"'maybe'": 2}]
    total = sum(np.frombuffer(one.cells, "<i8").reshape(-1, 4).sum(0) for one in sums)
    # Two labels, both positive; of the replayed predictions one says so.
    assert total[[0, 1, 3]].tolist() == [2, 2 * 4096, 1]


def test_figures_of_a_replay_read_labels_by_the_packages_classes():
    package = ModelPackage(
        name="m", version="v1", task="binary", artefact="m.pt2", inputs=(Feature("x"),), outputs=Outputs(("0", "1"))
    )
    rows = [row(str(n), 0.9, 0.2) for n in range(6)]
    said = ["1", "true", "1.0", "0", "maybe", "False"]
    labels = {("m", "v1", str(n), TS): label for n, label in enumerate(said)}
    accuracy = next(one for one in metrics(rows, labels, lambda *_: package) if one.metric == "accuracy")
    # "maybe" is no label; of the other five, three are 1 (served is right) and two are 0 (replayed is right).
    assert (accuracy.rows, accuracy.served, accuracy.replayed) == (5, 3 / 5, 2 / 5)
    none = dict.fromkeys(labels, "maybe")
    assert metrics(rows, none, lambda *_: package) == []
