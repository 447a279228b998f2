"""Frames by torchcodec for the files it reads right, by PyAV for the rest; on a GPU by NVDEC.

torchcodec brings no FFmpeg: it uses the system's, whose version is part of ours. On 8-bit files that hold one frame per
packet it gives PyAV's bytes; where the two would differ or a packet may hold anything else, PyAV reads. Damage inside a
packet it may conceal in silence: use it for corpora you trust.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmcvqa.data.decoding.base import ADVICE, CHUNK_BYTES, MAX_FRAMES, MAX_PIXELS, Frame, shown
from fmcvqa.data.decoding.clock import FrameIndex
from fmcvqa.data.decoding.plain import Kinds, Plain, look
from fmcvqa.data.decoding.pyav import PyAVDecoder
from fmcvqa.errors import ConfigError, VideoError

if TYPE_CHECKING:
    from torch import Tensor  # not at import: the children of the other decoders do without torch


@dataclass(frozen=True)
class TorchCodecDecoder:
    """Reads frames with torchcodec where a look at the packets says it is right, with PyAV elsewhere.

    Args:
        max_pixels: Refuse larger frames (width x height).
        max_frames: Refuse longer videos.
        device: ``cpu``, or ``cuda`` for NVDEC: frames then stay on the GPU, decoded in this process
            (``loader.num_workers=0``). The GPU's pixels differ a little from the CPU's; the version says which.

    Raises:
        ConfigError: If a number is not positive or there is no such device.
    """

    max_pixels: int = MAX_PIXELS
    max_frames: int = MAX_FRAMES
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if self.device not in ("cpu", "cuda"):
            raise ConfigError(f"decoder.device is {self.device!r}", advice="decoder.device = cpu or cuda")
        self._pyav  # noqa: B018 - checks the numbers

    @property
    def _pyav(self) -> PyAVDecoder:
        return PyAVDecoder(self.max_pixels, self.max_frames)

    @property
    def name(self) -> str:
        """``torchcodec``."""
        return "torchcodec"

    @property
    def on_device(self) -> bool:
        """Whether frames stay on the GPU: :meth:`tensors` is then to be used instead of children."""
        return self.device == "cuda"

    def version(self) -> str:
        """Library versions: torchcodec with the system's FFmpeg, the device, and what reads the other files.

        Raises:
            ConfigError: If torchcodec cannot be loaded, or there is no CUDA device for ``device=cuda``, or none of its
                decoders.
        """
        torchcodec = _import_torchcodec()
        if self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise ConfigError(
                    "decoder.device=cuda asks for NVDEC, but there is no CUDA device here", advice="decoder.device=cpu"
                )
            _check_nvdec()
        ffmpeg = torchcodec._core.get_ffmpeg_library_versions()["ffmpeg_version"]
        return f"torchcodec {torchcodec.__version__} (FFmpeg {ffmpeg}) on {self.device}, else {self._pyav.version()}"

    def reader_for(self, path: str | Path) -> str:
        """``torchcodec`` or ``pyav``.

        Raises:
            VideoError: If the file cannot be opened at all.
        """
        return "torchcodec" if self._look(path).frames else "pyav"

    def frames(self, path: str | Path, *, stride: int = 1) -> Iterator[tuple[int, Frame]]:
        """Yields every ``stride``-th frame as uint8 RGB ``[h, w, 3]``; see `Decoder`."""
        count, frame_bytes = self._look(path)
        if not count:
            yield from self._pyav.frames(path, stride=stride)
            return
        follows = 0
        try:
            for batch, indices in self._batches(path, stride, max(1, CHUNK_BYTES // frame_bytes)):
                yield from zip(indices, batch.cpu().numpy(), strict=True)
                follows = indices[-1] + 1
        except VideoError:  # it also refuses what is whole, such as pictures that change their size: PyAV decides
            frames = self._pyav.frames(path, stride=stride)
            yield from ((index, frame) for index, frame in frames if index >= follows)

    def tensors(
        self, path: str | Path, *, stride: int, chunk_frames: int, chunk_bytes: int
    ) -> Iterator[tuple[Tensor, list[FrameIndex]]]:
        """Yields frames as they lie on the device, for NVDEC.

        Args:
            path: The video file.
            stride: Keep the frames whose index is a multiple of this.
            chunk_frames: At most so many frames at once.
            chunk_bytes: At most so many bytes at once, but at least one frame.

        Yields:
            uint8 ``[n, h, w, 3]`` and the frames' indices.

        Raises:
            VideoError: If the file is unreadable, damaged, or none that torchcodec reads right.
        """
        count, frame_bytes = self._look(path)
        if not count:
            raise VideoError(
                "E_NO_VIDEO",
                f"the video {shown(path)} is not of a kind that is decoded on the GPU",
                found="only 8-bit files with one frame per packet in MP4, Matroska or AVI are",
                advice="decoder=pyav for this file",
            )
        yield from self._batches(path, stride, max(1, min(chunk_frames, chunk_bytes // frame_bytes)))

    def _batches(self, path: str | Path, stride: int, frames: int) -> Iterator[tuple[Tensor, list[FrameIndex]]]:
        count = self._look(path).frames
        torchcodec = _import_torchcodec()
        first: float | None = None
        try:
            decoder = torchcodec.decoders.VideoDecoder(
                str(Path(path).absolute()),  # an absolute path cannot be an address
                dimension_order="NHWC",
                num_ffmpeg_threads=1,
                device=self.device,
                seek_mode="exact",  # the other one gives wrong frames at variable rates
            )
            if self.on_device and decoder.cpu_fallback:
                problem = f"the video {shown(path)} is of a kind that this GPU does not decode"
                raise VideoError("E_NO_VIDEO", problem, found=str(decoder.cpu_fallback), advice="decoder=pyav for it")
            if len(decoder) != count:
                found = f"{len(decoder)} of {count} frames"
                raise VideoError("E_CORRUPT", f"the video {shown(path)} is damaged", found=found, advice=ADVICE)
            for start in range(0, count, frames * stride):
                stop = min(start + frames * stride, count)
                batch = decoder.get_frames_in_range(start, stop, stride)
                first = first if first is not None else float(batch.pts_seconds[0])
                times = [float(seconds) - first for seconds in batch.pts_seconds]
                yield batch.data, [FrameIndex(start + k * stride, time) for k, time in enumerate(times)]
        except (RuntimeError, ValueError, IndexError) as error:  # it has no errors of its own
            if _is_of_the_device(error):
                raise
            found = "torchcodec could not read it to its end"
            raise VideoError("E_CORRUPT", f"the video {shown(path)} is damaged", found=found, advice=ADVICE) from error

    def _look(self, path: str | Path) -> Plain:
        return look(path, _KINDS, max_pixels=self.max_pixels, max_frames=self.max_frames)


def _first(path: Path) -> Frame | None:
    try:
        decoder = _import_torchcodec().decoders.VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1)
        frame: Frame = decoder[0].numpy()
    except (RuntimeError, ValueError, IndexError):
        return None
    return frame


_KINDS = Kinds(
    frozenset({"h264", "hevc", "mpeg4", "vp9", "libdav1d", "av1", "mjpeg"}),
    ("mov", "matroska", "avi"),
    declared=False,
    first=_first,
)


def _check_nvdec() -> None:
    """Without the library torchcodec would decode on the CPU, and only copy the frames to the GPU."""
    import ctypes

    try:
        ctypes.CDLL("libnvcuvid.so.1")
    except OSError as error:
        raise ConfigError(
            "decoder.device=cuda asks for NVDEC, whose library cannot be loaded",
            found=str(error),
            advice="in a container NVIDIA_DRIVER_CAPABILITIES=compute,utility,video; or decoder.device=cpu",
        ) from error


def _is_of_the_device(error: Exception) -> bool:
    """Whether the GPU failed, out of memory for one, and not the file."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | torch.AcceleratorError) or "CUDA" in str(error)


def _import_torchcodec() -> Any:
    try:
        import torchcodec
        import torchcodec._core
        import torchcodec.decoders

        loaded: Any = torchcodec
        loaded._core.get_ffmpeg_library_versions()  # it can be imported without FFmpeg, for images
    except (ImportError, OSError, RuntimeError) as error:  # what it raises without FFmpeg has changed over time
        found = str(error).strip().partition("\n")[0].removesuffix("Likely causes:").strip(" .")
        raise ConfigError(
            "decoder=torchcodec asks for torchcodec, which cannot be loaded",
            found=found or type(error).__name__,
            advice="pip install 'fmcvqa[torchcodec]' and the system's FFmpeg (Debian: apt-get install ffmpeg), or "
            "decoder=pyav, which reads the same frames everywhere",
        ) from error
    return loaded
