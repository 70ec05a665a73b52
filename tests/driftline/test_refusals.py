"""Every command, in a world that does not fit: one line that says what is wrong; no trace, and no Python repr."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.models import OptionInfo

from driftline import cli
from driftline.cli.refusals import refusal
from driftline.supervisor import role_log

SETTINGS = """
registry = "{folder}/a_file"
[kafka]
bootstrap = "127.0.0.1:1"
[kafka.options]
"sasl.password" = "env:DRIFTLINE_TEST_NOT_SET_PASSWORD"
[clickhouse]
url = "clickhouse://me@127.0.0.1:1/nowhere"
password = "env:TEST_NOT_SET"
"""
REPR = re.compile(r"object at 0x|PosixPath\(|\bnamespace\(|Error\(|\bNoneType\b|<class '")


def leaves(app, path=()):
    """Every command's words with its function."""
    for one in app.registered_commands:
        yield (*path, one.name or one.callback.__name__.replace("_", "-")), one.callback
    for one in app.registered_groups:
        yield from leaves(one.typer_instance, (*path, one.name))


COMMANDS = dict(leaves(cli.app))
#: They start processes, or serve until somebody stops them; what they do with such settings is tested elsewhere.
STARTERS = {("demo",), ("up",), ("broker",)}

#: They open no secret and ask no server: they say, or write, what they can.
_NEED_NEITHER = {("settings", "show"), ("down",), ("dashboards", "build")}


def needs(function):
    """Parameters without a default: name, kind, and whether it is an option."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        about = getattr(parameter.default, "default", parameter.default)
        if about in (inspect.Parameter.empty, ...):
            more = getattr(hints[name], "__metadata__", ())
            kind = hints[name].__origin__ if more else hints[name]
            yield name, kind, any(isinstance(one, OptionInfo) for one in more)


def arguments(function, file):
    """What a command needs, whatever it is, with a file where it wants a path."""
    words = []
    for name, kind, is_option in needs(function):
        value = str(file) if "Path" in str(kind) else "1" if kind in (int, float) else (get_args(kind) or ["x"])[0]
        value = value if isinstance(value, str) else "x"
        words += [f"--{name.replace('_', '-')}", value] if is_option else [value]
    return words


def reads_settings(function):
    return "file" in inspect.signature(function).parameters


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    """Run the command line in this process; returns its exit code and all that it printed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("no folder")
    for name in ("TEST_NOT_SET", "DRIFTLINE_TEST_NOT_SET_PASSWORD", "DRIFTLINE_PARENT"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*words):
        monkeypatch.setattr(sys, "argv", ["driftline", *map(str, words)])
        code = None
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        out, err = capfd.readouterr()
        return code, out + err

    return invoke


def fits(code, text, words):
    assert code in (1, 2), (words, code, text)
    assert text.strip() and "Traceback" not in text, (words, text)
    assert not REPR.search(text), (words, text)


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=" ".join)
def test_settings_that_are_not_there_or_no_file(path, run, tmp_path):
    command = COMMANDS[path]
    if not reads_settings(command):
        pytest.skip("it reads no settings")
    (tmp_path / "broken.toml").write_bytes(b"\xff\xfe[kafka")
    for file in ("nowhere.toml", ".", "broken.toml"):
        words = [*path, *arguments(command, tmp_path / "a_file"), "--settings", file]
        code, text = run(*words)
        if path == ("doctor",):
            assert code == 1 and "settings" in text
        fits(code, text, words)


@pytest.mark.parametrize("path", sorted(COMMANDS.keys() - STARTERS), ids=" ".join)
def test_secrets_that_are_not_set_servers_that_are_away_and_folders_that_are_files(path, run, tmp_path):
    command = COMMANDS[path]
    if not reads_settings(command):
        pytest.skip("it reads no settings")
    (tmp_path / "driftline.toml").write_text(SETTINGS.format(folder=tmp_path))
    words = [*path, *arguments(command, tmp_path / "a_file")]
    code, text = run(*words)
    if path in _NEED_NEITHER:
        assert code in (None, 0) and "Traceback" not in text
    else:
        fits(code, text, words)


@pytest.mark.parametrize("path", sorted(COMMANDS.keys() - STARTERS), ids=" ".join)
def test_files_that_are_not_there_folders_and_no_tables(path, run, tmp_path):
    command = COMMANDS[path]
    if not any("Path" in str(kind) for _, kind, _ in needs(command)):
        pytest.skip("it needs no file")
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "noise.parquet").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "noise.csv").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "empty.csv").write_text("")
    for file in ("nowhere.parquet", "folder.parquet", "noise.parquet", "noise.csv", "empty.csv"):
        words = [*path, *arguments(command, tmp_path / file)]
        fits(*run(*words), words)


def test_a_fault_of_ours_keeps_its_trace(run, monkeypatch):
    def broken():
        raise KeyError("id")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(KeyError):
        run()
    assert refusal(AssertionError()) is None


def test_a_missing_package_and_a_full_disk_are_told_with_the_remedy():
    assert "pip install 'driftline[all]'" in (refusal(ModuleNotFoundError("x", name="dash.html")) or "")
    assert refusal(OSError(28, "No space left on device", "d/x")) == (
        "d/x: no space left on device; make room, or name another place"
    )
    assert refusal(PermissionError(13, "Permission denied", Path("d"))) == (
        "d: permission denied; mend its permissions, or name another"
    )


PASSING = [
    "raise TimeoutError()",
    "raise ConnectionRefusedError(111, 'Connection refused')",
    "raise OSError(28, 'No space left on device', '/d/x')",
    "from drift.store import StoreUnavailable; raise StoreUnavailable('no answer')",
    "from driftline.broker import BrokerError; raise BrokerError('ended before it was ready')",
    "from confluent_kafka import KafkaError, KafkaException; raise KafkaException(KafkaError(-185))",
]
LASTING = [
    "from driftline.settings import SettingsError; raise SettingsError('x is no setting')",
    "from driftline.broker.errors import FolderInUse; raise FolderInUse('in use')",
    "raise FileNotFoundError(2, 'No such file', 'a.toml')",
]
ROLE = """
import sys
from driftline import cli
def app():
    {what}
cli.app = app
cli.die_with_parent = lambda parent: None
cli.main()
"""


@pytest.mark.parametrize("what", PASSING + LASTING, ids=lambda what: what.rpartition("raise ")[2].partition("(")[0])
def test_a_role_that_waits_for_somebody_is_started_again_and_one_that_refuses_is_not(what, monkeypatch) -> None:
    monkeypatch.setenv("DRIFTLINE_PARENT", "1")
    done = subprocess.run([sys.executable, "-c", ROLE.format(what=what)], capture_output=True, text=True, timeout=120)
    assert done.returncode and role_log.refused(done.stderr) is (what in LASTING), done.stderr
    assert "said nothing" not in role_log.why_ended(done.stderr, done.returncode)
