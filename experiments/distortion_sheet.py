"""One picture of every distortion at levels 1, 3 and 5, on a generated scene.

Example:
    python experiments/distortion_sheet.py docs/pictures/distortions.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fmcvqa.data.distortions import DISTORTIONS, distort
from fmcvqa.data.synthetic.scenes import Scene

SHOWN = (1, 3, 5)
TILE = (132, 176)  # height and width of the part of each image that is shown, pixel for pixel
TITLE, GAP, COLUMNS = 18, 6, 2


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="file to write, .jpg or .png")
    parser.add_argument("--scene", type=int, default=0, help="seed of the generated scene")
    options = parser.parse_args()
    scene = Scene((options.scene,), (384, 512)).frame()
    height, width = TILE
    cell = (TITLE + height + GAP, len(SHOWN) * (width + 2) + 2 * GAP)
    rows = -(-len(DISTORTIONS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell[1], rows * cell[0] + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place, (number, kind) in enumerate(DISTORTIONS.items()):
        left, top = (place // rows) * cell[1] + GAP, (place % rows) * cell[0] + GAP
        draw.text((left, top), f"{number}  {kind.name}: levels {', '.join(map(str, SHOWN))}", "black", font)
        for k, level in enumerate(SHOWN):
            pixels = distort(scene, number, level, np.random.default_rng([number, level])).pixels
            y, x = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
            part = Image.fromarray(pixels[y : y + height, x : x + width])
            sheet.paste(part, (left + k * (width + 2), top + TITLE - GAP // 2))
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.picture, quality=72)


if __name__ == "__main__":
    main()
