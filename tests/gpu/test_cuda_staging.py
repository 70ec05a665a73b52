"""What only a CUDA device can show: pytest tests/gpu. Skipped where there is none."""

import numpy as np
import pytest
import torch
from torch import nn

from inference import Limits, ModelPackage, Patience, Scorer, Shapes
from inference.backends.cuda_staging import CudaStaging
from inference.backends.torch_model import TorchModel
from streams.wire.schema import Feature

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICE = "cuda:0"


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid()).eval().to(DEVICE)


def behind(model):
    """A model of eight features behind two batch shapes."""
    package = ModelPackage(
        name="m",
        version="v1",
        task="binary",
        artefact="m.py:M",
        inputs=tuple(Feature(f"f{n}") for n in range(8)),
        limits=Limits(batch_rows=64, buckets=(16,)),
    )
    return Scorer(package, TorchModel(model, Shapes((16, 64)), DEVICE), Patience())


def rows(n, seed=1):
    return np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32)


def by_hand(model, matrix):
    with torch.inference_mode():
        return model(torch.from_numpy(matrix).to(DEVICE)).cpu().numpy()


def test_batches_in_flight_keep_their_scores_apart():
    model = network()
    staging = CudaStaging(model, DEVICE)
    several = [rows(64, seed) for seed in range(6)]
    waits = [staging.submit(matrix) for matrix in several]
    for matrix, wait in zip(several, waits, strict=True):
        np.testing.assert_allclose(wait(), by_hand(model, matrix), rtol=1e-5, atol=1e-6)


def test_a_graph_says_what_the_model_says_bit_for_bit_each_time():
    staging, matrix = CudaStaging(network(), DEVICE), rows(64)
    assert len({staging.submit(matrix)().tobytes() for _ in range(5)}) == 1


def test_a_model_that_looks_at_values_runs_without_a_graph():
    class Looks(nn.Module):
        def forward(self, x):
            return torch.sigmoid(x[:, :1]) if float(x.sum()) > 0 else torch.sigmoid(-x[:, :1])

    staging = CudaStaging(Looks(), DEVICE)
    for seed in range(4):
        matrix = rows(16, seed)
        np.testing.assert_allclose(staging.submit(matrix)(), by_hand(Looks(), matrix), rtol=1e-5)


def test_the_memory_of_a_batch_is_used_again():
    staging = CudaStaging(network(), DEVICE)
    for _ in range(50):
        staging.submit(rows(64))()
    assert [len(slots) for slots in staging._free.values()] == [1]


def test_a_scorer_answers_as_on_a_cpu_at_every_shape():
    model = network()
    scorer = behind(model)
    matrix = rows(1_000)
    np.testing.assert_allclose(scorer(matrix).values, by_hand(model, matrix), rtol=1e-4, atol=1e-5)


def test_a_device_without_memory_for_a_batch_gets_smaller_ones():
    class Hungry(nn.Module):
        def forward(self, x):
            if len(x) > 16:  # more than any device has
                torch.empty(2**50, device=x.device)
            return torch.sigmoid(x[:, :1])

    scorer = behind(Hungry())
    assert set(scorer(rows(100)).buckets.tolist()) == {16}
