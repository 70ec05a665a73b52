"""References that cannot be used: each stops its own version, and a registry that is away stops nobody for good."""

import shutil

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from drift import Reference
from drift.reference.catalogue import Unusable, Unwatched
from driftline.cli import app
from driftline.roles import catalogue
from driftline.roles.catalogue import References
from inference import Registry
from streams.away import Away

MODEL = """
name = "%s"
version = "v1"
task = "regression"
artefact = "model.py:Model"
[[inputs]]
name = "age"
"""
CODE = """
class Model:
    def load(self, device): ...
    def predict(self, batch):
        return batch["age"]
"""


@pytest.fixture(scope="module")
def reference() -> Reference:
    frame = pd.DataFrame({"age": [31.5, 45.2, 18.0] * 20, "p": [0.2, 0.7, 0.4] * 20})
    return Reference.fit(frame, task="binary", score="p")


@pytest.fixture
def root(tmp_path, reference):
    """A registry with two models, and their references."""
    registry = Registry(tmp_path / "models")
    for name in ("churn", "fare"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.toml").write_text(MODEL % name)
        (folder / "model.py").write_text(CODE)
        (folder / "reference.arrow").write_bytes(reference.to_bytes())
        registry.add(folder)
    return tmp_path / "models"


class Clock:
    ms = 0.0

    def __call__(self) -> float:
        return self.ms


def _remove(folder):
    shutil.rmtree(folder)


def _remove_model(folder):
    shutil.rmtree(folder.parent)


def _rubbish(name):
    def spoil(folder):
        (folder / name).write_bytes(b"\x00rubbish")

    return spoil


def _is_folder(folder):
    (folder / "reference.arrow").unlink()
    (folder / "reference.arrow").mkdir()


FAULTS = {
    "version removed by hand": _remove,
    "model removed by hand": _remove_model,
    "reference is rubbish": _rubbish("reference.arrow"),
    "model.toml is rubbish": _rubbish("model.toml"),
    "manifest is rubbish": _rubbish("manifest.json"),
    "tombstone is rubbish": lambda folder: [(folder / "manifest.json").unlink(), _rubbish("removed.json")(folder)],
    "reference is gone": lambda folder: (folder / "reference.arrow").unlink(),
    "reference is a folder": _is_folder,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_one_version_stops_no_other(root, reference, fault, capsys):
    clock = Clock()
    find = References(Registry(root), {}, clock, warn=True)
    kept = root.with_name("kept")
    shutil.copytree(root, kept)
    FAULTS[fault](root / "churn" / "v1")
    for _ in range(3):
        with pytest.raises(Unusable, match="churn"):
            find("churn", "v1")
    assert find("fare", "v1").id == reference.id
    assert capsys.readouterr().out.count("reference.unusable") == 1  # told once, not once a record
    shutil.rmtree(root)
    kept.rename(root)
    with pytest.raises(Unusable):
        find("churn", "v1")
    clock.ms += catalogue.RETRY_MS
    assert find("churn", "v1").id == reference.id
    _remove_model(root / "churn" / "v1")
    assert find("churn", "v1").id == reference.id  # who runs knows it


def test_a_version_that_was_removed_is_forgotten_and_not_waited_for(root):
    Registry(root).remove("churn", "v1")
    with pytest.raises(Unwatched) as why:
        References(Registry(root), {})("churn", "v1")
    assert not isinstance(why.value, Unusable)


@pytest.mark.parametrize("empty", [False, True], ids=["gone", "empty"])
def test_a_registry_that_is_away_blames_no_version(root, reference, empty):
    find = References(Registry(root), {})
    root.rename(root.with_name("kept"))
    if empty:  # the folder on which a disk is mounted
        root.mkdir()
    for name in ("churn", "fare"):
        with pytest.raises(Away, match="mount"):
            find(name, "v1")
    if empty:
        root.rmdir()
    root.with_name("kept").rename(root)
    assert find("churn", "v1").id == reference.id


@pytest.mark.parametrize("name", ["../churn", "", "a" * 5_000, "x/y", "\x00"])
def test_a_name_that_is_none_is_a_version_that_is_not_watched(root, name):
    with pytest.raises(Unusable):
        References(Registry(root), {})(name, "v1")


def test_a_file_of_a_watched_topic_needs_no_registry(tmp_path, reference):
    path = tmp_path / "churn.reference"
    find = References(Registry(tmp_path / "models"), {("churn", "v1"): path}, clock := Clock())
    with pytest.raises(Unusable, match=r"churn\.reference"):
        find("churn", "v1")
    path.write_bytes(reference.to_bytes())
    clock.ms += catalogue.RETRY_MS
    assert find("churn", "v1").id == reference.id


def _forge(path):
    """A reference whose counts are of one row fewer, by somebody who left out its hash."""
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    counts = table.column("counts").to_pylist()
    counts[0][counts[0].index(max(counts[0]))] -= 1
    table = table.set_column(table.schema.get_field_index("counts"), "counts", pa.array(counts))
    kept = {b"driftline.reference": table.schema.metadata[b"driftline.reference"]}
    with pa.ipc.new_file(path, table.schema.with_metadata(kept)) as writer:
        writer.write_table(table.replace_schema_metadata(kept))


@pytest.mark.parametrize("command", ["model add", "reference show", "reference check"])
def test_commands_refuse_a_hostile_reference_and_name_the_file(tmp_path, root, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_REGISTRY", str(tmp_path / "other"))
    _forge(tmp_path / "churn" / "reference.arrow")
    found = CliRunner().invoke(app, [*command.split(), str(tmp_path / "churn")])
    said = str(found.exception)
    assert f"{tmp_path / 'churn' / 'reference.arrow'}: not a reference (column 'age': counts" in said, found.output
    assert not (tmp_path / "other").exists()  # nothing was added


def test_the_catalogue_refuses_a_hostile_reference_and_goes_on(tmp_path, reference):
    path = tmp_path / "churn.reference"
    path.write_bytes(reference.to_bytes())
    _forge(path)
    find = References(Registry(tmp_path / "models"), {("churn", "v1"): path}, Clock())
    with pytest.raises(Unusable, match=r"churn\.reference: not a reference .*'age'.*put back the reference"):
        find("churn", "v1")


def test_the_version_of_fixed_scores_is_nobodys_and_is_not_looked_for(tmp_path):
    with pytest.raises(Unwatched, match="fixed scores that stood in for a version are nobody's") as caught:
        References(Registry(tmp_path / "nothing"), {}, warn=True)("churn", "default")
    assert not isinstance(caught.value, Unusable)
