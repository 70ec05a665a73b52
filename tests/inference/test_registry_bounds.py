"""What is fetched of a remote registry is bounded by its manifest, and by what a package may have."""

import io
import json
import threading
import uuid

import fsspec
import pytest

from inference import ManifestError, Registry, RegistryError, RegistryUnavailable
from inference.packages import manifest
from inference.serving import registry_files

TOML = """
name = "fare"
version = "v1"
task = "regression"
artefact = "model.py:Fare"
[[inputs]]
name = "km"
"""
CODE = "class Fare:\n    def load(self, device): ...\n    def predict(self, batch): return batch['km']\n"


@pytest.fixture
def root(tmp_path):
    """A remote registry with one version."""
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "model.toml").write_text(TOML)
    (folder / "model.py").write_text(CODE)
    root = f"memory://{uuid.uuid4().hex}/models"
    Registry(root).add(folder)
    return root


def test_messages_name_a_registry_without_the_secrets_in_its_address(root, monkeypatch):
    registry = Registry(f"{root}?token=PLANTED")
    assert registry.address.endswith("models?token=***")

    def refuse(*args, **kwargs):
        raise ValueError(f"400 for https://key:PLANTED@host/models?X-Amz-Signature=PLANTED at {registry.root}")

    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "open", refuse)
    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "ls", refuse)
    for asks in (
        registry.list,
        registry.ask,
        lambda: registry.folder("fare", "v1"),
        lambda: registry.load("fare", "v1"),
    ):
        with pytest.raises(Exception) as told:
            asks()
        assert isinstance(told.value, RegistryError | RegistryUnavailable)
        assert "PLANTED" not in str(told.value)


def rewrite(root, **change):
    """Change the manifest where it lies; None takes a field away."""
    file = f"{root}/fare/v1/manifest.json"
    with fsspec.open(file, "rb") as opened:
        fields = json.load(opened) | change
    with fsspec.open(file, "wb") as opened:
        opened.write(json.dumps({name: value for name, value in fields.items() if value is not None}).encode())


class Endless(io.RawIOBase):
    """A file without an end."""

    taken = 0

    def read(self, size=-1):
        assert size > 0, "it is read whole"
        Endless.taken += size
        return b"x" * size


@pytest.fixture
def endless(monkeypatch):
    """Every `model.py` of an object store has no end."""
    kept = fsspec.filesystem("memory").__class__.open
    monkeypatch.setattr(Endless, "taken", 0)
    monkeypatch.setattr(
        fsspec.filesystem("memory").__class__,
        "open",
        lambda files, path, mode="rb", **known: (
            Endless() if path.endswith("model.py") and mode == "rb" else kept(files, path, mode, **known)
        ),
    )


def left(cache):
    return [path.name for path in cache.rglob("*") if path.is_file() and path.name.startswith("model.py")]


def test_of_a_file_that_does_not_end_no_more_is_taken_than_its_manifest_says(root, endless, tmp_path):
    with pytest.raises(
        RegistryError, match=rf"model\.py: it has more than the {len(CODE)} bytes.*add the version anew"
    ):
        Registry(root, cache=tmp_path / "cache").folder("fare", "v1")
    assert Endless.taken == len(CODE) + 1 and left(tmp_path / "cache") == []


def test_without_sizes_no_more_is_taken_than_a_package_may_have(root, endless, tmp_path, monkeypatch):
    monkeypatch.setattr(registry_files, "PACKAGE_BYTES_MAX", 10_000_000)
    rewrite(root, sizes=None)
    with pytest.raises(RegistryError, match=r"model\.py: it has more than"):
        Registry(root, cache=tmp_path / "cache").folder("fare", "v1")
    assert Endless.taken <= 10_000_001 and left(tmp_path / "cache") == []


def test_a_manifest_of_before_sizes_is_fetched_as_ever(root, tmp_path):
    rewrite(root, sizes=None)
    folder = Registry(root, cache=tmp_path / "cache").folder("fare", "v1")
    assert (folder / "model.py").read_text() == CODE


@pytest.mark.parametrize("part", [4, 7, 1 << 20])
def test_a_file_is_fetched_whole_in_whatever_parts(root, tmp_path, monkeypatch, part):
    monkeypatch.setattr(registry_files, "_PART_BYTES", part)
    folder = Registry(root, cache=tmp_path / "cache").folder("fare", "v1")
    assert (folder / "model.py").read_text() == CODE and left(tmp_path / "cache") == ["model.py"]


@pytest.mark.parametrize("size", [0, len(CODE) - 1])
def test_a_size_that_is_too_small_refuses_the_file(root, tmp_path, size):
    rewrite(root, sizes={"model.toml": len(TOML), "model.py": size})
    with pytest.raises(RegistryError, match=r"model\.py: it has more than"):
        Registry(root, cache=tmp_path / "cache").folder("fare", "v1")


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"model.toml": 10}, "sizes of other files"),
        ({"model.toml": 10, "model.py": -1}, "below 0"),
        ({"model.toml": 10, "model.py": manifest.PACKAGE_BYTES_MAX}, "at most 68,719,476,736 are fetched"),
        ({"model.toml": 10, "model.py": "9"}, "no manifest"),
    ],
    ids=["missing", "negative", "huge", "text"],
)
def test_sizes_that_are_none_are_refused(root, tmp_path, sizes, said):
    rewrite(root, sizes=sizes)
    with pytest.raises(ManifestError, match=said):
        Registry(root, cache=tmp_path / "cache").folder("fare", "v1")


def test_a_file_for_which_there_is_no_room_is_not_begun(root, tmp_path, monkeypatch, endless):
    usage = registry_files.shutil.disk_usage(tmp_path)._replace(free=len(TOML))
    monkeypatch.setattr(registry_files.shutil, "disk_usage", lambda path: usage)
    rewrite(root, sizes={"model.toml": len(TOML), "model.py": 10**9})
    with pytest.raises(RegistryError, match=r"model\.py: 1,000,000,000 bytes, .* are free in .*make room there"):
        Registry(root, cache=tmp_path / "cache").folder("fare", "v1")
    assert Endless.taken == 0


def test_a_package_that_is_too_large_is_not_added(root, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "PACKAGE_BYTES_MAX", 100)
    with pytest.raises(ManifestError, match="a package at most 100; leave out what the model does not read"):
        Registry(tmp_path / "registry").add(tmp_path / "p")


def test_two_threads_that_fetch_one_file_at_once_get_it_whole(tmp_path):
    """A worker that loads two routes of a model does, where a load takes longer than it waits for."""
    both, content, errors = threading.Barrier(2), b"weights", []

    class Files:
        def open(self, path, mode):
            both.wait(30)  # both have begun
            return io.BytesIO(content)

    class Slow(Files):
        def open(self, path, mode):
            class Late(io.BytesIO):
                def read(self, size=-1):
                    fetched.wait(30)  # the other one is through before the first byte
                    return super().read(size)

            both.wait(30)
            return Late(content)

    fetched, target = threading.Event(), tmp_path / "model.pt2"

    def fetch(files):
        try:
            registry_files._fetch_file(files, "far/model.pt2", target, len(content))
        except Exception as error:
            errors.append(error)
        fetched.set()

    threads = [threading.Thread(target=fetch, args=(files,)) for files in (Slow(), Files())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors and target.read_bytes() == content
