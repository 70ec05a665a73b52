"""How soon a command says its first word depends on what it imports: the packages that each may load, not the time."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.system  # a process for each command

#: Each costs 10 ms (structlog) to 3 s (torch) of processor time at every start.
_HEAVY = {
    "aiohttp", "chdb", "clickhouse_driver", "confluent_kafka", "dash", "evidently", "faust", "fsspec", "numba", "numpy",
    "pandas", "plotly", "psutil", "pyarrow", "pydantic_settings", "river", "scipy", "sklearn", "structlog", "torch",
    "urllib3",
}  # fmt: skip
_RUN = """
import sys
from driftline.cli import main

sys.argv = ["driftline", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print("\\nloaded:", *sys.modules)
"""
_SETTINGS = {"pydantic_settings"}
_GROUPS = ("model", "reference", "drift", "dead-letters", "incidents", "settings", "topics", "dashboards")


def _loaded(*args: str, **environ: str) -> set[str]:
    """Heavy packages that a command has loaded when it ends."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    said = subprocess.run(
        [sys.executable, "-c", _RUN, *args], env=kept | environ, capture_output=True, text=True, timeout=120
    )
    line = said.stdout.strip().splitlines()[-1]
    assert line.startswith("loaded: "), (said.stdout, said.stderr)
    return {module.split(".")[0] for module in line.split()[1:]} & _HEAVY


@pytest.mark.parametrize("args", [["--help"], ["model", "init", "--help"], ["replay", "--help"], ["up", "--help"]])
def test_help_loads_no_heavy_package(args: list[str]) -> None:
    assert _loaded(*args) == set()


def test_every_command_is_listed_without_a_heavy_package() -> None:
    code = f"""
import sys
from typer.testing import CliRunner
from driftline.cli import app
for group in {_GROUPS}:
    assert CliRunner().invoke(app, [group, "--help"]).exit_code == 0, group
print("loaded:", *sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert not {module.split(".")[0] for module in said.stdout.split()[1:]} & _HEAVY


@pytest.mark.parametrize(
    ("args", "allowed"),
    [
        (["settings", "show"], set()),
        (["status"], {"psutil", "urllib3"}),
        (["down"], {"psutil", "urllib3"}),
        (["topics", "check"], {"confluent_kafka"}),
        (["model", "list"], {"confluent_kafka", "fsspec"}),
        (["dead-letters", "list"], {"confluent_kafka", "numpy", "structlog"}),
        (["incidents", "list"], {"clickhouse_driver"}),
        (
            ["doctor"],
            {"clickhouse_driver", "confluent_kafka", "fsspec", "psutil", "urllib3"},
        ),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_commands_that_look_load_no_more_than_they_ask(
    args: list[str], allowed: set[str], tmp_path, monkeypatch
) -> None:
    """Nothing runs here, so each ends at its first question; what it needs to ask is loaded by then."""
    monkeypatch.chdir(tmp_path)
    nowhere = {"DRIFTLINE_KAFKA__PORT": "1", "DRIFTLINE_CLICKHOUSE__PORT": "1"}
    assert _loaded(*args, **nowhere) <= allowed | _SETTINGS


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("streams.tables", {"numpy", "pyarrow"}),
        ("drift.reference.reference", {"numpy", "pyarrow"}),
        ("drift.incidents.verdict", set()),
        ("drift.store", {"clickhouse_driver"}),
        ("inference.serving.registry", {"fsspec"}),
        ("inference.serving.routing", set()),
    ],
)
def test_a_module_that_many_commands_need_stays_light(module: str, allowed: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert {name.split(".")[0] for name in said.stdout.split()} & _HEAVY <= allowed


_FIRST_WORD = """
import sys

class Terminal:
    encoding = "utf-8"

    def isatty(self):
        return True

    def flush(self):
        pass

    def write(self, text):
        sys.__stdout__.write("loaded: " + " ".join(sys.modules))
        sys.__stdout__.flush()
        import os
        os._exit(0)

from driftline.cli import main

sys.argv = ["driftline", *sys.argv[1:]]
sys.stdout = sys.stderr = Terminal()
main()
"""


@pytest.mark.parametrize(
    "args",
    [
        ["model", "init", "m", "--data", "t.parquet", "--train"],
        ["reference", "build", "--data", "t.parquet"],
        ["reference", "show", "r.arrow"],
        ["reference", "check", "r.arrow"],
        ["backtest", "--reference", "r.arrow", "--stream", "t.parquet"],
        ["drift", "bench", "--reference", "t.parquet"],
        ["produce", "t.parquet"],
        ["replay"],
        ["report", "--model", "m", "--from", "2026-01-01", "--reference-data", "t.parquet"],
    ],
    ids=lambda args: " ".join(args[:2]),
)
def test_a_long_command_says_what_it_does_before_it_loads_what_it_needs(args: list[str], tmp_path, monkeypatch) -> None:
    """The first write to a terminal comes before any heavy package, but for the log's library that `replay` quiets."""
    monkeypatch.chdir(tmp_path)
    said = subprocess.run([sys.executable, "-c", _FIRST_WORD, *args], capture_output=True, text=True, timeout=120)
    assert said.stdout.startswith("loaded: "), (said.stdout, said.stderr)
    assert {module.split(".")[0] for module in said.stdout.split()[1:]} & _HEAVY <= {"structlog"}
