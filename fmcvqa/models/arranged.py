"""Convolutions as a CPU computes them fastest: weights laid out by oneDNN once, the ReLU behind within.

Torch's own way lays weights out at each call, and writes a map, reads it and writes it again for the ReLU. The two
operations used here are those that torch.compile puts in its place; called directly they need no compiler, and biases
stay in float32 beside weights in half precision.
"""

from __future__ import annotations

import threading
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from fmcvqa.models.rounding import rounded

_ARRANGING = threading.Lock()
_MKLDNN: Any = torch.ops.mkldnn


def can_arrange() -> bool:
    """Whether this torch has oneDNN."""
    return bool(torch._C._has_mkldnn)


def arrange(body: fx.GraphModule, dtype: torch.dtype) -> None:
    """Have a graph's convolutions computed by :class:`ArrangedConvolution`, each with a ReLU that alone follows it.

    Such a ReLU makes 0 of what is not a number, which so would not be noticed. With finite weights that needs numbers
    beyond the range of float32 and bfloat16; in float16, whose range a network may leave, each ReLU stays its own.

    Args:
        body: The graph, on the CPU, in float32, its weights finite.
        dtype: Of weights and maps.
    """
    for name, module in list(body.named_modules()):
        if type(module) is nn.Conv2d and isinstance(module.padding, tuple) and module.padding_mode == "zeros":
            body.set_submodule(name, ArrangedConvolution(module, dtype))
    for node in list(body.graph.nodes):
        convolution = body.get_submodule(str(node.target)) if node.op == "call_module" else None
        user = next(iter(node.users)) if len(node.users) == 1 and dtype != torch.float16 else None
        if isinstance(convolution, ArrangedConvolution) and user is not None and is_relu(body, user):
            convolution.then = "relu"
            user.replace_all_uses_with(node)
            body.graph.erase_node(user)
    body.delete_all_unused_submodules()
    body.recompile()


class ArrangedConvolution(nn.Module):
    """A convolution of channels-last maps on a CPU, by weights in oneDNN's layout for the size of map that comes.

    Which layout is wanted differs by size, by the number of torch's threads and, with AMX, by that of the maps; weights
    in another are laid out at each call, which may take longer than the convolution. So a map of another size has them
    laid out anew for good, by the thread that it comes in.

    Args:
        convolution: Whose weights are taken, in float32; left as it is.
        dtype: Of weights and maps; half precision by :func:`rounded`, biases stay in float32.
    """

    def __init__(self, convolution: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.then = "none"
        self._where = [list(convolution.padding), list(convolution.stride), list(convolution.dilation)]
        self._groups, self._size, self._maps = convolution.groups, torch.Size(), 1
        weight = convolution.weight.detach()  # no parameter: torch's own conversions and moves know no layouts
        self._weight = weight if dtype == torch.float32 else rounded(weight, dtype)
        self._bias = None if convolution.bias is None else convolution.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """``[n, c, h, w]`` to ``[n, d, h', w']``."""
        if torch.compiler.is_compiling():  # after a frame of this size was here
            made: Tensor = torch.ops.fmcvqa.convolution(*self._arguments(x))
            return made
        if x.shape[2:] != self._size:
            self._lay_out(x)
        return _convolve(*self._arguments(x))

    def expect(self, maps: int) -> None:
        """Lay weights out anew when the next map comes, whatever its size, for so many of it at once."""
        self._size, self._maps = torch.Size(), maps

    def _arguments(self, x: Tensor) -> tuple[Any, ...]:
        return (x, self._weight, self._bias, *self._where, self._groups, self.then)

    def _lay_out(self, x: Tensor) -> None:
        with _ARRANGING:  # others may compute meanwhile: any layout is right
            if x.shape[2:] != self._size:
                weight = self._weight.to_dense() if self._weight.is_mkldnn else self._weight
                options = (*self._where, self._groups, [self._maps, *x.shape[1:]])
                self._weight = _MKLDNN._reorder_convolution_weight(weight, *options)
                self._size = x.shape[2:]


def is_relu(body: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node of a graph is a ReLU."""
    if node.op == "call_module":
        return type(body.get_submodule(str(node.target))) is nn.ReLU
    return node.target in (F.relu, torch.relu)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    made: Tensor = _MKLDNN._convolution_pointwise(x, weight, bias, *options, [], "")
    return made


# An operation of its own for torch.compile, which would bring the others' arguments to the type of the bias.
_library: Any = torch.library
_OPERATIONS = _library.Library("fmcvqa", "DEF")
_OPERATIONS.define(
    "convolution(Tensor x, Tensor weight, Tensor? bias, int[] padding, int[] stride, int[] dilation, int groups, "
    "str then) -> Tensor"
)
for _key in ("CPU", "MkldnnCPU"):
    _OPERATIONS.impl("convolution", _convolve, _key)


def _shaped(x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    padding, stride, dilation, groups, _ = options
    dense = torch.empty(weight.shape, dtype=x.dtype, device=x.device)
    made: Tensor = torch.ops.aten.convolution(x, dense, None, stride, padding, dilation, False, [0, 0], groups)
    return made.contiguous(memory_format=torch.channels_last)


_library.register_fake("fmcvqa::convolution", _shaped)
