"""The cut of the lock that an image installs: complete, and nothing from the tests."""

import importlib.util
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
_CUDA_NAMES = ("triton", "nvidia", "cuda")


@pytest.fixture(scope="module")
def cut() -> ModuleType:
    spec = importlib.util.spec_from_file_location("requirements", ROOT / "docker" / "requirements.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lock(cut: ModuleType) -> dict[str, str]:
    return cut.entries((ROOT / "requirements.lock").read_text())


def test_every_entry_keeps_its_hashes(cut: ModuleType, lock: dict[str, str]) -> None:
    text = (ROOT / "requirements.lock").read_text()
    for name, entry in cut.needed(lock, "cuda").items():
        assert entry in text
        assert "--hash=sha256:" in entry, name


@pytest.mark.parametrize("target", ["cuda", "cpu"])
def test_what_is_kept_has_what_it_requires(cut: ModuleType, lock: dict[str, str], target: str) -> None:
    """The oracle is the installed packages' own metadata, not the lock's comments."""
    kept = set(cut.needed(lock, target))
    cuda = {name for name in lock if cut._CUDA.match(name)} if target == "cpu" else set()
    for name in kept:
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # Locked for another platform.
            continue
        for requirement in map(Requirement, requires):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert canonicalize_name(requirement.name) in kept | cuda, f"{name} requires {requirement}"


def test_our_own_dependencies_are_kept(cut: ModuleType, lock: dict[str, str]) -> None:
    for text in metadata.requires("driftline") or []:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name not in {"driftline", "torch"}:
            assert name in cut.needed(lock, "cpu"), text


def test_tests_and_cuda_stay_away(cut: ModuleType, lock: dict[str, str]) -> None:
    cuda, cpu = cut.needed(lock, "cuda"), cut.needed(lock, "cpu")
    assert not {"pytest", "ruff", "mypy", "selenium", "grafana-foundation-sdk", "uv"} & set(cuda)
    assert {"torch", "nvidia-cublas", "triton"} <= set(cuda)
    cuda_only = {name for name in cuda if name in ("torch", "triton") or name.startswith(("nvidia-", "cuda-"))}
    assert set(cuda) - set(cpu) == cuda_only


def test_single_entries(cut: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, begin in ((["pin", "torch"], "torch=="), (["only", "uv"], "uv==")):
        with (ROOT / "requirements.lock").open() as stream:
            monkeypatch.setattr("sys.stdin", stream)
            assert cut.main(arguments).startswith(begin)


def test_a_laptop_without_cuda_has_everything_else(lock: dict[str, str]) -> None:
    """`make TORCH=cpu`: what installs the rest, and the tests, are there; torch's index is not reached here."""
    command = [sys.executable, ROOT / "docker" / "requirements.py", "laptop"]
    with (ROOT / "requirements.lock").open() as text:
        said = subprocess.run(command, stdin=text, capture_output=True, text=True, check=True).stdout
    kept = {line.split("==")[0].split("[")[0] for line in said.splitlines() if line[:1].isalnum()}
    assert {"uv", "pytest", "numpy", "sympy"} <= kept
    assert set(lock) - kept == {name for name in lock if name == "torch" or name.split("-")[0] in _CUDA_NAMES}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_says_the_size_and_takes_torch_from_where_it_was_asked_to() -> None:
    def said(*words: str) -> str:
        command = ["make", "--dry-run", "--always-make", ".venv/ready", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    plain, cpu = said(), said("TORCH=cpu")
    assert "about 7.5 GB" in plain and "--torch-backend" not in plain
    assert "requirements.py laptop" in cpu and "--torch-backend=cpu" in cpu and "pin torch" in cpu
    assert "--require-hashes requirements.lock" not in cpu
