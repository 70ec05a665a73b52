"""The process in which an archive's program runs for the first time; see `inference.backends.trial`.

    python -m inference.backends.trial_process ROWS,ROWS... FEATURES MEMORY_BYTES CPU_S  < archive

It prints ``passed``, or why not, or dies.
"""

import io
import sys
from contextlib import suppress
from typing import Any

import torch
from torch import fx

from inference.backends.pt2_guards import Refused, check_arguments, check_node
from inference.backends.trial_limits import limit

#: Operators that hold a graph, and which argument it is; its own arguments follow.
_CONTROL = {
    torch.ops.higher_order.wrap_with_set_grad_enabled: 1,
    torch.ops.higher_order.wrap_with_autocast: 4,
}


class Careful(fx.Interpreter):
    """Runs a program operator by operator, and both ways of every ``cond``."""

    def __init__(self, module: torch.nn.Module, bytes_max: int) -> None:
        super().__init__(module)
        self._bytes_max = bytes_max

    def run_node(self, n: fx.Node) -> Any:
        """Check where the arguments come from, run, check the result."""
        check_node(n)
        result = super().run_node(n)
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self._check_result(n, tensor)
        return result

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Check the arguments, and go into what holds a graph of its own.

        Parameters
        ----------
        target, args, kwargs
            As of ``torch.fx.Interpreter.call_function``: the operator, and what it is called with.
        """
        check_arguments(target, args, kwargs)
        if target is torch.ops.higher_order.cond:
            _, then, otherwise, operands = args
            for branch in (then, otherwise):
                self._go_into(branch, operands)
        elif target in _CONTROL:
            graphs_from = _CONTROL[target]
            self._go_into(args[graphs_from], args[graphs_from + 1 :])
        return super().call_function(target, args, kwargs)

    def _go_into(self, graph: torch.nn.Module, operands: tuple[Any, ...]) -> None:
        given = [operand.clone() if isinstance(operand, torch.Tensor) else operand for operand in operands]
        Careful(graph, self._bytes_max).run(*given)

    def _check_result(self, n: fx.Node, tensor: torch.Tensor) -> None:
        if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise Refused(f"{n.target} makes a tensor that is not dense")
        # Also where it only repeats elements: the next operator may write them out.
        if tensor.numel() * tensor.element_size() > self._bytes_max:
            raise Refused(f"{n.target} makes a tensor of {tuple(tensor.shape)}; lower limits.batch_rows")


@torch.inference_mode()
def run(archive: bytes, rows: int, features: int, memory_bytes: int) -> str:
    """Run a program on blank rows, and on others, whose failures are theirs; returns why it is refused, or "".

    Parameters
    ----------
    archive
        As `inference.backends.pt2_archive.read_program` writes it anew.
    rows, features
        Of the batch.
    memory_bytes
        The most that one result may take.
    """
    large = f"a batch of {rows} rows takes more than {memory_bytes:,} bytes; lower limits.batch_rows"
    try:
        module = torch.export.load(io.BytesIO(archive)).module(check_guards=False)
        Careful(module, memory_bytes).run(torch.zeros(rows, features))
    except Refused as error:
        return str(error)
    except MemoryError:
        return large
    except Exception as error:  # torch raises anything, down to KeyError and SyntaxError
        text = (str(error).strip() or "no reason given").splitlines()[0]
        blank = f"it fails on a batch of {rows} blank rows: {type(error).__name__}: {text[:200]}"
        return large if "allocate" in text else blank
    draw = torch.Generator().manual_seed(1)
    for scale in (3.0, float("nan")):
        with suppress(Exception):  # a row's own fault, as an index that it names
            module(torch.randn(rows, features, generator=draw) * scale)
    return ""


def main() -> None:
    """Read an archive from the standard input and try it."""
    shapes, features, memory_bytes, cpu_s = [int(rows) for rows in sys.argv[1].split(",")], *map(int, sys.argv[2:])
    archive = sys.stdin.buffer.read()
    torch.set_num_threads(1)
    limit(memory_bytes + 3 * len(archive), cpu_s)
    refusals = (run(archive, rows, features, memory_bytes) for rows in shapes)
    sys.stdout.write(next(filter(None, refusals), "passed"))


if __name__ == "__main__":
    main()
