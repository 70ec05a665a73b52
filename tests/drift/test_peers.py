"""What other libraries compute under the same names: against the real ones, and against what they said (peers.json).

`python tests/drift/test_peers.py` asks them again and writes the file.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from benchmarks.environment import Absent, environment
from drift import compare

HERE = Path(__file__).parent / "peers"
TOLD = HERE / "peers.json"


def normal(rows: int, at: float = 0.0, spread: float = 1.0) -> np.ndarray:
    """Quantiles of a normal, rotated: the same everywhere, without a generator."""
    return np.roll(at + spread * norm.ppf((np.arange(rows) + 0.5) / rows), rows // 3)


def holes(values: np.ndarray) -> list[float | None]:
    return [None if k % 7 == 3 else float(value) for k, value in enumerate(values)]


NUMBERS = {
    "shifted": (normal(400), normal(300, 0.3, 1.2)),
    "same": (normal(400), normal(400)),
    "beyond both ends": (normal(500), normal(400, 0.5, 3.0)),
    "rest is rounding": (normal(7_000), normal(4_999)),
    "histogram": (normal(12_000), normal(2_000, 0.1, 1.0)),
    "histogram, beyond both ends": (normal(12_000), normal(3_000, -0.4, 2.0)),
    "heavy tails": (np.exp(1.5 * normal(11_000)), np.exp(1.5 * normal(900, 0.2))),
    "few values": (np.round(normal(300)), np.round(normal(200, 0.6))),
    "mostly one value": (np.maximum(normal(2_000), 1.5), np.maximum(normal(500), 1.2)),
    "null": (holes(normal(400)), holes(normal(350, 0.4))),
    "small unit": (1e-5 * normal(600), 1e-5 * normal(600, 0.5)),
}
LEVELS = {
    "moved": (["Rome"] * 60 + ["Oslo"] * 40, ["Rome"] * 40 + ["Oslo"] * 60),
    "unseen and gone": (["a"] * 70 + ["b"] * 30 + ["c"] * 20, ["a"] * 30 + ["c"] * 15 + ["d"] * 9 + ["e"] * 6),
    "a rare one gone": (["a"] * 29_999 + ["b"], ["a"] * 500),
    "null among them": (["a"] * 50 + [None] * 9 + ["b"] * 40, ["a"] * 20 + [None] * 3 + ["b"] * 33),
}
#: Of levels alone, or of numbers alone.
ONE_KIND = {"nannyml.l_infinity": LEVELS, "nannyml.chi2": LEVELS}
ONE_KIND |= dict.fromkeys(("nannyml.ks", "nannyml.wasserstein", "evidently.wasserstein"), NUMBERS)


def methods(peer: str, kind: dict) -> list[str]:
    known = ["js", "hellinger"] + (["ks", "wasserstein", "l_infinity", "chi2"] if peer == "nannyml" else [])
    known += ["psi", "kl", "wasserstein"] if peer == "evidently" else []
    return [name for name in (f"{peer}.{one}" for one in known) if ONE_KIND.get(name, kind) is kind]


def asked(peer: str) -> list[dict]:
    """Every method on every pair of columns that it takes."""
    return [
        {"case": case, "numeric": kind is NUMBERS, "sides": [list(side) for side in sides], "methods": found}
        for kind in (NUMBERS, LEVELS)
        for case, sides in kind.items()
        for found in [methods(peer, kind)]
    ]


def real(peer: str, python: Path) -> dict:
    """What a library says today: its version, and the values by case and method."""
    ran = subprocess.run(
        [python, "-W", "ignore", HERE / f"with_{peer}.py"],
        input=json.dumps(asked(peer)),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    # NaN where equal shares round to less than 0: SciPy's distance, which both call, takes a root of it.
    return json.loads(ran.stdout.splitlines()[-1], parse_constant=lambda _: None)


def pythons(peer: str) -> Path:
    # Evidently is one of our own dependencies, of the version that we promise to agree with.
    return Path(sys.executable) if peer == "evidently" else environment(HERE / f"{peer}.txt")


def agree(told: dict, peer: str) -> None:
    for question in asked(peer):
        for method in question["methods"]:
            value = told["values"][question["case"]][method] or 0.0
            found = compare(*question["sides"], method).statistic
            assert found == pytest.approx(value, rel=1e-6, abs=1e-7), (question["case"], method)


@pytest.mark.parametrize("peer", ["evidently", "nannyml"])
def test_conventions_are_those_that_the_real_ones_had(peer):
    told = json.loads(TOLD.read_text())[peer]
    assert told["version"] in {"evidently": "0.7.23", "nannyml": "0.13.1"}[peer]
    agree(told, peer)


@pytest.mark.system  # a process that imports the other library
@pytest.mark.timeout(400)
@pytest.mark.parametrize("peer", ["evidently", "nannyml"])
def test_conventions_are_those_of_the_real_ones(peer, request):
    if peer == "nannyml" and not request.config.getoption("--peers"):
        pytest.skip("NannyML itself is asked with --peers: its environment takes a minute and 1 GB")
    try:
        python = pythons(peer)
    except Absent as why:
        pytest.skip(f"no environment for {why}")
    agree(real(peer, python), peer)


if __name__ == "__main__":
    TOLD.write_text(json.dumps({peer: real(peer, pythons(peer)) for peer in ("evidently", "nannyml")}, indent=1) + "\n")
