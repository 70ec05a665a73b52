"""`[[watch_topics]]`: refused by key, kept through the roles' settings file, and announced as routes."""

import json

import pandas as pd
import pytest

from drift import Reference
from driftline import doctor, settings
from driftline.roles import parts, watch_topics
from driftline.settings import SettingsError
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.routes import read_book

GOOD = {"topic": "answers", "model": "churn", "score": "p"}


def load(*topics, **more):
    return settings.load({"watch_topics": list(topics), **{name.replace("__", "."): v for name, v in more.items()}})


@pytest.fixture
def reference(tmp_path):
    frame = pd.DataFrame({"age": [31.5, 45.2, 18.0] * 20, "p": [0.2, 0.7, 0.4] * 20})
    path = tmp_path / "churn.reference"
    path.write_bytes(Reference.fit(frame, task="binary", score="p").to_bytes())
    return path


@pytest.mark.parametrize(
    ("topics", "said"),
    [
        ([{"model": "m", "score": "p"}], "watch_topics.0.topic: Field required"),
        ([GOOD, {"topic": "a", "model": "m"}], "watch_topics.1: name score or prediction, or label"),
        ([{"topic": "a", "score": "p"}], "watch_topics.0: name the model"),
        ([{"topic": "a", "label": "y"}], "watch_topics.0: name id"),
        ([GOOD | {"scor": "p"}], "watch_topics.0.scor is no setting; did you mean score?"),
        ([GOOD | {"zzz": "p"}], "watch_topics.0.zzz is no setting; its keys are topic, format"),
        ([GOOD | {"format": "xml"}], "watch_topics.0.format: Input should be 'auto', 'json', 'avro' or 'msgpack'"),
        ([GOOD | {"topic": "predictions"}], "watch_topics.0.topic: predictions is a name of ours; set kafka.prefix"),
        ([GOOD, GOOD | {"format": "avro"}], "watch_topics.1.format: answers was auto above"),
    ],
)
def test_what_cannot_hold_is_refused_by_its_key(topics, said):
    with pytest.raises(SettingsError) as refused:
        load(*topics)
    assert str(refused.value).startswith(said)


def test_with_a_prefix_only_topics_of_ours_are_refused():
    assert load(GOOD | {"topic": "predictions"}, kafka__prefix="drift.").watch_topics[0].topic == "predictions"
    with pytest.raises(SettingsError, match=r"begins with kafka\.prefix"):
        load(GOOD | {"topic": "drift.answers"}, kafka__prefix="drift.")


def test_a_cluster_calls_them_by_their_own_names():
    cluster = Cluster(bootstrap="", prefix="drift.")
    assert (cluster.topic("@predictions"), cluster.logical("predictions")) == ("predictions", "@predictions")
    assert (cluster.topic("predictions"), cluster.logical("drift.predictions")) == ("drift.predictions", "predictions")


def test_what_the_roles_read_is_what_was_written(tmp_path, monkeypatch):
    given = load(GOOD | {"columns": {"age": "customer.age"}, "where": {"kind": "answer"}, "reference": "a/b.reference"})
    (tmp_path / "resolved.toml").write_text(settings.dump(given))
    assert settings.load(file=tmp_path / "resolved.toml").watch_topics == given.watch_topics
    monkeypatch.setenv("DRIFTLINE_WATCH_TOPICS", json.dumps([GOOD]))
    assert settings.load().watch_topics == load(GOOD).watch_topics


def test_a_reference_must_be_there_and_fit(tmp_path, reference):
    def record_readers(**more):
        given = load(GOOD | more, registry=str(tmp_path / "models"))
        return watch_topics.record_readers(given, parts.catalogue(given))

    assert list(record_readers(reference=str(reference))) == ["answers"]
    with pytest.raises(SettingsError, match=r"watch_topics\.0\.reference: "):
        record_readers()
    with pytest.raises(SettingsError, match=r"watch_topics\.0\.reference: .*gone\.reference"):
        record_readers(reference=str(tmp_path / "gone.reference"))
    (tmp_path / "other").write_text("text")
    with pytest.raises(SettingsError, match=r"watch_topics\.0\.reference: .*other: not a reference"):
        record_readers(reference=str(tmp_path / "other"))
    with pytest.raises(SettingsError, match=r"watch_topics\.0\.score: the reference of churn v1 has one"):
        record_readers(reference=str(reference), score="", prediction="hat")


def test_the_settings_rule_the_routes_of_watched_models(kafka, topic_prefix):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout())
    topics = [GOOD, GOOD | {"topic": "more", "version": "v2"}, {"topic": "truth", "id": "id", "label": "y"}]
    given = load(*topics, watch={"window_rows_min": 7})
    for _ in range(2):
        book = watch_topics.seed(given, cluster)
    assert list(book.routes) == ["churn"]
    route = read_book(cluster)["churn"]
    assert (route.epoch, route.champion, route.shadows) == (1, "v1", ("v2",))
    assert route.watch.window_rows_min == 7
    assert watch_topics.seed(load(*topics), cluster)["churn"].epoch == 2
    assert read_book(cluster)["churn"].watch.window_rows_min == 200


def test_the_doctor_names_what_is_missing(kafka, topic_prefix, tmp_path, reference):
    create(Cluster(bootstrap=kafka, prefix=topic_prefix), Layout())
    (tmp_path / "driftline.toml").write_text(
        f'data_dir = "{tmp_path}"\n[kafka]\nbootstrap = "{kafka}"\nprefix = "{topic_prefix}"\n'
        f'[[watch_topics]]\ntopic = "nowhere"\nmodel = "churn"\nscore = "p"\nreference = "{reference}"\n'
    )
    given = settings.load(file=tmp_path / "driftline.toml")
    [found] = doctor.models.watched(given)
    assert (found.state, found.said) == ("fail", f"nowhere is not on {kafka}")
    assert list(doctor.models.watched(load())) == []
    [found] = doctor.models.watched(load(GOOD, registry=str(tmp_path / "models")))
    assert found.state == "fail" and found.said.startswith("watch_topics.0.reference: ")
