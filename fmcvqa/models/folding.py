"""A trunk's graph with less to compute and the same maps to rounding."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fmcvqa.models.backbones import backbone_spec, bare_network
from fmcvqa.models.trunk import Trunk


def folded(trunk: Trunk) -> fx.GraphModule:
    """A copy of the trunk's graph without batch normalisation and input re-scaling, which pools what is narrowest."""
    body = fx.GraphModule(copy.deepcopy(trunk.body), copy.deepcopy(trunk.body.graph)).eval()
    _fold_normalisation(body)
    if trunk.transform_input:
        _fold_rescaling(body)
    _pool_behind_convolutions(body)
    _keep_means(body)
    body.graph.eliminate_dead_code()
    body.delete_all_unused_submodules()
    body.recompile()
    return body


def _fold_normalisation(body: fx.GraphModule) -> None:
    modules = dict(body.named_modules())
    for node in list(body.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        source = node.args[0] if type(norm) is nn.BatchNorm2d else None
        if not isinstance(source, fx.Node) or len(source.users) > 1:
            continue  # a convolution that is itself a tap keeps its own output
        convolution = modules.get(str(source.target)) if source.op == "call_module" else None
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            body.set_submodule(str(source.target), fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(source)
            body.graph.erase_node(node)


def _fold_rescaling(body: fx.GraphModule) -> None:
    """Have the first convolution, which pads nothing, take ImageNet-normalised input instead of input in [-1, 1].

    With the re-scaling ``a x + b`` that is ``W * (a x + b) = (W a) * x + sum(W b)``.
    """
    nodes = list(body.graph.nodes)
    first = next(node for node in nodes if node.op == "call_module")
    convolution = body.get_submodule(str(first.target))
    if not isinstance(convolution, nn.Conv2d) or convolution.padding != (0, 0):
        raise TypeError(f"a re-scaled input ends in a convolution without padding, not in {convolution}")
    with torch.device("meta"):
        rescale: Any = bare_network(backbone_spec("inception_v3"), transform_input=True)._transform_input
    shift = rescale(torch.zeros(1, 3, 1, 1, dtype=torch.float64))
    scale = rescale(torch.ones(1, 3, 1, 1, dtype=torch.float64)) - shift
    weight = convolution.weight.double()
    bias = (weight * shift).sum((1, 2, 3)) + (0.0 if convolution.bias is None else convolution.bias.double())
    convolution.weight = nn.Parameter((weight * scale).float(), requires_grad=False)
    convolution.bias = nn.Parameter(bias.float(), requires_grad=False)
    first.args = (next(node for node in nodes if node.op == "placeholder"),)


class _PooledLast(nn.Module):
    """A 1x1 convolution of pooled maps as pooling of its own maps, which are fewer: sums in another order.

    The bias is no part of the zeros that pooling puts around a map, and is added in float32 whatever the maps are: its
    bits are kept as whole numbers, which no conversion to half precision touches.
    """

    _bias: Tensor | None

    def __init__(self, convolution: nn.Conv2d, pooling: fx.Node) -> None:
        super().__init__()
        bias, convolution.bias = convolution.bias, None
        self.register_buffer("_bias", None if bias is None else bias.detach().float().view(torch.int32))
        self.convolution = convolution
        self.arguments: tuple[Any, ...] = pooling.args[1:]
        self.options: dict[str, Any] = dict(pooling.kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, c, h, w]`` to ``[n, d, h', w']``."""
        pooled = F.avg_pool2d(self.convolution(x), *self.arguments, **self.options)
        if self._bias is None:
            return pooled
        return (pooled + self._bias.view(torch.float32).view(-1, 1, 1)).to(pooled.dtype)


def _pool_behind_convolutions(body: fx.GraphModule) -> None:
    """Have average pooling and the 1x1 convolution behind it change places, as each block of InceptionV3 has them."""
    for pooling in list(body.graph.nodes):
        if pooling.target is not F.avg_pool2d or len(pooling.users) != 1:
            continue  # what is itself a tap is needed as it is
        user = next(iter(pooling.users))
        convolution = body.get_submodule(str(user.target)) if user.op == "call_module" else None
        if isinstance(convolution, nn.Conv2d) and _narrows(convolution):
            body.set_submodule(str(user.target), _PooledLast(convolution, pooling))
            user.replace_input_with(pooling, pooling.args[0])
            body.graph.erase_node(pooling)


class _Means(nn.Module):
    """The mean of each channel in float32: of channels that hardly vary, half precision would leave a few values."""

    def forward(self, x: Tensor) -> Tensor:
        """``[n, c, h, w]`` to float32 ``[n, c, 1, 1]``."""
        return x.mean((2, 3), keepdim=True, dtype=torch.float32)


def _keep_means(body: fx.GraphModule) -> None:
    """Have means of whole maps that are taps, and go into nothing else, computed by :class:`_Means`."""
    for node in body.graph.nodes:
        pooling = body.get_submodule(str(node.target)) if node.op == "call_module" else None
        whole = isinstance(pooling, nn.AdaptiveAvgPool2d) and pooling.output_size in (1, (1, 1))
        if whole and all(user.op == "output" for user in node.users):
            body.set_submodule(str(node.target), _Means())


def _narrows(convolution: nn.Conv2d) -> bool:
    """Whether it weighs the channels of each pixel alone, and gives fewer."""
    pixelwise = (convolution.kernel_size, convolution.stride, convolution.padding) == ((1, 1), (1, 1), (0, 0))
    return pixelwise and convolution.out_channels < convolution.in_channels
