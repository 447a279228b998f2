"""Clips whose every frame carries its own index in big black and white blocks that survive compression.

A frame is a 4 x 4 grid of blocks. The corners say which way up it is (top left white, the others black); the twelve
blocks between them are the index in binary, most significant first, in reading order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from fmcvqa.data.synthetic.clips import ASSEMBLY

BLOCKS = 4
BITS = BLOCKS * BLOCKS - 4
_CORNERS = {(0, 0): 1, (0, BLOCKS - 1): 0, (BLOCKS - 1, 0): 0, (BLOCKS - 1, BLOCKS - 1): 0}
_CELLS = [(row, column) for row in range(BLOCKS) for column in range(BLOCKS) if (row, column) not in _CORNERS]

Image = npt.NDArray[np.uint8]


def barcode(index: int, width: int = 96, height: int = 64) -> Image:
    """One frame ``[height, width, 3]`` that says ``index``."""
    if not 0 <= index < 2**BITS:
        raise ValueError(f"index {index} does not fit {BITS} bits")
    bits = dict(_CORNERS)
    bits.update({cell: index >> (BITS - 1 - k) & 1 for k, cell in enumerate(_CELLS)})
    rows = np.arange(height) * BLOCKS // height
    columns = np.arange(width) * BLOCKS // width
    grid = np.array([[bits[row, column] for column in range(BLOCKS)] for row in range(BLOCKS)])
    image = np.where(grid[rows][:, columns] == 1, 235, 20).astype(np.uint8)
    return np.repeat(image[:, :, None], 3, axis=2)


def read_barcode(image: Image) -> int:
    """The index a frame says.

    Raises:
        ValueError: If a block is neither black nor white, or the frame is not upright.
    """
    height, width = image.shape[:2]
    levels = np.empty((BLOCKS, BLOCKS))
    for row in range(BLOCKS):
        for column in range(BLOCKS):
            top, bottom = (height * (4 * row + k) // (4 * BLOCKS) for k in (1, 3))
            left, right = (width * (4 * column + k) // (4 * BLOCKS) for k in (1, 3))
            levels[row, column] = image[top:bottom, left:right].mean()
    if np.any((levels > 80) & (levels < 175)):
        raise ValueError(f"not a barcode: {levels.round().tolist()}")
    if any((levels[cell] > 127) != bool(bit) for cell, bit in _CORNERS.items()):
        raise ValueError(f"not upright: {levels.round().tolist()}")
    return sum(int(levels[cell] > 127) << (BITS - 1 - k) for k, cell in enumerate(_CELLS))


def write_clip(
    path: Path,
    frames: int | Iterable[Image] = 24,
    *,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int = 25,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    rotation: int = 0,
    hflip: bool = False,
    times: Sequence[int] | None = None,
    shift: Callable[[int], int] | None = None,
    prepare: Callable[[av.VideoStream], None] | None = None,
) -> Path:
    """Writes a clip with PyAV; the container follows from the file's ending.

    Args:
        path: Where to.
        frames: How many barcode frames from index 0, or the images themselves.
        size: Width and height of barcode frames.
        codec: Encoder.
        pix_fmt: Its pixel format.
        rate: Frames per second.
        options: Encoder options; one thread and a short, fixed key frame distance unless said otherwise.
        container_options: Muxer options.
        rotation: Degrees counter-clockwise the player is to turn the picture by.
        hflip: Whether the player is to mirror it then.
        times: Presentation time of each frame in 1/1000 s, for a variable rate.
        shift: Moves the time stamps of the coded packets (in the time base of the encoder: one frame), for cut clips.
        prepare: Called with the stream before the first frame.
    """
    images = [barcode(k, *size) for k in range(frames)] if isinstance(frames, int) else list(frames)
    height, width = images[0].shape[:2]
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        chosen = {"g": "8", "threads": "1", **(options or {})}
        if codec == "libx264":  # what it writes with AVX-512 differs from run to run on a busy machine
            own = chosen.get("x264-params")
            chosen["x264-params"] = f"asm={ASSEMBLY}" + (f":{own}" if own else "")
        stream = container.add_stream(codec, rate=rate, options=chosen)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation or hflip:
            stream.set_display_rotation(rotation, hflip=hflip)
        if prepare is not None:
            prepare(stream)
        for k, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[k], Fraction(1, 1000)
            else:
                frame.pts, frame.time_base = k, Fraction(1, rate)
            _mux(container, stream.encode(frame), shift)
        _mux(container, stream.encode(None), shift)
    return path


def _mux(container: av.container.OutputContainer, packets: list[av.Packet], shift: Callable[[int], int] | None) -> None:
    for packet in packets:
        if shift is not None:
            packet.pts, packet.dts = shift(packet.pts), shift(packet.dts)
        container.mux(packet)
