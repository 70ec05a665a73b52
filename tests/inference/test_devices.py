import numpy as np
import pytest

from inference import DeviceError, Scorer, device, matrix_of, read_package
from inference.backends import devices, load_artefact


@pytest.mark.parametrize("wanted", ["gpu", "cuda:x", "cpu:1", "cuda:99", ""])
def test_a_device_that_is_not_here_is_refused(wanted):
    with pytest.raises(DeviceError, match=repr(wanted)):
        device(wanted)


def test_auto_is_what_is_here():
    import torch

    assert device("auto") == ("cuda:0" if torch.cuda.is_available() else "cpu")


@pytest.mark.gpu
def test_cuda_says_what_the_cpu_says(scorer, folder, table):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    package = read_package(folder)
    matrix = matrix_of(table, package.schema)
    on_cuda = Scorer(package, load_artefact(package, folder, device("cuda")))
    assert on_cuda(matrix).values == pytest.approx(scorer(matrix).values, abs=1e-6)
    order = np.random.default_rng(0).permutation(len(matrix))
    assert on_cuda(matrix[order]).values.tobytes() == on_cuda(matrix).values[order].tobytes()


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
@pytest.mark.parametrize(
    ("slot", "expected"),
    [("0", "cuda:0"), ("worker-1", "cuda:1"), ("3", "cuda:0"), ("name", "cuda:0"), ("14", "cuda:2")],
)
def test_workers_go_round_the_devices_by_their_slots(monkeypatch, wanted, slot, expected):
    monkeypatch.setattr(devices, "_cuda_count", lambda: 3)
    assert devices.device_of_slot(wanted, slot) == expected
    assert devices.device_of_slot("cuda:1", slot) == "cuda:1" and devices.device_of_slot("cpu", slot) == "cpu"


@pytest.mark.parametrize(("cores", "workers", "threads"), [(1, 1, 1), (2, 1, 1), (8, 1, 4), (8, 2, 2), (8, 16, 1)])
def test_workers_share_the_cores(monkeypatch, cores, workers, threads):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr(devices._Share, "workers", 1)
    devices.share_cores(workers)
    assert devices.cpu_threads() == threads
