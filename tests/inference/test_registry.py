import json
import os
import shutil
import uuid

import fsspec
import pytest

from inference import (
    ArtefactError,
    ManifestError,
    PackageError,
    Registry,
    RegistryError,
    RegistryUnavailable,
    UntrustedCodeError,
    VersionRemoved,
)
from inference.packages.manifest import _digest, hash_of, read_manifest
from streams.away import Away
from streams.names import NameRefused

TOML = """
name = "fare"
version = "{version}"
task = "regression"
artefact = "model.py:Fare"
[[inputs]]
name = "km"
"""
CODE = """
class Fare:
    def load(self, device): ...
    def predict(self, batch):
        return batch["km"] * {rate}
"""


def package(folder, version="v1", rate=2):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.toml").write_text(TOML.format(version=version))
    (folder / "model.py").write_text(CODE.format(rate=rate))
    return folder


@pytest.fixture(params=["disk", "object store"])
def registry(request, tmp_path):
    if request.param == "disk":
        return Registry(tmp_path / "registry", cache=tmp_path / "cache")
    return Registry(f"memory://{uuid.uuid4().hex}/models", cache=tmp_path / "cache")


def test_what_is_added_is_listed_and_loaded(registry, tmp_path):
    for version in ("v1", "v10", "v9"):
        registry.add(package(tmp_path / version, version))
    assert [(m.name, m.version) for m in registry.list()] == [("fare", "v1"), ("fare", "v9"), ("fare", "v10")]
    assert [m.version for m in registry.list("fare")] == ["v1", "v9", "v10"]
    assert registry.list("other") == []
    assert registry.package("fare", "v9").version == "v9"
    assert registry.load("fare", "v9", trust_code=True).package.artefact == "model.py:Fare"


def test_other_files_come_along(registry, tmp_path):
    folder = package(tmp_path / "p")
    (folder / "notes").mkdir()
    (folder / "notes" / "reference.arrow").write_bytes(b"\x00" * 9)
    (folder / ".secret").write_text("no")
    assert sorted(registry.add(folder).files) == ["model.py", "model.toml", "notes/reference.arrow"]
    assert (registry.folder("fare", "v1") / "notes" / "reference.arrow").read_bytes() == b"\x00" * 9


def test_a_version_never_changes(registry, tmp_path):
    first = registry.add(package(tmp_path / "one"))
    assert registry.add(package(tmp_path / "again")) == first
    with pytest.raises(RegistryError, match=r"other contents \(model\.py\); a version never changes"):
        registry.add(package(tmp_path / "two", rate=3))
    assert registry.list() == [first]


def test_an_unknown_version_is_named_with_the_nearest(registry, tmp_path):
    with pytest.raises(RegistryUnavailable, match=r"fare v1 is not in .*; it is empty, or not mounted here"):
        registry.folder("fare", "v1")
    registry.add(package(tmp_path / "p"))
    with pytest.raises(RegistryError, match=r"fare v2 is not in .*; did you mean v1\?"):
        registry.folder("fare", "v2")
    with pytest.raises(RegistryError, match=r"fair v1 is not in .*; did you mean fare\?"):
        registry.folder("fair", "v1")


def test_code_from_an_object_store_needs_trust_and_from_this_disk_does_not(registry, tmp_path):
    registry.add(package(tmp_path / "p"))
    if registry.local:
        assert registry.load("fare", "v1").package.name == "fare"
    else:
        with pytest.raises(UntrustedCodeError):
            registry.load("fare", "v1")


def test_a_package_that_could_not_be_loaded_is_not_added(registry, tmp_path):
    folder = package(tmp_path / "p")
    (folder / "model.py").unlink()
    with pytest.raises(ArtefactError):
        registry.add(folder)
    (folder / "model.toml").write_text("")
    with pytest.raises(PackageError):
        registry.add(folder)
    assert registry.list() == []


def test_a_changed_file_is_found(tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.add(package(tmp_path / "p"))
    with (tmp_path / "registry" / "fare" / "v1" / "model.py").open("a") as file:
        file.write("import os\n")
    with pytest.raises(RegistryError, match=r"model\.py is not what fare v1 was added with"):
        registry.load("fare", "v1")


def test_half_an_upload_is_no_version(tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.add(package(tmp_path / "p"))
    (tmp_path / "registry" / "fare" / "v1" / "manifest.json").unlink()
    assert registry.list() == []
    registry.add(package(tmp_path / "q", rate=5))  # it may be taken up again, with anything
    assert registry.load("fare", "v1").package.name == "fare"


def test_a_changed_cache_is_fetched_anew(tmp_path):
    registry = Registry(f"memory://{uuid.uuid4().hex}/models", cache=tmp_path / "cache")
    registry.add(package(tmp_path / "p"))
    file = registry.folder("fare", "v1") / "model.py"
    file.write_text("evil")
    assert registry.folder("fare", "v1") / "model.py" == file
    assert file.read_text() == CODE.format(rate=2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digest": "../../x"}, "changed after it was written"),
        ({"files": {"../../evil.py": "0" * 64}}, "changed after it was written"),
        ({"version": "v2"}, "is that of fare v2"),
        ({"format": 2}, "manifest format 2"),
    ],
)
def test_a_forged_manifest_is_refused(tmp_path, change, said):
    root = f"memory://{uuid.uuid4().hex}/models"
    registry = Registry(root, cache=tmp_path / "cache")
    registry.add(package(tmp_path / "p"))
    file = f"{root}/fare/v1/manifest.json"
    with fsspec.open(file, "rb") as opened:
        manifest = json.load(opened)
    with fsspec.open(file, "wb") as opened:
        opened.write(json.dumps(manifest | change).encode())
    with pytest.raises(ManifestError, match=said):
        registry.folder("fare", "v1")


def test_a_manifest_that_leads_out_of_its_folder_is_refused_though_its_hash_is_right():
    files = {"../evil.py": "0" * 64}
    forged = {"name": "fare", "version": "v1", "digest": _digest("fare", "v1", files), "files": files}
    with pytest.raises(ManifestError, match="leads out of the version's folder"):
        read_manifest(json.dumps(forged).encode(), "fare", "v1")


def test_an_archive_goes_through_the_registry(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    registry = Registry(f"memory://{uuid.uuid4().hex}", cache=tmp_path / "cache")
    registry.add(copy)
    assert registry.load("churn", "v1", on="cpu").outputs == 1  # no trust needed: it holds no code


def test_a_removed_version_is_gone_and_known_to_have_been(registry, tmp_path):
    added = registry.add(package(tmp_path / "a"))
    assert registry.remove("fare", "v1") == added
    assert registry.list() == []
    for call in (registry.folder, registry.remove):
        with pytest.raises(VersionRemoved, match="was removed"):
            call("fare", "v1")
    with pytest.raises(RegistryError, match="give this one a new version"):
        registry.add(package(tmp_path / "b", rate=3))
    assert registry.add(package(tmp_path / "a")) == added  # the same contents, and no others
    assert registry.package("fare", "v1").version == "v1"
    assert registry.remove("fare", "v1") == added


def test_a_removed_version_leaves_no_file_of_its_own(tmp_path):
    registry = Registry(tmp_path / "models")
    registry.add(package(tmp_path / "a"))
    registry.remove("fare", "v1")
    assert [file.name for file in (tmp_path / "models").rglob("*") if file.is_file()] == ["removed.json"]


def test_a_route_that_leads_out_of_the_root_runs_nothing(tmp_path):
    """What an attacker did: a champion that is a path, to a folder with a manifest that is right."""
    outside = Registry(tmp_path / "elsewhere")
    outside.add(package(tmp_path / "p"))
    registry = Registry(tmp_path / "registry")
    (tmp_path / "registry" / "fare").mkdir(parents=True)
    with pytest.raises(NameRefused, match="version"):
        registry.load("fare", "../../elsewhere/fare/v1")
    # The same by a link: the version's folder, the model's, a file of it.
    (tmp_path / "registry" / "fare" / "v1").symlink_to(tmp_path / "elsewhere" / "fare" / "v1")
    with pytest.raises(RegistryError, match="a link that leads out of"):
        registry.load("fare", "v1")
    (tmp_path / "registry" / "fare" / "v1").unlink()
    (tmp_path / "registry" / "fare").rmdir()
    (tmp_path / "registry" / "fare").symlink_to(tmp_path / "elsewhere" / "fare")
    with pytest.raises(RegistryError, match="a link that leads out of"):
        registry.package("fare", "v1")


def test_a_root_that_is_a_link_itself_is_the_users_choice(tmp_path):
    Registry(tmp_path / "there").add(package(tmp_path / "p"))
    (tmp_path / "here").symlink_to(tmp_path / "there")
    assert Registry(tmp_path / "here").load("fare", "v1").package.name == "fare"


def test_a_file_of_a_version_that_became_a_link_is_found(tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.add(package(tmp_path / "p"))
    file = tmp_path / "registry" / "fare" / "v1" / "model.py"
    file.rename(tmp_path / "model.py")
    file.symlink_to(tmp_path / "model.py")  # the same bytes today, and anything tomorrow
    with pytest.raises(RegistryError, match=r"model\.py is not what fare v1 was added with"):
        registry.load("fare", "v1")


def test_a_model_toml_that_names_another_version_is_refused(tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.add(package(tmp_path / "p"))
    files = {"model.py": "", "model.toml": ""}
    folder = tmp_path / "registry" / "fare" / "v2"
    shutil.copytree(tmp_path / "registry" / "fare" / "v1", folder)
    files = {name: hash_of(folder / name) for name in files}
    manifest = {"name": "fare", "version": "v2", "digest": _digest("fare", "v2", files), "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for ask in (registry.package, registry.load):
        with pytest.raises(RegistryError, match=r"its model\.toml is that of fare v1, not of fare v2"):
            ask("fare", "v2")


@pytest.mark.parametrize("where", ["", "fare", "fare/v1", "fare/v1/model.py"])
def test_code_that_everybody_may_write_is_not_run_unasked(where, tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.add(package(tmp_path / "p"))
    place = tmp_path / "registry" / where
    place.chmod(place.stat().st_mode | 0o002)
    with pytest.raises(UntrustedCodeError, match="trust-code"):
        registry.load("fare", "v1")
    assert registry.load("fare", "v1", trust_code=True).package.name == "fare"


@pytest.mark.parametrize("kind", ["file", "folder", "nested", "absolute", "artefact"])
def test_a_link_that_leads_out_of_a_package_is_never_followed(kind, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    folder = package(tmp_path / "p")
    (folder / "sub").mkdir()
    link, target = {
        "file": ("weights", "../secret/key"),
        "folder": ("data", "../secret"),
        "nested": ("sub/x", "../../secret/key"),
        "absolute": ("weights", str(tmp_path / "secret" / "key")),
        "artefact": ("model.py", "../secret/key"),
    }[kind]
    (folder / link).unlink(missing_ok=True)
    (folder / link).symlink_to(target)
    registry = Registry(tmp_path / "registry")
    with pytest.raises((ManifestError, ArtefactError), match="a link that leads out of the package"):
        registry.add(folder)
    assert not (tmp_path / "registry").exists()


def test_a_link_inside_a_package_is_a_copy(tmp_path):
    folder = package(tmp_path / "p")
    (folder / "same.py").symlink_to("model.py")
    registry = Registry(tmp_path / "registry")
    assert sorted(registry.add(folder).files) == ["model.py", "model.toml", "same.py"]
    assert not (registry.folder("fare", "v1") / "same.py").is_symlink()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_what_is_added_or_fetched_is_its_owners_alone(umask, tmp_path):
    folder = package(tmp_path / "p")
    (folder / "sub").mkdir()
    (folder / "sub" / "weights").write_text("1")
    (folder / "sub" / "weights").chmod(0o604)
    remote = Registry(f"memory://{uuid.uuid4().hex}", cache=tmp_path / "cache")
    before = os.umask(umask)
    try:
        Registry(tmp_path / "registry").add(folder)
        remote.add(folder)
        remote.folder("fare", "v1")
    finally:
        os.umask(before)
    for root in ("registry", "cache"):
        made = list((tmp_path / root).rglob("*"))
        assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}
        assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}


def test_one_damaged_version_hides_no_other(tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.add(package(tmp_path / "p"))
    for name, value in {"v2": b"rubbish", "v3": b"[" * 100_000, "v4": b" " * 17_000_000, "..v5": b"{}"}.items():
        (tmp_path / "registry" / "fare" / name).mkdir()
        (tmp_path / "registry" / "fare" / name / "manifest.json").write_bytes(value)
    (tmp_path / "registry" / "not a model").mkdir()
    assert [m.version for m in registry.list()] == ["v1"]
    for version in ("v2", "v3", "v4"):
        with pytest.raises((ManifestError, RegistryError), match=version):
            registry.folder("fare", version)


def test_a_package_of_too_many_files_or_a_name_with_a_backslash_is_refused(tmp_path, monkeypatch):
    folder = package(tmp_path / "p")
    (folder / "a\\b").write_text("")
    with pytest.raises(ManifestError, match="rename it"):
        Registry(tmp_path / "registry").add(folder)
    (folder / "a\\b").unlink()
    monkeypatch.setattr("inference.packages.manifest.FILES_MAX", 1)
    with pytest.raises(ManifestError, match="more than 1 files"):
        Registry(tmp_path / "registry").add(folder)


class Down(Exception):
    """What a library of an object store raises."""


ERRORS = {
    "of a library": Down("503"),
    "slow": TimeoutError("slow"),
    "refused": ConnectionRefusedError(111, "refused"),
    "disk": OSError(5, "input/output error"),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
@pytest.mark.parametrize("call", ["open", "ls", "open a file"])
def test_a_registry_that_does_not_answer_is_away_and_no_version_at_fault(tmp_path, monkeypatch, call, error):
    root = f"memory://{uuid.uuid4().hex}"
    Registry(root).add(package(tmp_path / "p"))
    registry = Registry(root, cache=tmp_path / "cache")

    opens = registry._files.open

    def fails(path, *args, **kwargs):
        if call == "open a file" and not path.endswith("model.py"):  # the manifest is there, and the first file
            return opens(path, *args, **kwargs)
        raise error

    monkeypatch.setattr(registry._files, "open" if call == "open a file" else call, fails)
    with pytest.raises(RegistryUnavailable, match=f"registry {root}: {type(error).__name__}") as raised:
        registry.list("fare") if call == "ls" else registry.folder("fare", "v1")
    assert isinstance(raised.value, Away) and not isinstance(raised.value, RegistryError)


def test_a_folder_that_is_not_mounted_is_away(tmp_path):
    registry = Registry(tmp_path / "models")
    registry.add(package(tmp_path / "p"))
    registry.ask()
    (tmp_path / "models").rename(tmp_path / "elsewhere")
    with pytest.raises(RegistryUnavailable, match="not mounted here; new routes wait for it"):
        registry.ask()
    for _ in ("not there", "an empty mount point"):
        with pytest.raises(RegistryUnavailable, match="not mounted here"):
            registry.load("fare", "v1", "cpu")
        (tmp_path / "models").mkdir(exist_ok=True)
    (tmp_path / "models").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "models")
    assert registry.folder("fare", "v1").is_dir()


def test_a_file_that_a_remote_version_lost_is_the_fault_of_the_version(tmp_path):
    root = f"memory://{uuid.uuid4().hex}"
    registry = Registry(root, cache=tmp_path / "cache")
    registry.add(package(tmp_path / "p"))
    registry._files.rm_file(f"{registry._path}/fare/v1/model.py")
    with pytest.raises(RegistryError, match=r"model\.py is missing; add the version anew"):
        registry.folder("fare", "v1")


def test_a_registry_that_is_a_file_is_refused_and_not_empty(tmp_path):
    root = tmp_path / "models"
    root.write_text("no folder")
    with pytest.raises(RegistryError, match="is a file, not a folder"):
        Registry(root).list()


def test_packages_of_a_remote_registry_are_kept_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path / "cache"))
    registry = Registry(f"memory://{uuid.uuid4().hex}/models")
    registry.add(package(tmp_path / "p"))
    assert registry.folder("fare", "v1").is_relative_to(tmp_path / "cache" / "models")
