"""Variants of a torch.export program: the same model, computed otherwise.

==========  ==========================================================================================================
variant     what it does
==========  ==========================================================================================================
`fp32`      the program as it was exported
`bf16`      matrix products in bfloat16: half of the memory traffic, about three significant digits
`fp16`      the same in float16
`int8`      linear layers on 8-bit weights and inputs; each row has a scale of its own, so a row's score does not
            depend on its company, as it would with one scale for a batch
`compile`   kernels made by `torch.compile`, one for each batch shape; needs a C++ compiler where it serves
==========  ==========================================================================================================

Whether one is faster depends on the device: `driftline model bench` measures it. Whether it is near enough, a package's
examples say.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, fx

Run = Callable[[Tensor], Tensor]

#: torch multiplies matrices of 8-bit numbers on CUDA from so many rows on.
_ROWS_MIN = 32
_LARGEST = 127


def as_variant(module: fx.GraphModule, variant: str, device: str) -> Run:
    """Make what runs a program as one of its variants.

    Parameters
    ----------
    module
        The program, on its device.
    variant
        See above.
    device
        What torch calls it.

    Raises
    ------
    ValueError
        The program has nothing that the variant would compute otherwise.
    """
    if variant in ("bf16", "fp16"):
        return _half(module, torch.bfloat16 if variant == "bf16" else torch.float16, device.partition(":")[0])
    if variant == "int8":
        return with_int8(module)
    if variant == "compile":
        compiled: Run = torch.compile(module, dynamic=False)
        return compiled
    assert variant == "fp32", variant
    return module


def _half(module: Run, dtype: torch.dtype, kind: str) -> Run:
    def run(batch: Tensor) -> Tensor:
        with torch.autocast(kind, dtype=dtype):
            return module(batch)

    return run


def with_int8(module: fx.GraphModule) -> fx.GraphModule:
    """Put 8-bit linear layers in place of a program's own.

    Raises
    ------
    ValueError
        It has none whose sizes are multiples of 8.
    """
    changed = copy.deepcopy(module)
    replaced = 0
    for node in list(changed.graph.nodes):
        layer = _int8_layer(changed, node)
        if layer is None:
            continue
        replaced += 1
        name = f"int8_{node.name}"
        changed.add_submodule(name, layer)
        with changed.graph.inserting_before(node):
            node.replace_all_uses_with(changed.graph.call_module(name, (node.args[0],)))
        changed.graph.erase_node(node)
    if not replaced:
        raise ValueError("it has no linear layer whose sizes are multiples of 8, and int8 changes nothing else")
    changed.graph.eliminate_dead_code()
    changed.recompile()
    return changed


def _int8_layer(module: fx.GraphModule, node: fx.Node) -> "Int8Linear | None":
    if node.target is not torch.ops.aten.linear.default:
        return None
    weight, bias = node.args[1], node.args[2] if len(node.args) > 2 else None
    constant = [part for part in (weight, bias) if part is not None]
    if any(not isinstance(part, fx.Node) or part.op != "get_attr" for part in constant):
        return None
    values = [_attribute(module, str(part.target)) for part in constant if isinstance(part, fx.Node)]
    if any(size % 8 for size in values[0].shape):
        return None
    return Int8Linear(values[0], values[1] if len(values) > 1 else None)


def _attribute(module: torch.nn.Module, path: str) -> Tensor:
    *folders, name = path.split(".")
    for folder in folders:
        module = getattr(module, folder)
    value: Tensor = getattr(module, name)
    return value


class Int8Linear(torch.nn.Module):
    """``x @ weight.T + bias`` on 8-bit integers, summed in 32 bits: exact but for the rounding of weights and inputs.

    Parameters
    ----------
    weight, bias
        float32 [outputs, inputs] and [outputs].
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        whole, scale = _rounded(weight.detach())
        self.register_buffer("weight", whole)
        self.register_buffer("scale", scale[:, 0].clone())
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Multiply: [..., inputs] to [..., outputs]."""
        flat = x.reshape(-1, x.shape[-1])
        whole, scale = _rounded(flat)
        if missing := max(0, _ROWS_MIN - len(whole)):
            whole = torch.nn.functional.pad(whole, (0, 0, 0, missing))
        sums = torch._int_mm(whole, self.weight.t())[: len(flat)]
        out = sums.to(torch.float32) * (scale * self.scale)
        out = out if self.bias is None else out + self.bias
        return out.reshape(*x.shape[:-1], -1)


def _rounded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows as integers of -127 to 127, and what one of them is worth in each row; a row that is not finite stays so."""
    scale = rows.abs().amax(-1, keepdim=True) / _LARGEST
    scale = torch.where(scale == 0, 1.0, scale)
    return torch.nan_to_num(rows / scale).round().to(torch.int8), scale
