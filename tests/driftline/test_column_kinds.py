"""A column keeps its kind over the versions of a model: refused at `init`, `add` and `route`, as the store would."""

import json
import shutil
from itertools import product

import pandas as pd
import pytest
from typer.testing import CliRunner

from drift import Reference
from drift.store import ensure_observations
from drift.store.migrate import SchemaConflict
from driftline.cli import app
from driftline.cli.refusals import refusal
from driftline.roles import parts, watch_topics
from driftline.settings import SettingsError, load
from inference import Registry, RegistryError
from inference.packages.versions import conflict
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.routes import read_book

KINDS = ("numeric", "categorical", "boolean")


def package(folder, version, name="fare", task="regression", **kinds):
    """A package without a reference, by hand."""
    made = folder / f"{name}-{version}"
    made.mkdir()
    (made / "model.py").write_text("class M:\n def load(self, d): ...\n def predict(self, b): return b.matrix[:, 0]\n")
    classes = "" if task == "regression" else '\n[outputs]\nclasses = ["a", "b", "c"]'
    text = f'name = "{name}"\nversion = "{version}"\ntask = "{task}"\nartefact = "model.py:M"{classes}\n'
    for column, kind in kinds.items():
        levels = 'categories = ["a", "b"]\n' if kind == "categorical" else ""
        text += f'[[inputs]]\nname = "{column}"\nkind = "{kind}"\n{levels}'
    (made / "model.toml").write_text(text)
    return made


@pytest.mark.parametrize(("before", "now"), list(product(KINDS, KINDS)))
def test_what_is_refused_is_what_the_store_cannot_keep(module_store, before, now):
    """The law: a registry refuses a change of kind if and only if the table of the model cannot take it."""
    store, model = module_store, f"fare_{before}_{now}"
    ensure_observations(store, model, [("km", before), ("gone", "numeric")])
    refused = conflict({"km": now, "new": "boolean"}, "v1", {"km": before, "gone": "numeric"})
    try:
        ensure_observations(store, model, [("km", now), ("new", "boolean")])
    except SchemaConflict:
        assert refused.startswith(f"column 'km' is {now}, and {before} in v1; ")
    else:
        assert refused == ""
        columns = {row[0] for row in store.rows(f"DESCRIBE TABLE `observations_{model}`")}
        assert {"km", "gone", "new"} <= columns


def test_add_refuses_a_changed_kind_and_takes_columns_that_come_and_go(tmp_path):
    registry = Registry(tmp_path / "models")
    registry.add(package(tmp_path, "v1", km="numeric", city="categorical"))
    with pytest.raises(
        RegistryError, match=r"fare v2: column 'km' is categorical, and numeric in v1; .* name of its own"
    ):
        registry.add(package(tmp_path, "v2", km="categorical", city="categorical"))
    assert [one.version for one in registry.list()] == ["v1"]
    registry.add(package(tmp_path, "v3", km="numeric", vip="boolean"))  # one gone, one new
    with pytest.raises(RegistryError, match="column 'vip' is numeric, and boolean in v3"):
        registry.add(package(tmp_path, "v4", vip="numeric"))
    registry.add(package(tmp_path, "v1", name="fare-2", km="categorical"))  # the remedy


def test_the_kinds_of_a_removed_version_are_known(tmp_path):
    registry = Registry(tmp_path / "models")
    registry.add(package(tmp_path, "v1", km="numeric"))
    registry.remove("fare", "v1")
    assert registry.kinds("fare", "v1") == {"km": "numeric"}
    assert registry.kinds("fare", "v9") == {}
    # Nobody was routed to it, so far as the registry knows: what served is for `route` to say.
    registry.add(package(tmp_path, "v2", km="boolean"))


def run(*words, code=0):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == code, result.output
    return " ".join(f"{result.output} {refusal(result.exception) if code else ''}".split())


@pytest.fixture
def deployment(tmp_path, kafka, topic_prefix, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = {"KAFKA__BOOTSTRAP": kafka, "KAFKA__PREFIX": topic_prefix, "REGISTRY": tmp_path / "models"}
    for key, value in keys.items():
        monkeypatch.setenv(f"DRIFTLINE_{key}", str(value))
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout())
    return cluster


@pytest.mark.system  # model commands, one after the other
def test_route_refuses_a_changed_kind_also_of_a_version_that_is_removed(deployment, tmp_path):
    for version in ("v1", "v2"):
        run("model", "add", package(tmp_path, version, km="numeric"))
        run("model", "route", "fare", version, "--no-wait")
    run("model", "remove", "fare", "v1")
    run("model", "promote", "fare", "v2", "--no-wait")
    # Put there by another hand than `add`: a copy from another registry, say.
    other = Registry(tmp_path / "other")
    other.add(package(tmp_path, "v3", km="categorical"))
    shutil.copytree(tmp_path / "other" / "fare" / "v3", tmp_path / "models" / "fare" / "v3")
    shutil.rmtree(tmp_path / "models" / "fare" / "v2")  # the registry forgets v2, and remembers of v1 what is needed
    for words in (("route", "fare", "v3"), ("promote", "fare", "v3")):
        assert "column 'km' is categorical, and numeric in v1" in run("model", *words, "--no-wait", code=1)
    assert [route.champion for route in read_book(deployment).history] == ["v1", "v2", "v2"]


def test_init_refuses_a_changed_kind_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Registry(tmp_path / "models").add(package(tmp_path, "v1", km="categorical"))
    pd.DataFrame({"km": [1.5, 2.5, 9.0] * 40, "y": [1.0, 2.5, 4.5] * 40}).to_parquet("t.parquet")
    words = ("--data", "t.parquet", "--label", "y", "--train", "--task", "regression", "--version", "v2")
    said = run("model", "init", "fare", *words, code=1)
    assert "fare v2: column 'km' is numeric, and categorical in v1" in said
    assert not (tmp_path / "packages" / "fare").exists()


def test_versions_of_a_watched_model_keep_their_kinds_too(tmp_path):
    topics = []
    for version, values in {"v1": [1.5, 2.5, 3.5], "v2": ["a", "b", "a"]}.items():
        file = tmp_path / f"{version}.reference"
        frame = pd.DataFrame({"km": values * 20, "p": [0.25, 0.5, 0.75] * 20})
        file.write_bytes(Reference.fit(frame, task="binary", score="p").to_bytes())
        topics.append({"topic": f"t{version}", "model": "m", "version": version, "score": "p", "reference": str(file)})
    given = load({"watch_topics": topics, "registry": str(tmp_path / "models")})
    with pytest.raises(
        SettingsError, match=r"watch_topics\.1\.reference: m v2: column 'km' is categorical, and numeric in v1"
    ):
        watch_topics.record_readers(given, parts.catalogue(given))
    topics[1]["model"] = "other"
    given = load({"watch_topics": topics, "registry": str(tmp_path / "models")})
    assert len(watch_topics.record_readers(given, parts.catalogue(given))) == 2


def test_a_tombstone_of_before_is_read(tmp_path):
    registry = Registry(tmp_path / "models")
    digest = registry.add(package(tmp_path, "v1", km="numeric")).digest
    registry.remove("fare", "v1")
    (tmp_path / "models" / "fare" / "v1" / "removed.json").write_text(json.dumps({"digest": digest}))
    assert registry.kinds("fare", "v1") == {}
