import numpy as np
import pytest

from inference import DeviceError, Scorer, device, matrix_of, read_package
from inference.backends import load_artefact


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
