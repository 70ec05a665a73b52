"""Sessions of ONNX Runtime: from a string of bytes, bounded in threads, on a CPU or a CUDA device."""

from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime
import structlog

from inference.backends.devices import cpu_threads
from inference.backends.errors import LOST_DEVICE, Fatal, OutOfMemory, first_line

log = structlog.get_logger("inference.backends.onnx_session")

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3
_NO_MEMORY = (
    "Failed to allocate memory",
    "bad allocation",
    "bad_alloc",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def make_session(model: bytes, device: str = "cpu", threads: int | None = None) -> onnxruntime.InferenceSession:
    """Load a graph.

    Parameters
    ----------
    model
        As `inference.backends.onnx_program` gives it: ONNX Runtime opens no file.
    device
        ``cpu`` or ``cuda:N``. Without ONNX Runtime's CUDA provider the CPU computes, and a line of the log says so.
    threads
        As `inference.backends.devices.cpu_threads` has it when absent. They sleep between two batches.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cpu_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    for key, value in {
        "session.load_model_format": "ONNX",
        "session.intra_op.allow_spinning": "0",
        "session.inter_op.allow_spinning": "0",
    }.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(model, options, providers=providers(device))
    if device != "cpu" and session.get_providers()[0] != CUDA:
        log.warning("onnx.computes_on_the_cpu", device=device, remedy="install onnxruntime-gpu and its CUDA libraries")
    return session


def providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """What computes, in order of preference; what the first cannot, the CPU does.

    >>> providers("cpu")
    ['CPUExecutionProvider']
    """
    if device == "cpu" or CUDA not in onnxruntime.get_available_providers():
        return [CPU]
    # TF32 keeps 10 bits of a fraction: scores would differ from the CPU's in the third digit.
    return [(CUDA, {"device_id": device.partition(":")[2] or "0", "use_tf32": "0"}), CPU]


@contextmanager
def by_kind(device: str) -> Iterator[None]:
    """Turn ONNX Runtime's errors on a device into ours; see `inference.backends.errors`.

    >>> with by_kind("cpu"):
    ...     raise RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 1099511627776")
    Traceback (most recent call last):
    inference.backends.errors.OutOfMemory: cpu: BFCArena: Failed to allocate memory for requested buffer of size ...
    """
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(f"{device}: {first_line(error)}") from error
    except Exception as error:  # its exceptions have no common kind but this
        text = str(error)
        if device != "cpu" and any(words in text for words in LOST_DEVICE):
            raise Fatal(f"{device}: {first_line(error)}") from error
        if any(words in text for words in _NO_MEMORY):
            raise OutOfMemory(f"{device}: {first_line(error)}") from error
        raise
