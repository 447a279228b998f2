"""Decoded frames to network input: resize, crop and normalise, on whatever device the frames are."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from fmcvqa.data.imagenet import MEAN, STD
from fmcvqa.data.resize import crop_offset, resize_and_crop
from fmcvqa.errors import ConfigError, FmcvqaError, VideoError
from fmcvqa.threads import in_threads


class Preprocess(nn.Module):
    """Turns uint8 frames into what the network was trained on.

    Resizes the short side (bilinear with antialiasing, in float32, so no second rounding), crops the centre and
    normalises; what torchvision's ``resize``, ``center_crop`` and ``normalize`` give on float tensors. The default is
    that of the authors' code for a 299-pixel network.

    Args:
        resize: Length of the short side in pixels; None keeps the frame's own size.
        crop: Side of the square in the centre that is kept; None keeps everything.
        mean: Mean of each channel for values in 0..1.
        std: Standard deviation of each channel.
        jpeg_quality: Write and read each frame as JPEG of this quality (1-100) first, as the authors' code does with
            95; None does not.
        smallest: Side in pixels of the smallest frame that the network takes; smaller ones are refused.

    Raises:
        ConfigError: If a number is out of range, the crop larger than the resized frame, or either below ``smallest``.
    """

    def __init__(
        self,
        resize: int | None = 299,
        crop: int | None = 299,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        jpeg_quality: int | None = None,
        smallest: int = 1,
    ) -> None:
        super().__init__()
        for name, value in (("resize", resize), ("crop", crop)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}", advice="give a number of pixels, or null for none")
        if resize is not None and crop is not None and crop > resize:
            problem = f"crop={crop} is larger than the short side after resize={resize}"
            raise ConfigError(problem, advice=f"crop={resize} or less")
        for name, value in (("crop", crop), ("resize", resize)):
            if value is not None and value < smallest:
                problem = f"{name}={value} is smaller than the {smallest} pixels that the network takes"
                raise ConfigError(problem, advice=f"{name}={smallest} or more")
        if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
            problem = f"mean={list(mean)} and std={list(std)} are not three numbers each, std above 0"
            raise ConfigError(problem, advice="one number for each of red, green and blue")
        if jpeg_quality is not None and not 1 <= jpeg_quality <= 100:
            raise ConfigError(f"jpeg_quality is {jpeg_quality}", advice="give 1 to 100, or null for none")
        self.resize, self.crop, self.jpeg_quality, self.smallest = resize, crop, jpeg_quality, smallest
        self.mean, self.std = tuple(float(value) for value in mean), tuple(float(value) for value in std)
        self._on: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {}

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Preprocess frames of one size.

        Args:
            frames: uint8 ``[n, 3, h, w]`` on any device.

        Returns:
            float32 ``[n, 3, crop, crop]`` on the same device (``[n, 3, h', w']`` without a crop).

        Raises:
            VideoError: E_TOO_SMALL, if the frame is smaller than the crop, or what is left of it than ``smallest``.
            FmcvqaError: If these are no such frames.
        """
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
            shape = list(frames.shape)
            raise FmcvqaError(f"preprocessing got {frames.dtype} {shape}, not uint8 frames [n, 3, h, w]")
        height, width = resized_size(frames.shape[2], frames.shape[3], self.resize)
        self._check(height, width)
        if self.jpeg_quality is not None:
            frames = _through_jpeg(frames, self.jpeg_quality)
        resizes = (height, width) != tuple(frames.shape[2:])
        if not resizes:  # then nothing outside the crop matters, and need not become float
            frames = _center_crop(frames, self.crop)
        if resizes and frames.device.type == "cpu":
            return self._one_by_one(frames, (height, width))
        values = self._resized(frames, (height, width)) if resizes else frames.contiguous().to(torch.float32)
        return self._normalised(values)

    def _normalised(self, values: torch.Tensor) -> torch.Tensor:
        """Values 0 to 255 ``[..., 3, h, w]``, normalised in place."""
        if values.device not in self._on:  # copied to a GPU once: each copy would wait for all that it has to do
            with torch.inference_mode(False):
                shift, scale = (torch.tensor(each).mul_(255.0).view(3, 1, 1) for each in (self.mean, self.std))
                self._on[values.device] = shift.to(values.device), scale.to(values.device)
        shift, scale = self._on[values.device]
        return values.sub_(shift).div_(scale)

    def _resized(self, frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """A whole batch resized, then cropped: so a GPU is kept busy."""
        values = functional.interpolate(frames.to(torch.float32), size=size, mode="bilinear", antialias=True)
        return _center_crop(values, self.crop).contiguous()

    def _one_by_one(self, frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Each frame resized, cropped and normalised while it is in the processor's cache."""
        kept = size if self.crop is None else (self.crop, self.crop)
        values = torch.empty(len(frames), 3, *kept)

        def one(index: int) -> None:
            resize_and_crop(frames[index], size, kept, values[index])
            self._normalised(values[index])

        in_threads(one, range(len(frames)))
        return values

    def _check(self, height: int, width: int) -> None:
        if self.crop is not None and min(height, width) < self.crop:
            problem = f"a crop of {self.crop}x{self.crop} does not fit frames of {width}x{height}"
            advice = f"resize={self.crop}, or a crop of at most {min(height, width)}"
            raise VideoError("E_TOO_SMALL", problem, advice=advice)
        if min(height, width) < self.smallest:
            problem = f"the network takes frames from {self.smallest}x{self.smallest} on, not {width}x{height}"
            raise VideoError("E_TOO_SMALL", problem, advice=f"resize={self.smallest} or more")

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"resize={self.resize}, crop={self.crop}, jpeg_quality={self.jpeg_quality}"


def resized_size(height: int, width: int, resize: int | None) -> tuple[int, int]:
    """Height and width after the short side became ``resize``, the long side rounded down as torchvision does."""
    if resize is None:
        return height, width
    short, long = min(height, width), max(height, width)
    other = int(resize * long / short)
    return (resize, other) if height <= width else (other, resize)


def _center_crop(frames: torch.Tensor, crop: int | None) -> torch.Tensor:
    if crop is None:
        return frames
    height, width = frames.shape[2:]
    top, left = crop_offset(height, crop), crop_offset(width, crop)
    return frames[:, :, top : top + crop, left : left + crop]


def _through_jpeg(frames: torch.Tensor, quality: int) -> torch.Tensor:
    """Each frame as it comes back from a JPEG file (4:2:0, as Pillow and OpenCV write by default)."""
    read = []
    for frame in frames.permute(0, 2, 3, 1).cpu().numpy():
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=quality)
        read.append(torch.from_numpy(np.array(Image.open(file))))
    return torch.stack(read).permute(0, 3, 1, 2).to(frames.device)
