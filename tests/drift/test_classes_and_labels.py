"""Classes and labels in any spelling, the positive class by evidence, and labels that are no class of the model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

import drift
from drift.cells.frames import FrameError
from drift.performance import label_sums
from drift.performance.label_sums import label_sums_of_groups
from streams.wire.block import Block

BINARY = {"task": "binary", "score": "p", "prediction": "hat", "label": "y"}
TS = 1_700_000_000_000


def scored(n=4_000, seed=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    p = 1 / (1 + np.exp(-1.5 * x))
    return pd.DataFrame({"x": x, "p": p, "y": (rng.random(n) < p).astype(int), "hat": (p >= 0.5).astype(int)})


SPELLINGS = {
    "bool": lambda s: s.astype(bool),
    "nullable bool": lambda s: s.astype("boolean"),
    "float": lambda s: s.astype(float),
    "nullable integer": lambda s: s.astype("Int8"),
    "text of floats": lambda s: s.astype(float).astype(str),
    "text of booleans": lambda s: s.map({1: "True", 0: "False"}),
    "upper case": lambda s: s.map({1: "TRUE", 0: "FALSE"}),
    "category of booleans": lambda s: s.astype(bool).astype("category"),
    "mixed": lambda s: s.astype(object).where(np.arange(len(s)) % 2 == 0, s.astype(bool).astype(object)),
    "holes": lambda s: s.astype(bool).astype(object).where(np.arange(len(s)) % 3 > 0, None),
}
spelled = pytest.mark.parametrize("how", SPELLINGS.values(), ids=SPELLINGS.keys())


@spelled
@pytest.mark.parametrize("column", ["y", "hat"])
def test_a_reference_is_the_same_however_its_classes_are_spelled(how, column):
    table = scored()
    reference = drift.Reference.fit(table.assign(**{column: how(table[column])}), **BINARY)
    kept = how(table["y"]).notna() if column == "y" else table.index >= 0
    rows = table[kept]
    if column == "y":
        assert reference.performance["accuracy"] == accuracy_score(rows["y"], rows["hat"])
    assert reference.performance["auc"] == pytest.approx(roc_auc_score(rows["y"], rows["p"]), abs=0.01)
    assert len(reference.classes) == 2 and reference.prediction.size == 4  # two classes, unseen, null


FIRST = {"as they are": lambda s: s, "bool": lambda s: s.astype(bool), "text": lambda s: s.astype(float).astype(str)}


@pytest.fixture(scope="module", params=FIRST)
def fitted(request):
    """A reference of labels in one spelling, and what it finds in the stream as it is."""
    table = scored()
    reference = drift.Reference.fit(table.assign(y=FIRST[request.param](table["y"])), **BINARY)
    return reference, drift.backtest(reference, scored(seed=4))


@spelled
@pytest.mark.parametrize("column", ["y", "hat"])
def test_a_stream_is_read_by_the_references_classes(how, column, fitted):
    stream, (reference, plain) = scored(seed=4), fitted
    found = drift.backtest(reference, stream.assign(**{column: how(stream[column])}))
    assert plain.alerts.empty
    if not (column == "hat" and how is SPELLINGS["holes"]):
        assert found.alerts.empty
    if column == "hat" and how is not SPELLINGS["holes"]:
        pd.testing.assert_frame_equal(found.reports, plain.reports)
    realised = found.performance[found.performance.metric == "accuracy"].realised
    assert len(realised) == 8 and realised.mean() == pytest.approx(0.74, abs=0.02)


@pytest.mark.parametrize("strange", [None, "", "no answer", "2"])
def test_a_prediction_that_names_no_class_is_told_of_its_column_and_not_of_accuracy(strange):
    reference, stream = drift.Reference.fit(scored(), **BINARY), scored(seed=4)
    mixed = stream["hat"].astype(object).where(np.arange(4_000) % 3 > 0, strange)
    found = drift.backtest(reference, stream.assign(hat=mixed))
    assert set(found.alerts.kind) == {"prediction"} and set(found.alerts["columns"].explode()) == {"prediction"}


def test_labels_of_a_table_of_their_own_are_read_by_value():
    reference, stream = drift.Reference.fit(scored(), **BINARY), scored(seed=4).assign(id=range(4_000))
    labels = stream[["id", "y"]].assign(y=stream["y"].astype(bool))[::-1]
    found = drift.backtest(reference, stream.drop(columns="y"), labels=labels)
    same = drift.backtest(reference, stream)
    pd.testing.assert_frame_equal(found.performance, same.performance)


@pytest.mark.parametrize("labels", [["maybe"], ["Yes", "No"], ["2"], [""], ["class 1", None]])
def test_labels_of_no_class_are_neither_negative_nor_wrong(labels):
    reference, stream = drift.Reference.fit(scored(), **BINARY), scored(seed=4)[:900]
    every_third = np.arange(900) % 3 == 0
    strange = np.resize(np.array(labels, object), 900)
    mixed = stream.assign(y=stream["y"].astype(object).where(~every_third, strange))
    sums = label_sums(reference, mixed["p"], mixed["hat"], mixed["y"])
    kept = stream[~every_third]
    np.testing.assert_array_equal(sums, label_sums(reference, kept["p"], kept["hat"], kept["y"]))


def test_sums_of_groups_are_those_of_each_group_alone():
    reference, stream = drift.Reference.fit(scored(), **BINARY), scored(seed=4)[:900]
    stream = stream.assign(y=stream["y"].astype(object).where(np.arange(900) % 7 > 0, "no class"))
    signs, groups = np.where(np.arange(900) % 5 > 0, 1, -1), np.arange(900) ** 2 % 11
    rows = stream["p"], stream["hat"], stream["y"], signs
    together = label_sums_of_groups(reference, *rows, groups, 12)
    for group, sums in enumerate(together):
        alone = label_sums(reference, *(of_all[groups == group] for of_all in rows))
        np.testing.assert_array_equal(sums, alone, err_msg=f"group {group}")
    assert together[0].any() and not together[11].any()


def test_multiclass_numbers_by_value_and_a_class_that_is_none():
    rng = np.random.default_rng(5)
    truth = rng.integers(1, 5, 2_000)
    hat = np.where(rng.random(2_000) < 0.7, truth, rng.integers(1, 5, 2_000))
    table = pd.DataFrame({"x": rng.normal(size=2_000), "p": rng.uniform(0.3, 1, 2_000), "hat": hat, "y": truth})
    parts = {**BINARY, "task": "multiclass"}
    reference = drift.Reference.fit(table.assign(y=table["y"].astype(float).astype(str)), **parts)
    assert reference.performance["accuracy"] == accuracy_score(truth, hat) and reference.classes == ("1", "2", "3", "4")
    as_floats = label_sums(reference, table["p"], table["hat"].astype(float), table["y"].astype(float))
    np.testing.assert_array_equal(as_floats, reference.labels)
    assert not label_sums(reference, [0.9], ["1"], ["5"]).any()


def test_a_multiclass_model_without_its_predicted_class_has_no_performance():
    table = scored().assign(y=lambda t: t["y"].map({0: "a", 1: "b"}).where(t.index % 5 > 0, "c"))
    reference = drift.Reference.fit(table, task="multiclass", score="p", label="y")
    assert not reference.performance and any("needs the predicted class" in note for note in reference.notes)


def churn(seed=1, broken=False, n=6_000):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    p = 1 / (1 + np.exp(-3 * x))
    left, said = rng.random(n) < (np.full(n, 0.5) if broken else p), p >= 0.5
    hat, y = (np.where(which, "churned", "stayed") for which in (said, left))
    return pd.DataFrame({"x": x, "p": p, "hat": hat, "y": y})


@pytest.mark.parametrize("with_prediction", [True, False])
def test_the_positive_class_is_the_one_with_the_higher_scores_and_is_said(with_prediction):
    parts = BINARY if with_prediction else {**BINARY, "prediction": None}
    reference = drift.Reference.fit(churn(), **parts)
    (note,) = [note for note in reference.notes if "probability of" in note]
    assert reference.positive == "churned" and "'churned'" in note
    assert reference.performance["auc"] == pytest.approx(
        roc_auc_score(churn()["y"] == "churned", churn()["p"]), abs=0.01
    )
    alerts = drift.backtest(reference, churn(2, broken=True)).alerts
    assert (alerts.kind == "performance").any() and alerts.page.any()


@pytest.mark.parametrize("column", ["y", "hat"])
def test_where_one_column_is_missing_the_other_still_tells(column):
    reference = drift.Reference.fit(
        churn().drop(columns=column), **{**BINARY, {"y": "label", "hat": "prediction"}[column]: None}
    )
    assert reference.positive == "churned"


def test_where_nothing_tells_the_order_does_and_is_said():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=500), "p": rng.random(500), "y": rng.choice(["a", "b"], 500)})
    reference = drift.Reference.fit(table, task="binary", score="p", label="y")
    assert reference.positive == "b"
    assert any("last class in order" in note and "name the positive class" in note for note in reference.notes)


def test_a_named_class_stays_and_is_doubted_where_the_scores_say_otherwise():
    reference = drift.Reference.fit(churn(), **BINARY, positive="stayed")
    assert reference.positive == "stayed"
    (note,) = [note for note in reference.notes if "probability of" in note]
    assert "as named" in note and note.endswith("is it the probability of 'churned'?")
    (plain,) = [n for n in drift.Reference.fit(churn(), **BINARY, positive="churned").notes if "probability of" in n]
    assert plain == "the score is taken as the probability of 'churned', as named"


@pytest.mark.parametrize("positive", [1, 1.0, True, "1", "true", "1.0"])
def test_the_positive_class_is_named_by_value(positive):
    assert drift.Reference.fit(scored(), **BINARY, positive=positive).positive == "1"


@pytest.mark.parametrize(
    ("only", "named", "classes", "positive"),
    [
        ("stayed", "churned", ("churned", "stayed"), "churned"),
        ("0", 1, ("0", "1"), "1"),
        (False, "1", ("false", "true"), "true"),
        (1, None, ("0", "1"), "1"),
        (0, None, ("0", "1"), "1"),
        ("b", "b", (), "b"),
    ],
)
def test_a_table_of_one_class(only, named, classes, positive):
    table = scored()[["x", "p"]].assign(y=[only] * 4_000)
    reference = drift.Reference.fit(table, task="binary", score="p", label="y", positive=named)
    assert (reference.classes, reference.positive) == (classes, positive)
    assert any("of the class" in note or "of one class" in note for note in reference.notes)


def test_a_class_that_neither_column_has_is_refused_by_name():
    with pytest.raises(FrameError, match=r"positive='left' is not among the classes \['churned', 'stayed'\]"):
        drift.Reference.fit(churn(), **BINARY, positive="left")
    with pytest.raises(FrameError, match="a binary task has two classes, the table has 4"):
        drift.Reference.fit(churn().assign(hat=[0, 1] * 3_000), **BINARY)


def test_given_classes_name_them_and_labels_beyond_them_are_said():
    table = scored().assign(y=lambda t: t["y"].astype(object).where(t.index > 1, "n/a"))
    reference = drift.Reference.fit(table, **BINARY, classes=("0", "1"))
    assert reference.classes == ("0", "1")
    assert "2 of 4000 labels are none of the classes '0', '1', and count for nothing: 'n/a'" in reference.notes


def test_labels_of_no_class_are_faults_in_a_training_table_too():
    table, strange = scored(), np.arange(4_000) % 10 == 0
    mixed = table.assign(y=table["y"].astype(str).where(~strange, "maybe"))
    reference = drift.Reference.fit(mixed, **BINARY)
    kept = table[~strange]
    assert reference.classes == ("0", "1")
    assert reference.performance["accuracy"] == accuracy_score(kept["y"], kept["hat"])
    assert any("400 of 4000 labels are none of the classes" in warning for warning in reference.warnings)
    with pytest.raises(FrameError, match="spelled differently"):
        drift.Reference.fit(table.assign(y=table["y"].map({0: "no", 1: "yes"})), **BINARY)


def test_a_reference_keeps_its_classes_and_an_older_file_is_read_as_it_was():
    reference = drift.Reference.fit(churn(), **BINARY)
    again = drift.Reference.from_bytes(reference.to_bytes())
    assert (again.classes, again.id) == (("churned", "stayed"), reference.id)
    blob = Path(__file__).with_name("reference_of_before_classes.arrow").read_bytes()
    older = drift.Reference.from_bytes(blob)
    # The id of a reference is written on every count of it, so it must not change with the program.
    assert (
        older.id == "32ff6bb60c9b3002f1526ae822845f2c" and drift.Reference.from_bytes(older.to_bytes()).id == older.id
    )
    assert older.classes == () and older.class_reader.of_all([True, "0.0", "maybe"]) == ["1", "0", None]


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        ({"id": "a", "label": None}, "missing_field", "$.label"),
        ({"id": "a"}, "missing_field", "$.label"),
        ({"id": "a", "label": {"y": 1}}, "wrong_type", "$.label"),
        ({"id": "a", "label": [1]}, "wrong_type", "$.label"),
        ({"id": "", "label": 1}, "impossible_id", "$.id"),
        ({"id": "x" * 513, "label": 1}, "impossible_id", "$.id"),
        ({"id": None, "label": 1}, "wrong_type", "$.id"),
        ({"id": 7.5, "label": 1}, "wrong_type", "$.id"),
        ({"label": 1}, "missing_field", "$.id"),
        ({"id": "a", "label": 1, "ts": -1}, "impossible_timestamp", "$.ts"),
        ({"id": "a", "label": 1, "ts": TS // 1000}, "impossible_timestamp", "$.ts"),
        ({"id": "a", "label": 1, "ts": True}, "impossible_timestamp", "$.ts"),
        ({"id": "a", "label": 1, "ts": {"s": 1}}, "impossible_timestamp", "$.ts"),
        ({"id": "a", "label": 1, "ts": "yesterday"}, "impossible_timestamp", "$.ts"),
        ({"id": "a", "label": 1, "ts": TS + 3_600_001}, "impossible_timestamp", "$.ts"),
        ({"id": "a", "label": 1, "ts": "2999-01-01T00:00:00Z"}, "impossible_timestamp", "$.ts"),
    ],
)
def test_a_label_that_cannot_be_used_is_refused_by_its_own_name(value, reason, field):
    import msgspec

    from drift.labels.feedback import read_labels

    said, (refused,) = read_labels(Block.of("feedback", 0, [msgspec.json.encode(value)], time=TS))
    assert (said, refused.reason, refused.field) == ([], reason, field)
    assert refused.detail


@pytest.mark.parametrize(
    ("value", "id_", "label", "ts"),
    [
        (b'{"id":7,"label":1}', "7", "1", TS),
        (b'{"id":"7","label":true,"ts":1700000000001}', "7", "true", TS + 1),
        (b'{"id":-3,"label":1.0,"ts":null}', "-3", "1", TS),
        (b'\xef\xbb\xbf{"id":"a","label":false}', "a", "false", TS),
        (b'{"id":12345678901234567890,"label":"a","more":[1]}', "12345678901234567890", "a", TS),
    ],
)
def test_a_label_is_read_as_its_sender_means_it(value, id_, label, ts):
    from drift.labels.feedback import read_labels

    ((said,), refused) = read_labels(Block.of("feedback", 0, [value], time=TS))
    assert (said.id, said.label, said.ts, refused) == (id_, label, ts, [])


def test_a_record_without_any_time_is_refused_and_one_with_its_own_is_not():
    from drift.labels.feedback import read_labels

    said, (refused,) = read_labels(
        Block.of("feedback", 0, [b'{"id":"a","label":1}', b'{"id":"a","label":1,"ts":1700000000000}'], time=-1)
    )
    assert (refused.at, refused.reason, [one.ts for one in said]) == (0, "impossible_timestamp", [TS])


def quality(found):
    return found.alerts[found.alerts["kind"] == "quality"]


def with_faults(stream, text, share):
    """Every ``share``-th label says something else."""
    return stream.assign(y=stream["y"].astype(str).where(np.arange(len(stream)) % share > 0, text))


def test_labels_of_no_class_are_told_by_their_own_name_and_no_fall_of_accuracy_is():
    reference, stream = drift.Reference.fit(scored(), **BINARY), scored(seed=4)
    found = drift.backtest(reference, with_faults(stream, "maybe", 4))
    assert list(found.alerts["kind"]) == ["quality"]
    (text,) = found.alerts["text"]
    assert text.startswith(
        "25 % of the labels since the first row are not among the model's classes (0 and 1): 'maybe'"
    )
    accuracy = found.performance[found.performance["metric"] == "accuracy"]
    kept = stream[np.arange(4_000) % 4 > 0]
    of_first_window = kept[kept.index < 500]
    assert accuracy["realised"].iloc[0] == accuracy_score(of_first_window["y"], of_first_window["hat"])
    assert (accuracy["coverage"] == 0.75).all()


def test_where_no_label_can_be_used_performance_is_not_judged_and_it_is_said():
    reference, stream = drift.Reference.fit(scored(), **BINARY), scored(seed=4)
    found = drift.backtest(reference, stream.assign(y=stream["y"].map({0: "No", 1: "Yes"})))
    (alert,) = quality(found).itertuples()
    assert len(found.alerts) == 1 and alert.page and alert.severity == "warning"
    assert (
        " is one of the model's classes (0 and 1): " in alert.text
        and alert.text.startswith("no label since ")
        and "'No'" in alert.text
    )
    assert "performance cannot be measured" in alert.text
    assert found.performance["realised"].isna().all()


def test_a_few_stray_labels_are_counted_and_page_nobody():
    reference, stream = drift.Reference.fit(scored(), **BINARY), scored(seed=4)
    assert drift.backtest(reference, with_faults(stream, "?", 500)).alerts.empty
    found = drift.backtest(reference, with_faults(stream, "?", 12))
    assert not found.alerts["page"].any() and list(found.alerts["severity"]) == ["watch"]


def test_label_faults_that_become_most_are_told_again_and_their_end_is_told():
    reference, stream = drift.Reference.fit(scored(), **BINARY), scored(n=16_000, seed=4)
    rows = np.arange(16_000)
    strange = ((rows < 4_000) & (rows % 5 == 0)) | ((rows >= 4_000) & (rows < 8_000))
    found = drift.backtest(reference, stream.assign(y=stream["y"].astype(str).where(~strange, "n/a")))
    assert list(found.alerts["event"]) == ["open", "update", "close"] and set(found.alerts["kind"]) == {"quality"}
    assert list(found.alerts["severity"])[:2] == ["watch", "warning"]


def test_a_regressions_labels_that_are_no_numbers_are_faults():
    rng = np.random.default_rng(1)
    x = rng.normal(size=3_000)
    table = pd.DataFrame({"x": x, "p": x, "y": x + rng.normal(0, 0.5, 3_000)})
    reference = drift.Reference.fit(table, task="regression", score="p", label="y")
    texts = table["y"].astype(str).where(np.arange(3_000) % 5 > 0, "n/a")
    found = drift.backtest(reference, table.assign(y=texts))
    assert [text.split(" since")[0] for text in found.alerts["text"]] == ["20 % of the labels"]
    mae = found.performance[found.performance["metric"] == "mae"]
    kept = table[:500][np.arange(500) % 5 > 0]
    assert mae["realised"].iloc[0] == pytest.approx((kept["p"] - kept["y"]).abs().mean(), rel=1e-3)


def test_many_different_faults_are_named_but_not_all():
    from drift.performance.label_faults import label_faults

    reference = drift.Reference.fit(scored(), **BINARY)
    found = label_faults(reference, [f"text {n}" for n in range(100)] + ["often"] * 5 + ["x" * 1_000, None, 1])
    assert sum(found.values()) == 106 and found["'often'"] == 5 and len(found) == 9 and found["others"] == 94
    assert max(map(len, found)) <= 42


def test_a_snapshot_keeps_label_faults_and_the_order_of_messages_does_not_matter(monkeypatch):
    from drift.judge.stage import Judge

    reference, messages, step = drift.Reference.fit(scored(), **BINARY), [], Judge.step
    with monkeypatch.context() as patched:
        patched.setattr(Judge, "step", lambda judge, message: messages.append(message) or step(judge, message))
        drift.backtest(reference, with_faults(scored(seed=4), "maybe", 4))
    route, *messages = messages

    def alerts(several, restarts):
        judge, told = Judge(lambda *_: reference), []
        for message in [route, *several]:
            told += judge.step(message)
            if restarts:
                frozen, judge = judge.snapshot(), Judge(lambda *_: reference)
                judge.restore(frozen)
        return [one for one in told + judge.finish() if hasattr(one, "incident") and hasattr(one, "kind")]

    plain = alerts(messages, False)
    assert [alert.kind for alert in plain] == ["quality"]
    assert alerts(messages, True) == plain
    counts, labels = ([m for m in messages if hasattr(m, "faults") is of] for of in (False, True))
    assert counts and labels and alerts(labels[::-1] + counts, False) == plain


def test_a_table_without_a_label_that_can_be_used_says_so():
    reference = drift.Reference.fit(scored().assign(y=None), **BINARY)
    assert not reference.performance and any("no row has a score" in note for note in reference.warnings)
    assert drift.backtest(reference, scored(seed=4)).alerts.empty


def test_a_reference_without_a_task_ignores_labels():
    reference = drift.Reference.fit(scored(), score="p", label="y")
    assert drift.backtest(reference, scored(seed=4)).performance.empty


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b'{"id":"a","label":NaN}', "NaN is no JSON: write null"),
        (b'{"id":"a","label":1}{"id":"b","label":0}', "one message is one JSON object"),
        ('{"id":"a","label":"\u00e9"}'.encode("latin-1"), "not UTF-8"),
        (b"id=a", "JSON"),
        (b"[1]", "object"),
    ],
)
def test_what_is_no_json_of_a_label_is_refused_by_what_is_wrong_with_it(value, name):
    from drift.labels.feedback import read_labels

    said, (refused,) = read_labels(Block.of("feedback", 0, [value], time=TS))
    assert not said and name in refused.detail


def test_a_snapshot_from_before_label_faults_is_read():
    import msgspec

    from drift.judge.stage import Judge
    from streams.wire.records import LabelSums, Route, RouteCopy, Watch

    reference = drift.Reference.fit(scored(), **BINARY)
    sums = label_sums(reference, [0.9], ["1"], ["1"])
    judge = Judge(lambda *_: reference)
    judge.step(RouteCopy(model="m", route=Route(model="m", epoch=1, ts=0, champion="v1", watch=Watch())))
    judge.step(
        LabelSums(
            model="m", version="v1", reference=reference.id, segment="", minute_ms=TS // 60_000 * 60_000,
            cells=sums.astype("<i8").tobytes(), topic="feedback", partition=0, first=0, last=0,
        )
    )  # fmt: skip

    def without(tree):
        if isinstance(tree, dict):
            return {key: without(value) for key, value in tree.items() if key != "label_faults"}
        return [without(one) for one in tree] if isinstance(tree, list) else tree

    before = msgspec.msgpack.encode(without(msgspec.msgpack.decode(judge.snapshot(), strict=False)))
    again = Judge(lambda *_: reference)
    again.restore(before)
    assert again.snapshot() == judge.snapshot() and before != judge.snapshot()
