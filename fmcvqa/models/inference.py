"""A trunk as it runs in extraction: folded, channels last, in the precision asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fmcvqa.errors import ConfigError, WeightsError
from fmcvqa.memory import release
from fmcvqa.models.arranged import ArrangedConvolution, arrange, can_arrange
from fmcvqa.models.folding import folded
from fmcvqa.models.maxpool import pool_by_bits
from fmcvqa.models.rounding import rounded
from fmcvqa.models.smallest import smallest_side
from fmcvqa.models.trunk import Trunk
from fmcvqa.precision import own_precision
from fmcvqa.threads import begin, in_threads

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

    Weights are converted once instead of at each call, to half precision by :func:`rounded`; the input's own re-scaling
    (``transform_input``) is folded into the first convolution, so that no half-precision arithmetic touches it. A CPU
    without bfloat16 or float16 arithmetic would emulate it a hundred times slower: there the network runs in float32,
    nearer to the exact maps than what was asked for, and a warning says so.

    Args:
        trunk: The network; left as it is.
        precision: Of weights and maps.
        compiled_frames: So many frames, or on a CPU as many of them as a thread takes at once, go through
            torch.compile, which takes some seconds once, and once more where ``torch.inference_mode()``, in which
            Lightning predicts, begins or ends; fewer at a video's end are not worth another. 0 compiles nothing.

    Attributes:
        smallest: Side in pixels of the smallest frame that it takes.

    Raises:
        ConfigError: If there is no such precision.
        WeightsError: If a weight is not a finite number.
    """

    def __init__(self, trunk: Trunk, precision: str = "32-true", *, compiled_frames: int = 0) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ConfigError(f"there is no precision {precision!r}", found=", ".join(PRECISIONS))
        self.taps, self.vector_taps = trunk.taps, trunk.vector_taps
        self.precision, self.dtype = precision, PRECISIONS[precision]
        self.smallest = smallest_side(trunk.body)
        self.body = folded(trunk).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self._large = sum(p.nbytes for p in self.body.parameters()) > _LARGE_WEIGHTS
        self._release()  # graphs refer back to themselves, and so keep the weights of each step before
        # As they came, and as folding made them of a variance below 0.
        for name, weight in (*trunk.named_parameters(), *trunk.named_buffers(), *self.body.named_parameters()):
            if not weight.isfinite().all():
                advice = "the checkpoint of another epoch, or the file once more from where it came"
                raise WeightsError(f"the network's weights are not finite numbers in {name}", advice=advice)
        self._compiled_frames, self._ready = compiled_frames, ""  # the kind of device it is ready for
        self._compiled: Callable[[Tensor], Maps] | None = None
        self._arranged = False
        self._size, self._frames = torch.Size(), 0  # of frames and of batches that weights are laid out for
        self._compiled_for: set[tuple[torch.Size, int, bool]] = set()  # shape, torch's threads, inference mode

    def forward(self, x: Tensor) -> Maps:
        """Feature maps of normalised frames.

        Args:
            x: float32 [n, 3, h, w], ImageNet mean and standard deviation.

        Returns:
            [n, c, h', w'] by tap in the precision of the network, channels last in memory; float32 for ``vector_taps``.
        """
        parts = self.later(x, lambda maps: maps)()
        return parts[0] if len(parts) == 1 else {tap: torch.cat([maps[tap] for maps in parts]) for tap in parts[0]}

    @torch.no_grad()
    def later(self, x: Tensor, then: Callable[[Maps], Maps]) -> Callable[[], list[Maps]]:
        """What becomes of feature maps, without keeping those of all frames; begun now, waited for when it is called.

        Args:
            x: float32 [n, 3, h, w], ImageNet mean and standard deviation.
            then: Makes tensors of some number by tap, each ``[k, ...]``, of the maps ``[k, c, h', w']`` of k frames. On
                a CPU it is called in several threads, each with frames of its own.

        Returns:
            A function that gives what ``then`` made of the first frames, of those behind them, and so on.

        Raises:
            ConfigError: If the first frames were on another kind of device.
        """
        if not self._ready:
            self._prepare(x.device)
        if x.device.type != self._ready:
            problem = f"frames on {x.device.type} came to a network that was made ready for {self._ready}"
            raise ConfigError(problem, advice="an InferenceTrunk for each kind of device")
        size = self._at_once(x.device)
        parts = torch.split(x, size or max(len(x), 1))
        if self._arranged and (x.shape[2:] != self._size or len(x) > self._frames):
            self._lay_out(parts)

        def part(frames: Tensor) -> Maps:
            with own_precision(x.device):
                return then(self._run(frames, compiled=len(frames) == size))

        return begin(part, parts)

    def _lay_out(self, parts: Sequence[Tensor]) -> None:
        """Have weights laid out for maps and threads as of this batch: their size and both numbers decide.

        The end of a video has fewer of both; for that alone nothing is laid out anew. The first time a whole batch goes
        through, as later ones do: for single frames oneDNN would keep memory of their own beside it. For another size
        a frame of each thread is enough, and faster.
        """

        def one(frames: Tensor) -> None:
            with own_precision(frames.device):
                self._run(frames, compiled=False)

        for module in self.body.modules():
            if isinstance(module, ArrangedConvolution):
                module.expect(len(parts[0]))
        in_threads(one, [parts[0][:1] if self._frames else parts[0]] * len(parts))
        if not self._frames:
            self._release()  # of weights as they were; kept for what a batch frees, it would not come back
        self._size, self._frames = parts[0].shape[2:], sum(len(part) for part in parts)

    def _run(self, frames: Tensor, *, compiled: bool) -> Maps:
        arranged = frames.contiguous(memory_format=torch.channels_last)  # both at once takes three times as long
        x = arranged.to(self.dtype)
        if not compiled or self._compiled is None:
            maps: Maps = self.body(x)
            return maps
        with _COMPILING:  # one thread compiles at the first call, the others wait for it
            kind = x.shape, torch.get_num_threads(), x.is_inference()
            if kind not in self._compiled_for:
                self._compiled_for.add(kind)
                maps = self._compiled(x)
                release()  # of what the compiler has made; 50 to 130 MB
                return maps
        return self._compiled(x)

    def _at_once(self, device: torch.device) -> int:
        """Frames that go through the network together; 0 for all there are."""
        if device.type != "cpu":
            return self._compiled_frames
        few = _MORE if self._large and self.dtype.itemsize == 2 else _FEW
        return min(few, self._compiled_frames or few)

    def _release(self) -> None:
        if self._large:  # else it frees less than it is worth
            release()

    def _prepare(self, device: torch.device) -> None:
        """Convert to the precision of the arithmetic where the network is now, and to what is fastest there."""
        on_cpu = device.type == "cpu"
        if on_cpu and not _cpu_computes_in(self.dtype):
            log.warning("this CPU has no %s arithmetic: the network runs in float32", str(self.dtype)[6:])
            self.dtype = torch.float32
        self._arranged = on_cpu and can_arrange()
        if self._arranged:
            if self.dtype == torch.bfloat16 and not self._compiled_frames:  # torch.compile's own is as fast
                pool_by_bits(self.body)
            arrange(self.body, self.dtype)
        elif self.dtype.itemsize == 2:
            for module in self.body.modules():
                if isinstance(module, nn.Conv2d):
                    module.weight.data = rounded(module.weight, self.dtype)
        self.to(self.dtype).to(memory_format=torch.channels_last)
        self._release()  # of the trunk, if nobody else wants it, and of weights as they were
        if self._compiled_frames:
            self._compiled = torch.compile(self.body, dynamic=False)
        self._ready = device.type


def _cpu_computes_in(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return True
