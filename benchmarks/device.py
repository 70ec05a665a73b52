"""How full a device is kept: decoded blocks in, encoded predictions out, against the bare model on the same batches.

    python -m benchmarks.device [--device cuda] [--models mlp resnet50 encoder] [--rounds 7] [--seconds 4] [--json FILE]

Runs where only torch, numpy and msgspec are installed. Each round times both, in alternating order, over the same
micro-batches. Bare: each batch is copied to the device, computed, and copied back, in a loop. Ours: micro-batches of
rows pass through the scorer (checks, padding, batches in flight); where they compute for long, another thread makes
predictions of the one before meanwhile, as a worker's pipeline does. Weights are random, seeded; sizes are those of the
architectures.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import nn

from inference.backends.backend import Shapes
from inference.backends.torch_model import TorchModel
from inference.packages.model_toml import Limits, ModelPackage
from inference.scoring.messages import predictions, scored_runs
from inference.serving.scorer import Scorer, Scores
from streams.runtime.stage import OVERLAP_FROM_MS
from streams.wire.block import Block
from streams.wire.rows import Rows
from streams.wire.schema import Feature, FeatureSchema

#: What each model should reach, as a share of the bare loop.
GOALS = {"mlp": 0.60, "resnet50": 0.95, "encoder": 0.95}
SEED, NOW_MS = 1, 1_700_000_000_000


class Bottleneck(nn.Module):
    """A residual block of a ResNet-50."""

    def __init__(self, wide: int, narrow: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(wide, narrow, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()),
            *(nn.Conv2d(narrow, narrow, 3, stride, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()),
            *(nn.Conv2d(narrow, out, 1, bias=False), nn.BatchNorm2d(out)),
        )
        same = wide == out and stride == 1
        self.skip = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(wide, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.skip(x))


def resnet50(side: int) -> nn.Module:
    """A network of ResNet-50's size; a row is an image of 3 x side x side."""
    layers: list[nn.Module] = [nn.Unflatten(1, (3, side, side)), nn.Conv2d(3, 64, 7, 2, 3, bias=False)]
    layers += [nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    wide = 64
    for narrow, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for n in range(blocks):
            layers.append(Bottleneck(wide, narrow, narrow * 4, stride if n == 0 else 1))
            wide = narrow * 4
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, 1), nn.Sigmoid())


class Encoder(nn.Module):
    """A transformer of MiniLM-L6's size; a row is its tokens' ids."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(30_522, 384), nn.Embedding(tokens, 384)
        layer = nn.TransformerEncoderLayer(384, 12, 1_536, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
        self.out = nn.Linear(384, 1)
        self.register_buffer("at", torch.arange(tokens))

    def forward(self, matrix: torch.Tensor) -> torch.Tensor:
        seen = self.layers(self.words(matrix.long()) + self.places(self.at))
        return torch.sigmoid(self.out(seen.mean(1)))


def mlp() -> nn.Module:
    """A small network for a table of 30 columns."""
    return nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid())


def subjects(device: str) -> dict[str, tuple[Callable[[], nn.Module], int, int, int]]:
    """By name: what makes the model, its features, rows of a batch, and batches of a micro-batch."""
    side, images, texts = (224, 64, 256) if device != "cpu" else (32, 16, 8)
    return {
        "mlp": (mlp, 30, 512, 8),
        "resnet50": (lambda: resnet50(side), 3 * side * side, images, 4),
        "encoder": (lambda: Encoder(128), 128, texts, 4),
    }


class Subject:
    """One model, bare and as Driftline serves it, with the micro-batches that both get."""

    def __init__(self, name: str, device: str) -> None:
        make, features, self.bucket, batches = subjects(device)[name]
        torch.manual_seed(SEED)
        self.device, self.model = device, make().eval().to(device)
        inputs = tuple(Feature(f"f{n}") for n in range(features))
        limits = Limits(batch_rows=self.bucket)
        package = ModelPackage(name=name, version="v1", task="binary", artefact="m.py:M", inputs=inputs, limits=limits)
        self.scorer = Scorer(package, TorchModel(self.model, Shapes((self.bucket,)), device))
        self.rows = self.bucket * batches
        rng = np.random.default_rng(SEED)
        draw = (
            rng.integers(0, 30_000, (self.rows, features))
            if name == "encoder"
            else rng.normal(size=(self.rows, features))
        )
        self.matrix = draw.astype(np.float32)
        self.block = Block.of("requests", 0, [b""] * self.rows, time=NOW_MS)
        ids, at = [f"r{n}" for n in range(self.rows)], np.arange(self.rows)
        ts, row = np.full(self.rows, NOW_MS), np.zeros(self.rows, np.int32)
        self.decoded = Rows(FeatureSchema(inputs), self.matrix, {}, ids, ts, at, row)

    @torch.inference_mode()
    def bare(self, seconds: float) -> float:
        """Rows a second of a loop by hand."""
        rows, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for first in range(0, self.rows, self.bucket):
                batch = torch.from_numpy(self.matrix[first : first + self.bucket]).to(self.device)
                self.model(batch).to("cpu", torch.float32).numpy()
            rows += self.rows
        return rows / (time.perf_counter() - began)

    def ours(self, seconds: float) -> float:
        """Rows a second from decoded rows to encoded predictions; in two threads where a worker would."""
        slow = self.model_ms() > OVERLAP_FROM_MS
        rows, began = 0, time.perf_counter()
        with ThreadPoolExecutor(1) as computing:
            waiting = [computing.submit(self.scorer, self.matrix)] if slow else []
            while time.perf_counter() - began < seconds:
                if not slow:
                    rows += len(self.encoded(self.scorer(self.matrix)))
                    continue
                waiting.append(computing.submit(self.scorer, self.matrix))  # while that one computes, this is encoded:
                rows += len(self.encoded(waiting.pop(0).result()))
            for last in waiting:
                rows += len(self.encoded(last.result()))
        return rows / (time.perf_counter() - began)

    def model_ms(self) -> float:
        """How long a micro-batch computes."""
        return _seconds(lambda: self.scorer(self.matrix)) * 1000

    def encoded(self, scores: Scores) -> list[object]:
        """Predictions of a micro-batch, as they leave."""
        return [
            message
            for scored in scored_runs(self.scorer.package, "champion", self.decoded, scores)
            for message in predictions(scored, self.block, NOW_MS)
        ]

    def parts_us(self) -> dict[str, float]:
        """Microseconds a row of each part alone: the model's calls, what the scorer adds, and encoding."""
        scores = self.scorer(self.matrix)
        bare = 1e6 / self.bare(1.0)
        scorer = min(_seconds(lambda: self.scorer(self.matrix)) for _ in range(5)) / self.rows * 1e6
        encode = min(_seconds(lambda: self.encoded(scores)) for _ in range(5)) / self.rows * 1e6
        return {"model": bare, "scorer adds": scorer - bare, "encode": encode}


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measured(name: str, device: str, rounds: int, seconds: float) -> dict[str, object]:
    """Both, round by round, in alternating order; the ratio is taken within a round."""
    subject = Subject(name, device)
    subject.bare(seconds / 4), subject.ours(seconds / 4)
    pairs: list[tuple[float, float]] = []
    for n in range(rounds):
        if n % 2:
            ours = subject.ours(seconds)
            pairs.append((subject.bare(seconds), ours))
        else:
            bare = subject.bare(seconds)
            pairs.append((bare, subject.ours(seconds)))
    ratios = sorted(ours / bare for bare, ours in pairs)
    return {
        "model": name,
        "batch_rows": subject.bucket,
        "bare_rows_s": statistics.median(bare for bare, _ in pairs),
        "ours_rows_s": statistics.median(ours for _, ours in pairs),
        "ratio": statistics.median(ratios),
        "least": ratios[0],
        "most": ratios[-1],
        "goal": GOALS[name],
        "us_a_row": {part: round(us, 3) for part, us in subject.parts_us().items()},
    }


def main() -> int:
    """Measure, print a table; exit code 1 where a model misses its goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="+", choices=list(GOALS), default=list(GOALS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    on = "cuda:0" if asked.device == "cuda" else asked.device
    what = torch.cuda.get_device_name(on) if on != "cpu" else f"{torch.get_num_threads()} threads at start"
    facts = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    facts |= {"msgspec": msgspec.__version__, "device": f"{on}, {what}", "seed": str(SEED)}
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"{'model':<10}{'batch':>6}{'bare rows/s':>13}{'ours':>12}{'ratio':>8}{'least':>8}{'most':>8}{'goal':>7}")
    results = []
    for name in asked.models:
        found = measured(name, on, asked.rounds, asked.seconds)
        results.append(found)
        print(
            f"{name:<10}{found['batch_rows']:>6}{found['bare_rows_s']:>13,.0f}{found['ours_rows_s']:>12,.0f}"
            f"{found['ratio']:>8.3f}{found['least']:>8.3f}{found['most']:>8.3f}{found['goal']:>7.2f}"
            f"   us a row: {found['us_a_row']}",
            flush=True,
        )
    if asked.json:
        asked.json.write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")
    return int(any(found["ratio"] < found["goal"] for found in results))


if __name__ == "__main__":
    sys.exit(main())
