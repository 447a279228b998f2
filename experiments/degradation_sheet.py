"""One picture of every degradation at strengths 1, 3 and 5, on a generated scene: a frame, and one row of it over time.

Example:
    python experiments/degradation_sheet.py docs/pictures/degradations.jpg
"""

from __future__ import annotations

import argparse
import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fmcvqa.data.degradations import TYPES, Shape, degrade, recipe
from fmcvqa.data.synthetic.scenes import Scene

SHOWN = (1, 3, 5)
SHAPE = Shape(50, (180, 320), Fraction(25))
TILE, STRIP = (112, 150), 50  # height and width of the part of a frame that is shown; frames of the row over time
TITLE, GAP, COLUMNS = 18, 6, 2


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="file to write, .jpg or .png")
    parser.add_argument("--scene", type=int, default=1, help="seed of the generated scene")
    options = parser.parse_args()
    scene = Scene((options.scene,), SHAPE.size)
    frames = [scene.frame(k / 25) for k in range(SHAPE.frames)]
    height, width = TILE
    cell = (TITLE + height + STRIP + GAP, len(SHOWN) * (width + 3) + 2 * GAP)
    rows = -(-len(TYPES) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell[1], rows * cell[0] + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place, name in enumerate(TYPES):
        left, top = (place // rows) * cell[1] + GAP, (place % rows) * cell[0] + GAP
        draw.text((left, top), f"{name}: strengths {', '.join(map(str, SHOWN))}", "black", font)
        for k, strength in enumerate(SHOWN):
            done = recipe(name, strength, SHAPE, np.random.default_rng([place, 1]))
            with av.open(io.BytesIO(degrade(frames, done, SHAPE, [place])), "r") as clip:
                seen = np.stack([frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)])
            y, x = (SHAPE.size[0] - height) // 2, (SHAPE.size[1] - width) // 2
            part = seen[SHAPE.frames // 2, y : y + height, x : x + width]
            over_time = seen[:STRIP, SHAPE.size[0] // 2, x : x + width]
            both = Image.fromarray(np.concatenate([part, over_time]))
            sheet.paste(both, (left + k * (width + 3), top + TITLE - GAP // 2))
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.picture, quality=72)


if __name__ == "__main__":
    main()
