"""The run file: never a stranger's process, never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftline import settings
from driftline.cli import app
from driftline.cli.refusals import refusal
from driftline.roles import parts, run_file
from driftline.roles.process_identity import identity, terminate
from driftline.roles.run_file import RunFileError

STATUS = {"state": "up", "waits": {}, "kafka": "k", "clickhouse": "c", "page": "p", "urls": {}, "starting": {}}
RUBBISH = {
    "empty": b"",
    "blank": b"\n\n",
    "cut": b'{"pid": 12, "identity": "a/1", "sta',
    "zeros": b"\0" * 512,
    "no_json": b"hello",
    "not_utf8": b'{"pid": "\xff\xfe"}',
    "list": b"[1]",
    "null": b"null",
    "number": b"7",
    "nothing_in_it": b"{}",
    "pid_is_text": json.dumps({"pid": "12", "identity": "a/1", "roles": {}, **STATUS}).encode(),
    "role_is_text": json.dumps({"pid": 1, "identity": "a/1", "roles": {"worker-0": "up"}, **STATUS}).encode(),
    "role_lacks_all": json.dumps({"pid": 1, "identity": "a/1", "roles": {"worker-0": {}}, **STATUS}).encode(),
    "deep": b"[" * 100_000,
    "earlier_version": json.dumps({"pid": 1, "began": 1.5, "roles": {}, **STATUS}).encode(),
}


@pytest.fixture
def stranger():
    """A process of somebody else's that got a number that was ours."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def written(folder: Path, pid: int, known_as: str | None) -> None:
    content = {"pid": pid, "identity": known_as, "roles": {}, **STATUS}
    (folder / "run.json").write_bytes(json.dumps(content).encode())


def test_a_number_that_another_process_has_got_meanwhile_is_left_alone(tmp_path: Path, stranger) -> None:
    boot, tick = (identity(stranger.pid) or "").split("/")
    for other in (f"{boot}/{int(tick) - 1}", f"another-boot/{tick}"):
        written(tmp_path, stranger.pid, other)
        assert run_file.read(tmp_path) is None
        assert run_file.stop(tmp_path) is False
        assert terminate(stranger.pid, other, 1.0) is True
    assert stranger.poll() is None


def test_its_own_process_is_found_and_ended(tmp_path: Path, stranger) -> None:
    run_file.write(tmp_path, stranger.pid, {**STATUS, "roles": {}})
    assert (run_file.read(tmp_path) or {})["pid"] == stranger.pid
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
    assert run_file.stop(tmp_path) is True
    assert stranger.wait(10) == -15
    assert run_file.stop(tmp_path) is False


def test_a_process_that_has_ended_and_was_not_waited_for_does_not_run(tmp_path: Path, stranger) -> None:
    run_file.write(tmp_path, stranger.pid, {**STATUS, "roles": {}})
    stranger.kill()
    os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert run_file.read(tmp_path) is None


@pytest.mark.parametrize("content", RUBBISH.values(), ids=RUBBISH)
@pytest.mark.parametrize("command", ["status", "status --json", "down"])
def test_a_damaged_run_file_is_told_in_one_line(tmp_path: Path, monkeypatch, content: bytes, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".driftline").mkdir()
    (tmp_path / ".driftline" / "run.json").write_bytes(content)
    done = CliRunner().invoke(app, command.split())
    assert isinstance(done.exception, RunFileError) and done.stdout == ""
    text = refusal(done.exception) or ""
    assert text.startswith(".driftline/run.json is ") and "`driftline up` writes it anew" in text and "\n" not in text


@pytest.mark.parametrize("content", [RUBBISH["empty"], RUBBISH["role_lacks_all"]], ids=["empty", "roles"])
def test_other_commands_go_on_where_the_run_file_is_damaged(tmp_path: Path, monkeypatch, content: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".driftline").mkdir()
    (tmp_path / ".driftline" / "run.json").write_bytes(content)
    assert parts._remedy(settings.load()).startswith("`driftline up` starts one")
    done = CliRunner().invoke(app, ["doctor", "--json"])
    told = [one for one in json.loads(done.stdout) if "run.json" in one["said"]]
    assert [(one["name"], one["state"], one["fix"]) for one in told] == [("ports", "warn", "driftline up")]


def test_a_run_file_that_cannot_be_read_or_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(RunFileError, match=r"cannot be read \(Is a directory\)"):
        run_file.read(tmp_path)
    assert run_file.read(tmp_path / "run.json" / "none") is None
    assert run_file.read_or_none(tmp_path) is None
