"""Preprocessing against torchvision's own functions and against numbers worked out by hand."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as reference

from fmcvqa.data.imagenet import MEAN, STD
from fmcvqa.data.preprocess import Preprocess, resized_size
from fmcvqa.data.resize import resize_and_crop
from fmcvqa.errors import ConfigError, FmcvqaError, VideoError


def noise(height: int, width: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("size", [(540, 960), (960, 540), (301, 299), (144, 176), (299, 299), (299, 500)])
@pytest.mark.parametrize(("resize", "crop"), [(299, 299), (338, 299), (96, 64), (299, None), (None, 128), (None, None)])
def test_equals_torchvision(size: tuple[int, int], resize: int | None, crop: int | None) -> None:
    frames = noise(*size)
    expected = frames.to(torch.float32) / 255
    if resize is not None:
        expected = reference.resize(expected, [resize], antialias=True)
    if crop is not None:
        expected = reference.center_crop(expected, [crop, crop])
    expected = reference.normalize(expected, list(MEAN), list(STD))
    for layout in (torch.contiguous_format, torch.channels_last):
        result = Preprocess(resize, crop)(frames.contiguous(memory_format=layout))
        assert result.dtype == torch.float32
        assert result.shape == expected.shape
        torch.testing.assert_close(result, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize(("size", "crop"), [((50, 90), (50, 50)), ((90, 50), (50, 50)), ((50, 60), (20, 33))])
def test_only_the_crop_is_resized_and_every_pixel_is_torchs_own(size: tuple[int, int], crop: tuple[int, int]) -> None:
    frame = noise(311, 507, 1)[0]
    out = torch.empty(3, *crop)
    resize_and_crop(frame, size, crop, out)
    whole = torch.nn.functional.interpolate(frame[None].float(), size=size, mode="bilinear", antialias=True)
    torch.testing.assert_close(out, reference.center_crop(whole, list(crop))[0], rtol=0, atol=1e-4)


def test_values_by_hand() -> None:
    frames = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 6)
    result = Preprocess(resize=2, crop=2, mean=(0.5, 0.0, 0.25), std=(0.5, 1.0, 0.25))(frames)
    expected = torch.tensor([-1.0, 128 / 255, 3.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_size_after_resize() -> None:
    assert resized_size(540, 960, 299) == (299, 531)
    assert resized_size(720, 404, 299) == (532, 299)
    assert resized_size(540, 960, None) == (540, 960)


def test_frames_of_a_batch_do_not_touch_each_other() -> None:
    frames = noise(90, 120, count=5)
    whole, alone = Preprocess(64, 64)(frames), [Preprocess(64, 64)(frame[None]) for frame in frames]
    assert torch.equal(whole, torch.cat(alone))


@pytest.mark.parametrize("quality", [95, 30])
def test_jpeg_round_trip(quality: int) -> None:
    smooth = np.linspace(0, 255, 64 * 96 * 3).reshape(64, 96, 3).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, "JPEG", quality=quality)
    back = np.asarray(Image.open(file)).transpose(2, 0, 1)
    frames = torch.from_numpy(smooth.transpose(2, 0, 1).copy())[None]
    expected = Preprocess(None, None)(torch.from_numpy(back.copy())[None])
    result = Preprocess(None, None, jpeg_quality=quality)(frames)
    assert not torch.equal(result, Preprocess(None, None)(frames))
    torch.testing.assert_close(
        result, expected, rtol=0, atol=0.05
    )  # two JPEG libraries may differ by a grey level or two


def test_crop_that_does_not_fit() -> None:
    with pytest.raises(FmcvqaError) as caught:
        Preprocess(resize=None, crop=299)(noise(240, 320))
    assert str(caught.value) == (
        "E_TOO_SMALL: a crop of 299x299 does not fit frames of 320x240. Try: resize=299, or a crop of at most 240"
    )


def test_frames_smaller_than_the_network_takes() -> None:
    native = Preprocess(resize=None, crop=None, smallest=75)
    assert native(noise(75, 320)).shape[2:] == (75, 320)
    with pytest.raises(VideoError) as caught:
        native(noise(240, 74))
    assert caught.value.code == "E_TOO_SMALL"
    assert str(caught.value) == (
        "E_TOO_SMALL: the network takes frames from 75x75 on, not 74x240. Try: resize=75 or more"
    )


def test_input_that_is_no_frames() -> None:
    with pytest.raises(FmcvqaError) as caught:
        Preprocess()(torch.zeros(2, 3, 4, 5))
    assert str(caught.value) == "preprocessing got torch.float32 [2, 3, 4, 5], not uint8 frames [n, 3, h, w]"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resize": 0}, "resize is 0. Try: give a number of pixels, or null for none"),
        ({"crop": -5}, "crop is -5. Try: give a number of pixels, or null for none"),
        (
            {"resize": 256},
            "crop=299 is larger than the short side after resize=256. Try: crop=256 or less",
        ),
        (
            {"std": [1, 0, 1]},
            "mean=[0.485, 0.456, 0.406] and std=[1, 0, 1] are not three numbers each, std above 0. "
            "Try: one number for each of red, green and blue",
        ),
        (
            {"crop": 32, "smallest": 75},
            "crop=32 is smaller than the 75 pixels that the network takes. Try: crop=75 or more",
        ),
        (
            {"resize": 32, "crop": None, "smallest": 75},
            "resize=32 is smaller than the 75 pixels that the network takes. Try: resize=75 or more",
        ),
        ({"jpeg_quality": 101}, "jpeg_quality is 101. Try: give 1 to 100, or null for none"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Preprocess(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("size", [(2, 90), (120, 3), (299, 1500)])
def test_a_very_long_frame_is_torchvisions_too(size: tuple[int, int]) -> None:
    frames = noise(*size)
    expected = reference.resize(frames.to(torch.float32) / 255, [299], antialias=True)
    expected = reference.normalize(reference.center_crop(expected, [299, 299]), list(MEAN), list(STD))
    torch.testing.assert_close(Preprocess()(frames), expected, rtol=0, atol=3e-6)


def test_the_frame_of_a_bomb_that_is_long_takes_little_memory() -> None:
    assert Preprocess()(noise(2, 4000)).shape == (2, 3, 299, 299)  # 10 GB where all of it was made


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    frames = noise(270, 480)
    result = Preprocess()(frames.cuda())
    assert result.device.type == "cuda"
    torch.testing.assert_close(result.cpu(), Preprocess()(frames), rtol=0, atol=2e-4)  # its sums round otherwise
