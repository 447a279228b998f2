"""Things a scene is made of: 1/f textures, dead leaves, houses, text and face-like blobs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Plane = npt.NDArray[np.float32]
Colour = tuple[int, int, int]

_SYLLABLES = ("ka", "lo", "mi", "ren", "tas", "vu", "del", "or", "shi", "pa", "nem", "qui", "bro", "zet", "fal", "gu")


def power_law_noise(height: int, width: int, exponent: float, rng: np.random.Generator) -> Plane:
    """Noise whose amplitude spectrum falls as ``1 / frequency ** exponent``, as in natural images (exponent near 1).

    Returns:
        Plane [height, width] of mean 0 and standard deviation 1.
    """
    white = rng.standard_normal((height, width), dtype=np.float32)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(white) / frequency**exponent, s=(height, width))
    plane: Plane = ((noise - noise.mean()) / max(float(noise.std()), 1e-6)).astype(np.float32)
    return plane


def palette(count: int, rng: np.random.Generator) -> list[Colour]:
    """Colours around one random hue, from dark to light, with a few of the opposite hue among them."""
    hue, colours = rng.uniform(), []
    for light in np.linspace(0.15, 0.95, count):
        turn = hue + rng.normal(0, 0.07) + (0.5 if rng.uniform() < 0.2 else 0.0)
        saturation = rng.uniform(0.05, 0.5)
        wave = np.cos(2 * np.pi * (turn + np.array([0.0, 1 / 3, 2 / 3])))
        red, green, blue = np.clip(255 * light * (1 + 0.6 * saturation * wave), 0, 255).astype(int).tolist()
        colours.append((red, green, blue))
    return colours


def gradient(height: int, width: int, top: Colour, bottom: Colour) -> Image.Image:
    """A vertical gradient, the sky of a scene."""
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    rows = np.asarray(top, np.float32) * (1 - ramp) + np.asarray(bottom, np.float32) * ramp
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).astype(np.uint8), "RGB")


def draw_leaves(
    image: Image.Image, colours: Sequence[Colour], count: int, rng: np.random.Generator, top: float = 0.0
) -> None:
    """Cover an image with dead leaves: opaque discs and boxes whose radii follow a cubic power law.

    Args:
        image: Drawn on in place.
        colours: The colours of the leaves, each varied a little.
        count: How many leaves.
        rng: Source of chance.
        top: Leaves lie below this share of the height.
    """
    pen, (width, height) = ImageDraw.Draw(image), image.size
    smallest, largest = height / 90, height / 4
    uniform = rng.uniform(size=count)
    # The inverse of the cubic law's distribution function, cut at both ends so that no leaf is all or nothing.
    radii = 1 / np.sqrt(uniform / largest**2 + (1 - uniform) / smallest**2)
    for radius in radii[np.argsort(rng.uniform(size=count))]:
        x, y = rng.uniform(0, width), rng.uniform(top * height, height)
        colour = vary(colours[int(rng.integers(len(colours)))], rng, 18)
        if rng.uniform() < 0.55:
            squash = rng.uniform(0.5, 1.0)
            pen.ellipse((x - radius, y - radius * squash, x + radius, y + radius * squash), fill=colour)
        else:
            angle = rng.uniform(0, np.pi) + np.array([0.4, np.pi - 0.4, np.pi + 0.4, -0.4])
            corners = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
            pen.polygon([(float(a), float(b)) for a, b in corners], fill=colour)


def draw_houses(image: Image.Image, colours: Sequence[Colour], windows: int, rng: np.random.Generator) -> None:
    """Draw a street of fronts with grids of windows: straight edges and corners.

    Args:
        image: Drawn on in place.
        colours: The colours of walls and windows.
        windows: Windows across one front.
        rng: Source of chance.
    """
    pen, (width, height) = ImageDraw.Draw(image), image.size
    x = -rng.uniform(0, 0.1) * width
    while x < width:
        wide, roof = rng.uniform(0.12, 0.28) * width, rng.uniform(0.15, 0.55) * height
        wall = vary(colours[int(rng.integers(1, len(colours)))], rng, 15)
        pane = colours[int(rng.integers(0, 2))]
        pen.rectangle((x, roof, x + wide, height), fill=wall, outline=colours[0])
        step = wide / windows
        for top in np.arange(roof + 0.4 * step, height, 1.3 * step):
            for column in range(windows):
                left = x + (column + 0.25) * step
                lit = colours[-1] if rng.uniform() < 0.2 else pane
                pen.rectangle((left, top, left + 0.5 * step, top + 0.8 * step), fill=lit)
        x += wide


def draw_text(
    image: Image.Image, box: tuple[float, float, float, float], size: float, ink: Colour, rng: np.random.Generator
) -> None:
    """Fill a box (left, top, right, bottom; pixels) with invented words in Pillow's built-in font."""
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(max(size, 6.0))
    left, top, right, bottom = box
    while top + size < bottom:
        x = left
        while x < right - 2 * size:
            word = "".join(rng.choice(_SYLLABLES, size=int(rng.integers(1, 4))).tolist())
            pen.text((x, top), word, fill=ink, font=font)
            x += font.getlength(word + " ")
        top += 1.4 * size


def face(side: int, rng: np.random.Generator) -> Image.Image:
    """A face-like blob with hair, eyes, brows, nose and mouth on a transparent square of ``side`` pixels."""
    big = 2 * side
    light, warmth = rng.uniform(0.45, 1.0), rng.uniform(0.6, 0.75)
    skin: Colour = (int(240 * light), int(240 * light * (warmth + 0.12)), int(240 * light * warmth))
    hair = vary((70, 50, 35), rng, 15)
    image = Image.new("RGBA", (big, big), (*hair, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse((0.14 * big, 0.02 * big, 0.86 * big, 0.75 * big), fill=(*hair, 255))
    pen.ellipse((0.2 * big, 0.12 * big, 0.8 * big, 0.98 * big), fill=(*skin, 255))
    for x in (0.37, 0.63):
        pen.ellipse(_disc(x, 0.48, 0.075, 0.04, big), fill=(245, 245, 240, 255))
        pen.ellipse(_disc(x, 0.48, 0.035, 0.037, big), fill=(40, 30, 30, 255))
        pen.line(
            ((x - 0.08) * big, 0.4 * big, (x + 0.08) * big, 0.39 * big), fill=(*hair, 255), width=max(big // 50, 1)
        )
    shade = (int(skin[0] * 0.75), int(skin[1] * 0.7), int(skin[2] * 0.7))
    pen.polygon([(0.5 * big, 0.5 * big), (0.44 * big, 0.66 * big), (0.55 * big, 0.66 * big)], fill=(*shade, 255))
    pen.ellipse(_disc(0.5, 0.79, 0.13, 0.035, big), fill=(170, 70, 70, 255))
    return _lit(image.resize((side, side), Image.Resampling.BOX), rng)


def ball(side: int, colours: Sequence[Colour], rng: np.random.Generator) -> Image.Image:
    """A lit, patterned ball on a transparent square of ``side`` pixels."""
    big = 2 * side
    skin = Image.new("RGB", (big, big), colours[-2])
    draw_leaves(skin, colours, 25, rng)
    mask = Image.new("L", (big, big), 0)
    ImageDraw.Draw(mask).ellipse((2, 2, big - 3, big - 3), fill=255)
    skin.putalpha(mask)
    return _lit(skin.resize((side, side), Image.Resampling.BOX), rng)


def sign(side: int, colours: Sequence[Colour], rng: np.random.Generator) -> Image.Image:
    """A board with large letters, ``side`` pixels wide and half as high."""
    big = 2 * side
    board = Image.new("RGBA", (big, side), (*colours[-1], 255))
    ImageDraw.Draw(board).rectangle((3, 3, big - 4, side - 4), outline=(*colours[0], 255), width=max(side // 20, 1))
    draw_text(board, (0.08 * big, 0.1 * side, 0.98 * big, 0.95 * side), 0.3 * side, colours[0], rng)
    return board.resize((side, side // 2), Image.Resampling.BOX)


def vary(colour: Colour, rng: np.random.Generator, amount: float) -> Colour:
    """The colour, a little off."""
    red, green, blue = np.clip(np.asarray(colour) + rng.normal(0, amount, 3), 0, 255).astype(int).tolist()
    return red, green, blue


def _disc(x: float, y: float, wide: float, high: float, side: int) -> tuple[float, float, float, float]:
    return (x - wide) * side, (y - high) * side, (x + wide) * side, (y + high) * side


def _lit(sprite: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light a sprite from one side, which makes a flat shape look round."""
    pixels = np.asarray(sprite, np.float32).copy()
    side = pixels.shape[0]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    angle = rng.uniform(-np.pi, 0)
    light = 1.0 + 0.7 * (x * np.cos(angle) + y * np.sin(angle)) - 0.7 * (x * x + y * y)
    pixels[..., :3] *= ndimage.gaussian_filter(light, side / 20)[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGBA")
