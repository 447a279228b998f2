"""Scenes with natural statistics, composed from a seed and moving over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from fmcvqa.data.pixels import Pixels
from fmcvqa.data.synthetic import textures

KINDS = ("leaves", "street", "page", "people", "hills")
_LUMA_MEAN, _LUMA_SPREAD = 120.0, 48.0  # grey levels of a well exposed picture
_MARGIN = 1.3  # canvas over frame: room for panning, zooming and a shaking hand


@dataclass(frozen=True)
class _Sprite:
    """A moving object: where its middle is (canvas pixels) and how it moves (canvas pixels per second)."""

    image: Image.Image
    position: tuple[float, float]
    velocity: tuple[float, float]


class Scene:
    """One scene: a still canvas, moving objects before it and a camera that pans and zooms.

    Args:
        seed: Integers that decide everything about the scene.
        size: Height and width of its frames in pixels.

    Attributes:
        kind: One of ``KINDS``.
        activity: How busy the scene is, 0 (smooth) to 1 (fine texture everywhere); distortions hide in a busy scene.
    """

    def __init__(self, seed: Sequence[int], size: tuple[int, int]) -> None:
        self._seed, self.size = tuple(seed), size
        rng = np.random.default_rng([*self._seed, 1])
        self.kind = KINDS[int(rng.integers(len(KINDS)))]
        self.activity = float(rng.uniform())
        height, width = size
        self._pan = rng.uniform(-0.08, 0.08, 2) * (width, height)
        self._zoom = float(rng.uniform(-0.05, 0.05))
        self._turn = float(rng.uniform(-0.03, 0.03))

    def frame(self, seconds: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> Pixels:
        """What the camera sees.

        Args:
            seconds: Time since the clip began.
            shift: How far an unsteady hand moves the camera (x, y; pixels).

        Returns:
            Pixels [height, width, 3], RGB.
        """
        picture = self._canvas.copy()
        for sprite in self._sprites:
            sides = zip(sprite.position, sprite.velocity, picture.size, strict=True)
            x, y = (_bounce(start + speed * seconds, side) for start, speed, side in sides)
            picture.paste(
                sprite.image, (round(x - sprite.image.width / 2), round(y - sprite.image.height / 2)), sprite.image
            )
        (height, width), course = self.size, float(np.tanh(seconds))
        scale, angle = 1.0 + self._zoom * course, self._turn * course
        across, down = scale * float(np.cos(angle)), scale * float(np.sin(angle))
        seen = np.array([across * width + abs(down) * height, abs(down) * width + across * height])
        # The canvas is larger than the view, and the camera stops where it ends.
        room = (np.array(picture.size) - seen) / 2
        centre = np.array(picture.size) / 2 + np.clip(self._pan * course + shift, -room, room)
        x, y = centre - np.array([across * width - down * height, down * width + across * height]) / 2
        view = (across, -down, float(x), down, across, float(y))
        return np.asarray(picture.transform((width, height), Image.Transform.AFFINE, view, Image.Resampling.BICUBIC))

    @cached_property
    def _canvas(self) -> Image.Image:
        """The still part of the scene, textured and lit."""
        rng = np.random.default_rng([*self._seed, 2])
        height, width = (round(_MARGIN * side) for side in self.size)
        image = self._compose(rng, 2 * height, 2 * width).resize((width, height), Image.Resampling.BOX)
        pixels = np.asarray(image, np.float32)
        fine = textures.power_law_noise(height, width, rng.uniform(1.0, 1.3), rng)
        light = textures.power_law_noise(height, width, 2.0, rng)
        # Rough ground in patches and below, smooth sky above: a texture spread evenly would pass for noise.
        patches = 1 / (1 + np.exp(-3 * textures.power_law_noise(height, width, 2.0, rng)))
        rough = (0.06 + 0.08 * self.activity) * patches * np.linspace(0.15, 1, height)[:, None]
        shade = 1.0 + rough * fine + 0.08 * light
        return Image.fromarray(_exposed(pixels * shade[..., None]), "RGB")

    def _compose(self, rng: np.random.Generator, height: int, width: int) -> Image.Image:
        """The shapes of the scene, drawn at twice the size so that their edges come out smooth."""
        colours = textures.palette(7, rng)
        image = textures.gradient(height, width, colours[-1], colours[3])
        count = int(500 + 1000 * self.activity)
        if self.kind == "leaves":
            textures.draw_leaves(image, colours, 2 * count, rng)
        elif self.kind == "street":
            textures.draw_houses(image, colours, 4 + int(4 * self.activity), rng)
        elif self.kind == "page":
            margin = rng.uniform(0.05, 0.15) * width
            letter = height / (14 + 8 * self.activity)
            textures.draw_text(image, (margin, 0.06 * height, width - margin, 0.94 * height), letter, colours[0], rng)
        elif self.kind == "people":
            textures.draw_leaves(image, colours[2:], count // 2, rng, top=rng.uniform(0.3, 0.6))
            self._crowd(image, rng)
        else:
            image = self._hills(image, colours, rng)
        # Sharp things in front, whatever the scene: a picture without an edge could not be seen to be blurred.
        textures.draw_leaves(image, colours, count // 3, rng, top=0.8)
        return image

    def _crowd(self, image: Image.Image, rng: np.random.Generator) -> None:
        for _ in range(2 + int(6 * self.activity)):
            side = int(rng.uniform(0.2, 0.45) * image.height)
            head = textures.face(side, rng)
            x, y = rng.uniform(0, image.width - side), rng.uniform(0.15, 0.55) * image.height
            image.paste(head, (round(x), round(y)), head)

    def _hills(self, image: Image.Image, colours: list[textures.Colour], rng: np.random.Generator) -> Image.Image:
        """Textured ridges, one before the other, the nearest the darkest."""
        pixels, (width, height) = np.asarray(image, np.float32).copy(), image.size
        rows = np.arange(height)[:, None]
        for step, colour in zip((0.35, 0.5, 0.65, 0.8), reversed(colours[:4]), strict=True):
            # Halves of the size suffice for the texture; the whole would take four times as long.
            ground = textures.power_law_noise(height // 2, width // 2, 1.1, rng).repeat(2, 0).repeat(2, 1)
            ground = np.pad(ground, ((0, height - ground.shape[0]), (0, width - ground.shape[1])), mode="edge")
            ridge = step * height + 0.06 * height * textures.power_law_noise(2, width, 1.5, rng)[0]
            below = rows >= ridge[None, :]
            texture = 1.0 + (0.10 + 0.12 * self.activity) * ground[below]
            pixels[below] = np.asarray(colour, np.float32) * texture[:, None]
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")

    @cached_property
    def _sprites(self) -> list[_Sprite]:
        """One to three objects that cross the scene."""
        rng = np.random.default_rng([*self._seed, 3])
        height, width = (_MARGIN * side for side in self.size)
        colours, sprites = textures.palette(6, rng), []
        for _ in range(int(rng.integers(1, 4))):
            side = int(rng.uniform(0.16, 0.34) * min(height, width))
            made = (textures.face, None, None)[int(rng.integers(3))]
            image = (
                made(side, rng) if made else (textures.ball, textures.sign)[int(rng.integers(2))](side, colours, rng)
            )
            position = (rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height)
            velocity = (rng.uniform(-0.3, 0.3) * width, rng.uniform(-0.12, 0.12) * height)
            sprites.append(_Sprite(image, position, velocity))
        return sprites


def _exposed(pixels: npt.NDArray[np.float32]) -> Pixels:
    """Brightness and contrast set as a camera's automatic exposure does, four fifths of the way."""
    luma = pixels.mean(axis=2)
    gain = (_LUMA_SPREAD / max(float(luma.std()), 1.0)) ** 0.8
    centre = 0.2 * float(luma.mean()) + 0.8 * _LUMA_MEAN
    exposed: Pixels = np.clip(centre + gain * (pixels - luma.mean()), 0, 255).astype(np.uint8)
    return exposed


def _bounce(place: float, side: int) -> float:
    """A place on a line of that length, thrown back from its ends."""
    return side - abs(place % (2 * side) - side)
