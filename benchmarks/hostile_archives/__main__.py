"""Archives changed at random and made by hand: each is refused or harmless, and no worker's process ends.

    python -m benchmarks.hostile_archives [--mutated 10000] [--seed 1]

Exit code 1 where one crashed what stands for a worker, was refused with anything but a refusal, or took more memory
than it may.
"""

import argparse
import io
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.hostile_archives.by_hand import by_hand
from benchmarks.hostile_archives.mutations import mutated
from benchmarks.hostile_archives.processes import ROWS, End, fate

BAD = ("crashed", "leaked", "odd")


def archives() -> list[bytes]:
    """Ordinary archives: a network, a convolution, a recurrent one, attention, a look-up, and a dynamic batch."""
    import torch
    from torch import nn

    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.out = nn.LSTM(1, 3, batch_first=True), nn.Linear(3, 1)

        def forward(self, matrix: torch.Tensor) -> torch.Tensor:
            return self.out(self.net(matrix.unsqueeze(-1))[0][:, -1])

    class Lookup(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.bag = nn.Embedding(9, 4), nn.EmbeddingBag(9, 4)

        def forward(self, matrix: torch.Tensor) -> torch.Tensor:
            codes = matrix.abs().long().clamp(0, 8)
            one = nn.functional.scaled_dot_product_attention(*[self.table(codes).unsqueeze(1)] * 3)
            return torch.cat([one.flatten(1), self.bag(codes), torch.gather(matrix, 1, codes[:, :1].clamp(max=7))], 1)

    conv = nn.Sequential(nn.Unflatten(1, (2, 4)), nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU())
    plain = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
    made, example = [], torch.zeros(ROWS, 8)
    for net in (plain, nn.Sequential(conv, nn.Flatten(), nn.Linear(16, 1)), Sequence(), Lookup()):
        exported = torch.export.export(net.eval(), (example,))
        made += [_saved(exported), _saved(exported.run_decompositions())]
    rows = torch.export.Dim("rows", min=2, max=4096)
    made.append(_saved(torch.export.export(plain, (example,), dynamic_shapes=({0: rows},))))
    return made


def _saved(program: object) -> bytes:
    import torch

    out = io.BytesIO()
    torch.export.save(program, out)
    return out.getvalue()


def main() -> int:
    """Try them all, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutated", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # what is forked must have no threads
    good, began = archives(), time.monotonic()
    ends: dict[str, list[End]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pt2"
        for archive in good:
            ends["ordinary"].append(fate(archive, file))
        for name, archive in by_hand(good[0]):
            ends["by hand"].append(found := fate(archive, file))
            print(f"  {name:<40} {found.outcome:<8} {found.mb:5.0f} MB  {found.why[:90]}", flush=True)
        for n in range(asked.mutated):
            level, archive = mutated(good, asked.seed, n)
            ends[level].append(found := fate(archive, file))
            if found.outcome in BAD:
                print(f"  {level} {n}: {found}", flush=True)
            if n % 500 == 499:
                print(f"  {n + 1:,} mutated after {time.monotonic() - began:,.0f} s", file=sys.stderr, flush=True)
    return table(ends, asked.seed, torch.__version__)


def table(ends: dict[str, list[End]], seed: int, version: str) -> int:
    """Print how many of each kind ended how; 1 where one ended as none may."""
    print(f"seed {seed}, torch {version}, {ROWS} rows")
    columns = ("refused", "tried", "ran", *BAD)
    print(f"{'kind':<10}{'archives':>9}" + "".join(f"{name:>9}" for name in columns) + f"{'most MB':>9}{'most s':>8}")
    for kind, found in ends.items():
        counts = "".join(f"{sum(end.outcome == name for end in found):>9,}" for name in columns)
        most = f"{max(end.mb for end in found):>9,.0f}{max(end.seconds for end in found):>8.1f}"
        print(f"{kind:<10}{len(found):>9,}{counts}{most}")
    ordinary = [end for end in ends["ordinary"] if end.outcome != "ran"]
    for end in ordinary:
        print(f"  an ordinary one was refused: {end.why}")
    return int(bool(ordinary) or any(end.outcome in BAD for found in ends.values() for end in found))


if __name__ == "__main__":
    sys.exit(main())
