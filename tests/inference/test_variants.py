"""Variants of a program, against what NumPy computes by hand."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from inference import ArtefactError, Limits, ModelPackage, Scorer
from inference.backends import load_artefact
from inference.backends.variants import Int8Linear, as_variant
from streams.wire.schema import Feature

FEATURES = 16


def _written(folder: Path, net: nn.Module) -> Path:
    exported = torch.export.export(
        net.eval(), (torch.zeros(64, FEATURES),), dynamic_shapes=({0: torch.export.Dim("rows", min=1, max=64)},)
    )
    out = io.BytesIO()
    torch.export.save(exported, out)
    folder.mkdir(exist_ok=True)
    (folder / "model.pt2").write_bytes(out.getvalue())
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
    return _written(tmp_path_factory.mktemp("variants"), net)


def package(variant: str = "fp32", artefact: str = "model.pt2") -> ModelPackage:
    return ModelPackage(
        name="m",
        version="v1",
        task="binary",
        artefact=artefact,
        inputs=tuple(Feature(f"x{n}") for n in range(FEATURES)),
        limits=Limits(batch_rows=64, buckets=(16,)),
        variant=variant,
    )


def rows(n: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 2, (n, FEATURES)).astype(np.float32)


@pytest.mark.parametrize(("variant", "apart"), [("bf16", 2e-2), ("fp16", 4e-3), ("int8", 2e-2)])
def test_a_variant_is_near_the_program_and_a_score_does_not_depend_on_its_company(folder, variant, apart):
    plain = Scorer(package(), load_artefact(package(), folder))(rows(64)).values
    scorer = Scorer(package(variant), load_artefact(package(variant), folder))
    scores = scorer(rows(64)).values
    difference = np.abs(scores - plain).max()
    assert 0 < difference < apart
    order = np.random.default_rng(1).permutation(64)
    assert scorer(rows(64)[order]).values.tobytes() == scores[order].tobytes()
    few = scorer(rows(64)[:40]).values  # 24 blank rows in their place
    assert few.tobytes() == scores[:40].tobytes()


def test_an_8_bit_layer_is_integer_arithmetic():
    generator = np.random.default_rng(5)
    weight, bias = generator.normal(size=(8, 16)).astype(np.float32), generator.normal(size=8).astype(np.float32)
    x = generator.normal(size=(3, 5, 16)).astype(np.float32)
    weight_scale = np.abs(weight).max(1) / np.float32(127)
    x_scale = np.abs(x).max(-1, keepdims=True) / np.float32(127)
    whole = np.rint(x / x_scale).astype(np.int64) @ np.rint(weight / weight_scale[:, None]).astype(np.int64).T
    expected = whole * (x_scale * weight_scale) + bias
    layer = Int8Linear(torch.from_numpy(weight), torch.from_numpy(bias))
    assert layer(torch.from_numpy(x)).numpy() == pytest.approx(expected, abs=1e-5)
    assert layer(torch.zeros(2, 16)).numpy() == pytest.approx(np.tile(bias, (2, 1)))
    assert not np.isfinite(layer(torch.full((1, 16), torch.nan)).numpy()).any()  # and is refused as such


def test_a_program_without_linear_layers_has_no_8_bit_variant(tmp_path):
    class Mean(nn.Module):
        def forward(self, matrix: torch.Tensor) -> torch.Tensor:
            return matrix.mean(1, keepdim=True).sigmoid()

    folder = _written(tmp_path, Mean())
    with pytest.raises(ArtefactError, match=r"variant 'int8': it has no linear layer .* take it out of model.toml"):
        load_artefact(package("int8"), folder)


def test_a_class_has_no_variants(tmp_path):
    (tmp_path / "model.py").write_text("class M:\n    pass\n")
    with pytest.raises(ArtefactError, match="variant 'bf16': a Python class is computed as fp32; take it out"):
        load_artefact(package("bf16", "model.py:M"), tmp_path, trust_code=True)


@pytest.mark.system  # a compiler's minute
def test_a_compiled_program_says_the_same(folder):
    plain = Scorer(package(), load_artefact(package(), folder))(rows(64)).values
    compiled = Scorer(package("compile"), load_artefact(package("compile"), folder))
    assert compiled(rows(64)).values == pytest.approx(plain, abs=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("variant", ["bf16", "fp16", "int8"])
def test_on_cuda_a_variant_is_near_the_program(folder, variant):
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    plain = Scorer(package(), load_artefact(package(), folder, "cuda:0"))(rows(64)).values
    scores = Scorer(package(variant), load_artefact(package(variant), folder, "cuda:0"))(rows(64)).values
    assert scores == pytest.approx(plain, abs=2e-2)


def test_the_program_itself_is_left_as_it_was(folder):
    exported = torch.export.load(folder / "model.pt2").module(check_guards=False)
    matrix = torch.from_numpy(rows(64))
    before = exported(matrix)
    as_variant(exported, "int8", "cpu")(matrix)
    assert torch.equal(exported(matrix), before)
