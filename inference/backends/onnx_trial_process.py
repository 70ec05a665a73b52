"""The process in which an ONNX graph runs for the first time; see `inference.backends.trial`.

    python -m inference.backends.onnx_trial_process ROWS,ROWS... FEATURES MEMORY_BYTES CPU_S  < graph

It prints ``passed``, or why not, or dies.
"""

import sys
from contextlib import suppress
from typing import Any

import numpy as np

from inference.backends.errors import OutOfMemory, first_line
from inference.backends.onnx_columns import blank_inputs
from inference.backends.onnx_session import by_kind, make_session
from inference.backends.trial_limits import limit


def run(model: bytes, shapes: list[int], features: int) -> str:
    """Run a graph on blank rows, and on others, whose failures are theirs; returns why it is refused.

    Parameters
    ----------
    shapes
        Rows of a batch, ascending.
    features
        Columns of the matrix, where the graph takes one of any width.
    """
    rows = shapes[-1]
    try:
        with by_kind("cpu"):
            session = make_session(model, threads=1)
        for rows in shapes:
            with by_kind("cpu"):
                session.run(None, blank_inputs(session.get_inputs(), rows, features))
    except OutOfMemory:
        return f"a batch of {rows} rows takes more memory than a model may; lower limits.batch_rows"
    except Exception as error:  # ONNX Runtime raises anything
        return f"it fails on a batch of {rows} blank rows: {type(error).__name__}: {first_line(error)[:200]}"
    draw = np.random.default_rng(1)
    for scale in (3.0, np.nan):
        with suppress(Exception):  # a row's own fault
            blank = blank_inputs(session.get_inputs(), rows, features)
            session.run(None, {name: _drawn(values, draw, scale) for name, values in blank.items()})
    return ""


def _drawn(values: np.ndarray, draw: np.random.Generator, scale: float) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    drawn: Any = draw.standard_normal(values.shape) * scale
    return np.asarray(drawn, values.dtype)


def main() -> None:
    """Read a graph from the standard input and try it."""
    shapes, features, memory_bytes, cpu_s = [int(rows) for rows in sys.argv[1].split(",")], *map(int, sys.argv[2:])
    model = sys.stdin.buffer.read()
    limit(memory_bytes + 3 * len(model), cpu_s)
    sys.stdout.write(run(model, shapes, features) or "passed")


if __name__ == "__main__":
    main()
