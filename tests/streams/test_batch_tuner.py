"""The tuner: targets come and go, what was dropped is forgotten, and metrics and logs say what was chosen."""

import numpy as np
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from streams.runtime.batch_control import BatchChoice, BatchTarget
from streams.runtime.batch_tuner import BatchTuner
from streams.runtime.telemetry import Gauges


class Setting:
    """A tuner whose target and clock stand by hand, fed as a pipeline feeds it: through the gauges."""

    def __init__(self, step: str, target: BatchTarget | None) -> None:
        self.target, self.now_ms, self.waiting = target, 0.0, 0
        self.tuner = BatchTuner(step, lambda: self.target, 5_000, lambda: self.now_ms)
        self.tuner.watch(lambda: self.waiting)
        self.gauges = Gauges(step, self.tuner)

    def pass_one(self, rows: int, process_ms: float = 10.0, age_ms: int = 40, epoch: int = 0) -> None:
        times = [int(self.now_ms)] * rows
        self.gauges.took(epoch, times)
        self.gauges.processed(process_ms)
        self.now_ms += age_ms
        self.gauges.committed(times, 10.0, int(self.now_ms))


def metric(name: str, step: str) -> float | None:
    return REGISTRY.get_sample_value(f"driftline_batching_{name}", {"step": step})


def test_without_a_target_nothing_is_chosen():
    setting = Setting("no-target", None)
    for _ in range(200):
        setting.pass_one(100)
    assert setting.tuner.choice() is None
    assert metric("rows_max", "no-target") in (None, 0)


def test_it_chooses_after_the_first_window_and_says_so():
    setting = Setting("tuned", BatchTarget(100, 20, 512))
    assert setting.tuner.choice() == BatchChoice(5_000)
    with capture_logs() as logs:
        for _ in range(100):
            setting.pass_one(40)
    choice = setting.tuner.choice()
    assert choice is not None and choice.wait_ms > 0
    assert (metric("rows_max", "tuned"), metric("wait_seconds", "tuned")) == (choice.rows_max, choice.wait_ms / 1000)
    assert [(log["event"], log["holds"]) for log in logs] == [("tuned.batching", "tuned")]


def test_another_target_begins_anew_and_none_ends_it():
    setting = Setting("other", BatchTarget(100, 20, 512))
    for _ in range(100):
        setting.pass_one(40)
    setting.target = BatchTarget(50, 0, 512)
    assert setting.tuner.choice() == BatchChoice(5_000)
    setting.target = None
    assert setting.tuner.choice() is None
    assert metric("rows_max", "other") == 0


def test_what_was_processed_and_then_dropped_is_not_taken_for_what_is_committed():
    setting = Setting("dropped", BatchTarget(10_000, 0, 512))
    setting.gauges.took(0, [0])
    setting.gauges.processed(60_000.0)  # and it is rewound
    for _ in range(100):
        setting.pass_one(40, epoch=1)
    assert setting.tuner._control._times.process.at(40) < 11


def test_clients_whose_clocks_are_ahead_give_no_negative_ages():
    setting = Setting("ahead", BatchTarget(100, 0, 512))
    for _ in range(100):
        times = [int(setting.now_ms) + 3_600_000] * 10
        setting.gauges.took(0, times)
        setting.gauges.processed(5.0)
        setting.now_ms += 30
        setting.gauges.committed(np.asarray(times).tolist(), 5.0, int(setting.now_ms))
    assert setting.tuner._control.tuned
