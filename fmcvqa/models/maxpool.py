"""Maximum pooling of maps in bfloat16 on a CPU, which torch widens to float32 number by number."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from fmcvqa.models.arranged import is_relu


def pool_by_bits(body: fx.GraphModule) -> None:
    """Have maps behind ReLUs pooled by :class:`BitwiseMaxPool`, where the windows lie within them.

    Args:
        body: The graph, before ReLUs join what is in front of them.
    """
    for node in list(body.graph.nodes):
        pooling = _max_pool(body, node)
        if pooling is not None and _is_positive(body, node.args[0]):
            name = f"bitwise_{node.name}"
            body.add_submodule(name, pooling)
            with body.graph.inserting_before(node):
                node.replace_all_uses_with(body.graph.call_module(name, (node.args[0],)))
            body.graph.erase_node(node)
    body.delete_all_unused_submodules()
    body.recompile()


class BitwiseMaxPool(nn.Module):
    """Maximum pooling of maps without negative numbers: the bits of such, read as whole numbers, are in the same order.

    Rows first, then columns, as many numbers at once as the processor compares.

    Args:
        size: Side of a window.
        stride: From one window to the next.
    """

    def __init__(self, size: int, stride: int) -> None:
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x: Tensor) -> Tensor:
        """bfloat16 ``[n, c, h, w]``, of whose numbers none is below 0, to ``[n, c, h', w']``."""
        return self._largest(self._largest(x.view(torch.int16), 2), 3).view(x.dtype)

    def _largest(self, bits: Tensor, axis: int) -> Tensor:
        last = (bits.shape[axis] - self.size) // self.stride * self.stride
        ahead: tuple[Any, ...] = (slice(None),) * axis
        first, *others = (bits[(*ahead, slice(k, k + last + 1, self.stride))] for k in range(self.size))
        found = first
        for other in others:
            found = torch.maximum(found, other) if found is first else torch.maximum(found, other, out=found)
        return found


def _max_pool(body: fx.GraphModule, node: fx.Node) -> BitwiseMaxPool | None:
    """The same pooling by bits; None for another node, or where windows reach over the maps' edges."""
    if node.op == "call_module":
        module = body.get_submodule(str(node.target))
        options = vars(module) if type(module) is nn.MaxPool2d else None
    else:
        named = dict(zip(("kernel_size", "stride", "padding", "dilation", "ceil_mode"), node.args[1:], strict=False))
        options = {**named, **node.kwargs} if node.target is F.max_pool2d else None
    if options is None:
        return None
    size, stride = options["kernel_size"], options.get("stride") or options["kernel_size"]
    plain = (options.get("padding", 0), options.get("dilation", 1), options.get("ceil_mode", False)) == (0, 1, False)
    square = isinstance(size, int) and isinstance(stride, int) and not options.get("return_indices", False)
    return BitwiseMaxPool(size, stride) if plain and square else None


def _is_positive(body: fx.GraphModule, node: Any) -> bool:
    """Whether a map is known to have no negative number."""
    if node.target is torch.cat:
        return all(_is_positive(body, part) for part in node.args[0])
    pooled = node.op == "call_module" and type(body.get_submodule(str(node.target))) is BitwiseMaxPool
    return pooled or is_relu(body, node)
