"""The faults, one a function: each is done to a patient, lasts a while, and is over when the function returns."""

import random
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
from patient import Patient

from drift.store import StoreUnavailable
from drift.store.flavours import FREE_BYTES_MIN

_TABLES = """
SELECT name FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name != 'schema_versions'
ORDER BY name
"""
_ROOM = "ALTER TABLE `{table}` MODIFY SETTING min_free_disk_bytes_to_perform_insert = {bytes}"

Fault = Callable[[Patient, random.Random], None]


def kill_a_worker(patient: Patient, rng: random.Random) -> None:
    _kill(patient, rng.choice(["worker-0", "worker-1"]))


def kill_both_workers(patient: Patient, rng: random.Random) -> None:
    for name in ("worker-0", "worker-1"):
        _kill(patient, name)


def kill_the_monitor(patient: Patient, rng: random.Random) -> None:
    """Snapshots are taken once a second; a random moment is often one of them."""
    _kill(patient, "monitor")


def kill_the_store(patient: Patient, rng: random.Random) -> None:
    _kill(patient, "store")


def kill_the_broker(patient: Patient, rng: random.Random) -> None:
    patient.java().kill()


def kill_two_roles(patient: Patient, rng: random.Random) -> None:
    for name in rng.sample(["worker-0", "worker-1", "monitor", "store"], 2):
        _kill(patient, name)


def stop_a_worker_in_order(patient: Patient, rng: random.Random) -> None:
    patient.child(rng.choice(["worker-0", "worker-1"])).stop()


def pause_the_broker(patient: Patient, rng: random.Random) -> None:
    _pause(patient, patient.java(), rng.uniform(0.5, 3))


def pause_a_worker(patient: Patient, rng: random.Random) -> None:
    """Past its session: another takes its partitions, and a zombie wakes up."""
    _pause(patient, _process(patient, rng.choice(["worker-0", "worker-1"])), rng.uniform(3.5, 5))


def pause_the_monitor(patient: Patient, rng: random.Random) -> None:
    _pause(patient, _process(patient, "monitor"), rng.uniform(1, 4.5))


def pause_the_store(patient: Patient, rng: random.Random) -> None:
    """ClickHouse is away, and its clients wait for an answer."""
    _pause(patient, _process(patient, "store"), rng.uniform(1, 4.5))


def fill_the_disk(patient: Patient, rng: random.Random) -> None:
    """The store finds too little room for some of its tables, or all of them: half of an insert may be there already.

    A limit on the size of its files is no full disk: ClickHouse cuts them short and says that all went well.
    """
    tables = [name for (name,) in _answered(patient, _TABLES)]
    some = rng.sample(tables, rng.choice([len(tables), 3, 1]))
    if rng.random() < 0.5:  # the look-up by id, which a view fills behind the observations
        some = ["predictions_by_id"]
    try:
        for table in some:
            _answered(patient, _ROOM.format(table=table, bytes=2**62))
        patient.wait(rng.uniform(1, 3), patient.look)
    finally:
        for table in some:
            _answered(patient, _ROOM.format(table=table, bytes=FREE_BYTES_MIN))


def sicken_the_model(patient: Patient, rng: random.Random) -> None:
    patient.sick.touch()
    try:
        patient.wait(rng.uniform(0.5, 2), patient.look)
    finally:
        patient.sick.unlink()


def slow_the_model(patient: Patient, rng: random.Random) -> None:
    """One batch takes longer than a session of 3 s, and nobody loses a partition."""
    before = _lost(patient)
    patient.slow.touch()
    try:
        patient.wait(rng.uniform(4, 6), patient.look)
        assert _lost(patient) == before, "a slow model has cost a membership"
    finally:
        patient.slow.unlink()


def _lost(patient: Patient) -> int:
    logs = (patient.child(name).log_path for name in ("worker-0", "worker-1"))
    return sum(log.read_text(errors="replace").count("partitions.lost") for log in logs)


def step_the_clock(patient: Patient, rng: random.Random) -> None:
    """The wall clock of every role jumps an hour or a week, and back."""
    patient.clock.write_text(str(rng.choice([-1, 1]) * rng.choice([3_600, 600_000])))
    patient.wait(rng.uniform(0.5, 2), patient.look)
    patient.clock.write_text("0")


FAULTS: tuple[Fault, ...] = (
    kill_a_worker,
    kill_both_workers,
    kill_the_monitor,
    kill_the_store,
    kill_the_broker,
    kill_two_roles,
    stop_a_worker_in_order,
    pause_the_broker,
    pause_a_worker,
    pause_the_monitor,
    pause_the_store,
    fill_the_disk,
    sicken_the_model,
    slow_the_model,
    step_the_clock,
)


def _process(patient: Patient, name: str) -> psutil.Process:
    pid = patient.child(name).pid
    assert pid is not None, f"{name} is down before its fault"
    return psutil.Process(pid)


def _kill(patient: Patient, name: str) -> None:
    process = _process(patient, name)
    process.kill()


def _pause(patient: Patient, process: psutil.Process, seconds: float) -> None:
    process.send_signal(signal.SIGSTOP)
    try:
        patient.wait(seconds, patient.look)
    finally:
        if process.is_running():
            process.send_signal(signal.SIGCONT)


def _answered(patient: Patient, sql: str) -> list[tuple[Any, ...]]:
    """Ask the store until it answers: it may be starting again."""
    end = time.monotonic() + 60
    while True:
        try:
            return patient.store().rows(sql)
        except StoreUnavailable:
            assert time.monotonic() < end, patient.tails()
            patient.wait(0.1, patient.look)
