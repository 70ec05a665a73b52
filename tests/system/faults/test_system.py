"""The whole system under one fault after the other, with the accounts drawn up after each.

`pytest tests/system/faults --faults-runs=200 --faults-seed=7`. A failure prints the seed and the run; the same two
numbers inflict the same faults on the same requests again, though not at the same instructions.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from accounts import Accounts
from inflictions import FAULTS
from patient import Patient

from drift.store import StoreError, StoreUnavailable

REQUESTS = 240
SLICES = 12
RECOVERY_S = 90.0


@pytest.fixture(scope="module")
def seed(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--faults-seed")


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Patient]:
    folder: Path = tmp_path_factory.mktemp("patient")
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("FAULTS_CLOCK", str(folder / "clock"))
        environ.setenv("PYTHONPATH", str(Path(__file__).parent / "steps"), prepend=os.pathsep)
        patient = Patient(folder, random.Random(seed))
    try:
        patient.start()
        yield patient
    finally:
        patient.stop()


@pytest.fixture(scope="module")
def accounts(patient: Patient) -> Iterator[Accounts]:
    accounts = Accounts(patient.cluster, patient.store, patient.judge())
    yield accounts
    accounts.close()


@pytest.mark.timeout(0)
def test_nothing_is_lost_or_doubled(patient: Patient, accounts: Accounts, seed: int, request) -> None:
    runs = request.config.getoption("--faults-runs")
    order: list[int] = []
    for run in range(runs):
        rng = random.Random(f"{seed}/{run}")
        if not order:  # each fault once before any comes again
            order = random.Random(f"{seed}/{run}/order").sample(range(len(FAULTS)), len(FAULTS))
        fault = FAULTS[order.pop()]
        began = time.monotonic()
        at = rng.randrange(SLICES)
        for part in range(SLICES):
            patient.send(REQUESTS // SLICES)
            if part == at:
                fault(patient, rng)
            patient.wait(rng.uniform(0, 0.1), patient.look)
        patient.flush()
        recovered_s = _settle(patient, accounts, f"seed {seed}, run {run}: {fault.__name__} in part {at}")
        took_s = time.monotonic() - began
        sys.stdout.write(
            f"seed {seed} run {run:>3} {fault.__name__:<24} {took_s:5.1f} s, settled {recovered_s:.1f} s\n"
        )
        for id_ in rng.sample(sorted(accounts.predicted), 20):  # late ones, and late corrections
            patient.label(id_)


def _settle(patient: Patient, accounts: Accounts, where: str) -> float:
    """Wait until everything adds up; what is doubled or contradictory is never forgiven."""
    began = time.monotonic()
    wrong = ["nothing looked at yet"]
    while wrong:
        patient.look()
        accounts.read(0.1)
        bad = accounts.doubled() + accounts.contradictions()
        assert not bad, f"{where}: {bad[:5]}\n{patient.tails()}"
        wrong = accounts.missing(patient.sent, patient.labels)
        if not wrong:
            wrong = ["the store is away"]
            with suppress(StoreError, StoreUnavailable):
                wrong = accounts.missing_rows()
        late = time.monotonic() - began > RECOVERY_S
        assert not (wrong and late), f"{where}: after {RECOVERY_S} s {wrong}\n{patient.tails()}\n{patient.stacks()}"
    return time.monotonic() - began
