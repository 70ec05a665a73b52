"""Files that only their owner may read: whatever the umask, and those of an earlier version as well."""

import os
import stat
from pathlib import Path

import pytest

from streams.private import keep_private, private_folder, tighten, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_folders_and_files_are_their_owners_alone_whatever_the_umask(umask, tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "a" / "b")
    write_private(folder / "x", "secret")
    write_private(folder / "x", b"other")
    assert [mode(path) for path in (tmp_path / "a", folder, folder / "x")] == [0o700, 0o700, 0o600]
    assert (folder / "x").read_bytes() == b"other" and [path.name for path in folder.iterdir()] == ["x"]


def test_a_file_that_somebody_could_read_is_replaced_and_not_written_into(umask, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as reader:
        write_private(path, "secret")
        assert reader.read() == "old"
    assert mode(path) == 0o600


def test_a_link_beside_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f"x.{os.getpid()}.new").symlink_to(victim)
    write_private(tmp_path / "x", "secret")
    assert victim.read_text() == "mine" and not (tmp_path / "x").is_symlink()


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "x"
    write_private(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, "new")
    assert path.read_text() == "old" and [found.name for found in tmp_path.iterdir()] == ["x"]


def test_a_process_creates_nothing_that_others_can_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keep_private()
        (tmp_path / "log").touch()
        (tmp_path / "d").mkdir()
    finally:
        os.umask(before)
    assert (mode(tmp_path / "log"), mode(tmp_path / "d")) == (0o600, 0o700)


def loose(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_what_an_earlier_version_left_open_is_closed_once_and_told(tmp_path: Path) -> None:
    data = tmp_path / "d"
    loose(data, "logs/up.log", "kafka/log/0/x.log", "run.json")
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    outside.chmod(0o644)
    (data / "logs" / "link").symlink_to(outside)
    assert tighten(data, ["logs", "kafka", "run.json"]) == [data, data / "kafka", data / "logs", data / "run.json"]
    found = {str(path.relative_to(data)): mode(path) for path in data.rglob("*") if not path.is_symlink()}
    assert set(found.values()) == {0o700, 0o600} and found["kafka/log/0/x.log"] == 0o600 and mode(data) == 0o700
    assert mode(outside) == 0o644
    assert tighten(data, ["logs", "kafka", "run.json"]) == []


def test_a_folder_of_somebodys_own_keeps_its_mode_and_what_is_his(tmp_path: Path) -> None:
    data = tmp_path / "home"
    loose(data, "logs/up.log", "notes.txt")
    assert tighten(data, ["logs"]) == [data / "logs"]
    assert [mode(data), mode(data / "notes.txt"), mode(data / "logs" / "up.log")] == [0o755, 0o644, 0o600]
    assert tighten(tmp_path / "none", ["logs"]) == []
