"""A trunk as it runs in extraction: batch normalisation folded away, channels last, in the precision asked for."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fmcvqa.errors import ConfigError
from fmcvqa.models.backbones import backbone_spec, bare_network
from fmcvqa.models.trunk import Trunk
from fmcvqa.threads import begin

log = logging.getLogger(__name__)

# Lightning's names: input, Gram and pooling stay in float32 or wider.
PRECISIONS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
Maps = dict[str, Tensor]  # by tap
# Frames that a thread of a CPU takes at once: few maps stay in its cache; in half precision, whose arithmetic is fast,
# each more spares reading weights that do not stay there. Medians of two cores, 4 against 8 frames: bfloat16, two taps
# 10.2 and 11.9 ms, three 30.9 and 29.3; float32, three 59.7 and 59.7.
_FEW, _MORE, _LARGE_WEIGHTS = 4, 8, 16 << 20
_COMPILING = threading.Lock()


class InferenceTrunk(nn.Module):
    """The same feature maps as a trunk's to rounding, faster.

    Weights are converted once instead of at each call; the input's own re-scaling (``transform_input``) is folded into
    the first convolution, so that no half-precision arithmetic touches it. A CPU without bfloat16 or float16 arithmetic
    would emulate it a hundred times slower: there the network runs in float32, nearer to the exact maps than what was
    asked for, and a warning says so.

    Args:
        trunk: The network; left as it is.
        precision: Of weights and maps.
        compiled_frames: Batches of so many frames go through torch.compile, which takes half a minute once; a video's
            shorter last batch is not worth another. 0 compiles nothing.

    Raises:
        ConfigError: If there is no such precision.
    """

    def __init__(self, trunk: Trunk, precision: str = "32-true", *, compiled_frames: int = 0) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ConfigError(f"there is no precision {precision!r}", found=", ".join(PRECISIONS))
        self.taps, self.vector_taps = trunk.taps, trunk.vector_taps
        self.precision, self.dtype = precision, PRECISIONS[precision]
        self.body = _folded(trunk).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self._compiled_frames, self._ready = compiled_frames, False
        self._compiled: Callable[[Tensor], Maps] | None = None
        self._called = False  # whether the compiled network has been

    def forward(self, x: Tensor) -> Maps:
        """Feature maps of normalised frames.

        Args:
            x: float32 [n, 3, h, w], ImageNet mean and standard deviation.

        Returns:
            [n, c, h', w'] by tap in the precision of the network, channels last in memory.
        """
        return self.later(x, lambda maps: maps)()

    @torch.no_grad()
    def later(self, x: Tensor, then: Callable[[Maps], Maps]) -> Callable[[], Maps]:
        """What becomes of feature maps, without keeping those of all frames; begun now, waited for when it is called.

        Args:
            x: float32 [n, 3, h, w], ImageNet mean and standard deviation.
            then: Makes tensors of some number by tap, each ``[k, ...]``, of the maps ``[k, c, h', w']`` of k frames. On
                a CPU it is called in several threads, each with frames of its own.

        Returns:
            A function that gives what ``then`` made of all frames, ``[n, ...]`` by tap.
        """
        if not self._ready:
            self._prepare(x.device)
        whole = len(x) == self._compiled_frames

        def part(frames: Tensor) -> Maps:
            with torch.autocast(x.device.type, enabled=False):
                return then(self._run(frames.to(dtype=self.dtype, memory_format=torch.channels_last), compiled=whole))

        parts = begin(part, torch.split(x, self._at_once(x)))

        def joined() -> Maps:
            done = parts()
            return done[0] if len(done) == 1 else {tap: torch.cat([maps[tap] for maps in done]) for tap in done[0]}

        return joined

    def _run(self, x: Tensor, *, compiled: bool) -> Maps:
        if not compiled or self._compiled is None or len(x) != min(self._compiled_frames, self._at_once(x)):
            maps: Maps = self.body(x)
            return maps
        with _COMPILING:  # one thread compiles at the first call, the others wait for it
            if not self._called:
                self._called = True
                return self._compiled(x)
        return self._compiled(x)

    def _at_once(self, x: Tensor) -> int:
        """Frames that go through the network together."""
        if x.device.type != "cpu":
            return max(len(x), 1)
        large = sum(p.nbytes for p in self.body.parameters()) > _LARGE_WEIGHTS
        return _MORE if large and self.dtype.itemsize == 2 else _FEW

    def _prepare(self, device: torch.device) -> None:
        """Convert to the precision of the arithmetic where the network is now."""
        if device.type == "cpu" and not _cpu_computes_in(self.dtype):
            log.warning("this CPU has no %s arithmetic: the network runs in float32", str(self.dtype)[6:])
            self.dtype = torch.float32
        self.to(dtype=self.dtype)
        if self._compiled_frames:
            freeze: dict[str, Any] = {"freezing": True} if device.type == "cpu" else {}
            self._compiled = torch.compile(self.body, dynamic=False, options=freeze)
        self._ready = True


def _cpu_computes_in(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return True


def _folded(trunk: Trunk) -> fx.GraphModule:
    """A copy of the trunk's graph without batch normalisation and input re-scaling."""
    body = fx.GraphModule(copy.deepcopy(trunk.body), copy.deepcopy(trunk.body.graph)).eval()
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
    if trunk.transform_input:
        _fold_rescaling(body)
    body.graph.eliminate_dead_code()
    body.delete_all_unused_submodules()
    body.recompile()
    return body


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
