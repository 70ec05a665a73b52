"""Batches on their way to a CUDA device and back: while one computes, the next is copied.

host      | copy to pinned memory |                          | read |
copies                            |- to the device -|
computes                                            |- model -|- back -|

A batch is copied once each way, through memory that the device reads by itself. The model's kernels for a batch shape
are recorded once, as a CUDA graph, and launched in one go from then on; a model that cannot be recorded, because it
looks at values on its way, runs as it is.
"""

from collections.abc import Callable

import numpy as np
import torch

from inference.backends.torch_errors import by_kind

#: Runs before a graph is recorded: libraries choose their kernels and take their memory in the first ones.
_WARM_RUNS = 2
#: A graph must say what the model says.
_RTOL, _ATOL = 1e-3, 1e-4

Run = Callable[[torch.Tensor], torch.Tensor]


class _Slot:
    """Memory of one batch in flight: pinned, for its rows and its scores, and the events of its copies."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.rows = torch.empty(shape, dtype=torch.float32, pin_memory=True)
        self.scores: torch.Tensor | None = None
        self.copied, self.done = torch.cuda.Event(), torch.cuda.Event()  # type: ignore[no-untyped-call]


class _Graph:
    """A model at one batch shape, recorded."""

    def __init__(self, run: Run, rows: torch.Tensor, stream: torch.cuda.Stream) -> None:
        self._rows = rows.clone()
        self._graph = torch.cuda.CUDAGraph()
        for _ in range(_WARM_RUNS):
            plain = run(self._rows)
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            self._scores = run(self._rows)
        self._graph.replay()
        if not torch.allclose(self._scores, plain, rtol=_RTOL, atol=_ATOL, equal_nan=True):
            raise RuntimeError("the recorded model says something else")

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Run a batch; the scores are overwritten by the next."""
        self._rows.copy_(rows)
        self._graph.replay()
        return self._scores


class CudaStaging:
    """Runs a function of a float32 tensor on a CUDA device, one batch behind the other.

    Parameters
    ----------
    run
        The model, on the device.
    device
        ``cuda:0``.
    """

    def __init__(self, run: Run, device: str) -> None:
        self._run, self._device = run, device
        self._copies: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._computes: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._free: dict[tuple[int, ...], list[_Slot]] = {}
        self._graphs: dict[tuple[int, ...], Run] = {}

    @torch.inference_mode()
    def submit(self, matrix: np.ndarray) -> Callable[[], np.ndarray]:
        """Have a batch computed, float32 [rows, features]; returns what waits for its scores, to be called once.

        Raises
        ------
        OutOfMemory, Fatal
            See `inference.backends.errors`; also by what waits.
        """
        with by_kind(self._device), torch.cuda.device(self._device):
            free = self._free.setdefault(matrix.shape, [])
            slot = free.pop() if free else _Slot(matrix.shape)
            slot.rows.copy_(torch.from_numpy(matrix))
            with torch.cuda.stream(self._copies):
                rows = slot.rows.to(self._device, non_blocking=True)
                slot.copied.record(self._copies)
            self._computes.wait_event(slot.copied)
            rows.record_stream(self._computes)
            with torch.cuda.stream(self._computes):
                scores = self._at(rows)(rows).to(torch.float32)
                if slot.scores is None or slot.scores.shape != scores.shape:
                    slot.scores = torch.empty(scores.shape, dtype=torch.float32, pin_memory=True)
                slot.scores.copy_(scores, non_blocking=True)
                slot.done.record(self._computes)
        return lambda: self._read(slot)

    def _read(self, slot: _Slot) -> np.ndarray:
        with by_kind(self._device):
            slot.done.synchronize()
        assert slot.scores is not None
        scores: np.ndarray = slot.scores.numpy().copy()
        self._free[tuple(slot.rows.shape)].append(slot)
        return scores

    def _at(self, rows: torch.Tensor) -> Run:
        """The model at a batch shape: recorded where it can be."""
        shape = tuple(rows.shape)
        if shape not in self._graphs:
            try:
                self._graphs[shape] = _Graph(self._run, rows, self._computes)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:  # it runs as it is; where the device is lost, the next call says so
                self._graphs[shape] = self._run
        return self._graphs[shape]
