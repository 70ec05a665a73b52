"""Arguments that kernels of torch's do not check themselves, checked before they run.

Found by calling the operators of the allow-list with arguments that do not fit: each of these read outside of its
tensors, or makes a result whose size depends on values.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

_ATEN = torch.ops.aten


class Refused(Exception):
    """What only a damaged or hostile program does; the text names the operator."""


def check_arguments(target: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that the kernel of an operator would not check.

    Parameters
    ----------
    target
        An operator of torch, as ``torch.ops.aten.embedding.default``; one without a guard takes anything.
    args, kwargs
        What it is about to be called with: tensors and plain values.

    Raises
    ------
    Refused
        They do not fit each other.
    """
    guard = _GUARDS.get(target)
    if guard is None:
        return
    arguments = target._schema.arguments
    values = {argument.name: argument.default_value for argument in arguments}
    values |= dict(zip([argument.name for argument in arguments], args, strict=False)) | kwargs
    if not guard(values):
        raise Refused(f"{target} is given arguments that do not fit each other, or sizes that the data say")


def check_node(n: fx.Node) -> None:
    """Refuse an `embedding_bag` whose bags begin anywhere: its kernel follows them out of the list of indices.

    A row's bags begin at multiples of a number, which a program computes by ``arange`` and nothing else.

    Raises
    ------
    Refused
        The beginnings may depend on the rows.
    """
    if n.target not in _BAGS:
        return
    starts = n.args[2] if len(n.args) > 2 else n.kwargs.get("offsets")
    if not (isinstance(starts, fx.Node) and starts.target in _RANGES and list(starts.users) == [n]):
        raise Refused(f"{n.target} begins bags where the data say; give it indices of [rows, n]")


def _recurrent(gates: int) -> Callable[[dict[str, Any]], bool]:
    def fits(of: dict[str, Any]) -> bool:
        batch, hidden, weights = of["input"], of["hx"], of["params"]
        states = list(hidden) if isinstance(hidden, (list, tuple)) else [hidden]
        ways, each = 2 if of["bidirectional"] else 1, 4 if of["has_biases"] else 2
        stacked = of["num_layers"] * ways
        if batch.dim() != 3 or stacked < 1 or len(states) != (2 if gates == 4 else 1):
            return False
        size, rows = states[0].shape[-1:].numel(), batch.shape[0 if of["batch_first"] else 1]
        if len(weights) != stacked * each or any(tuple(state.shape) != (stacked, rows, size) for state in states):
            return False
        for layer in range(stacked):
            layer_weights = weights[layer * each : (layer + 1) * each]
            width = batch.shape[2] if layer < ways else size * ways
            shapes = [(gates * size, width), (gates * size, size), (gates * size,), (gates * size,)]
            if [tuple(weight.shape) for weight in layer_weights] != shapes[:each]:
                return False
        return True

    return fits


def _one_a_channel(of: dict[str, Any]) -> bool:
    channels = of["input"].shape[1] if of["input"].dim() > 1 else -1
    given = [of.get(name) for name in ("weight", "bias", "running_mean", "running_var")]
    return all(tensor is None or tuple(tensor.shape) == (channels,) for tensor in given)


def _no_mask(of: dict[str, Any]) -> bool:
    return all(index is None or index.dtype not in (torch.bool, torch.uint8) for index in of["indices"])


def _known_modes(of: dict[str, Any]) -> bool:
    return of["interpolation_mode"] in (0, 1, 2) and of["padding_mode"] in (0, 1, 2)


def _named_classes(of: dict[str, Any]) -> bool:
    return bool(of["num_classes"] > 0)  # without, there are as many as the data say


def _known_bags(of: dict[str, Any]) -> bool:
    starts, count = of["offsets"], of["indices"].numel()
    if starts.dim() != 1 or of["indices"].dim() != 1 or of["mode"] not in (0, 1, 2):
        return False
    return bool((starts[1:] >= starts[:-1]).all()) and bool(((starts >= 0) & (starts <= count)).all())


_GUARDS: dict[Any, Callable[[dict[str, Any]], bool]] = {
    _ATEN.lstm.input: _recurrent(4),
    _ATEN.gru.input: _recurrent(3),
    _ATEN.rnn_tanh.input: _recurrent(1),
    _ATEN.rnn_relu.input: _recurrent(1),
    _ATEN._native_batch_norm_legit.no_stats: _one_a_channel,
    _ATEN._native_batch_norm_legit_no_training.default: _one_a_channel,
    _ATEN.index.Tensor: _no_mask,
    _ATEN.grid_sampler.default: _known_modes,
    _ATEN.grid_sampler_2d.default: _known_modes,
    _ATEN.one_hot.default: _named_classes,
    _ATEN.embedding_bag.padding_idx: _known_bags,
    _ATEN._embedding_bag.default: _known_bags,
}
_BAGS = (_ATEN.embedding_bag.padding_idx, _ATEN._embedding_bag.default)
_RANGES = (_ATEN.arange.default, _ATEN.arange.start, _ATEN.arange.start_step)
