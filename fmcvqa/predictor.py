"""A model that scores videos: the network up to its taps, a regressor and the scale of its scores, in one safe file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fmcvqa.data.decoding import make_decoder
from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import FmcvqaError, ModelFileError, VideoError
from fmcvqa.features.extractor import PooledFeatures, extract_features
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.models.trunk import Trunk
from fmcvqa.regression.final import Regressor, load_regressor
from fmcvqa.sealed import Arrays, DamagedError, read_sealed, write_sealed

FORMAT = 1  # raise when older releases can no longer read what this one writes
_WRITES = "fmcvqa fit writes a model"
_TRUNK, _REGRESSOR = "trunk/", "regressor/"


@dataclass(frozen=True)
class Scale:
    """What a score means: the MOS scale of the set the model was trained on.

    Attributes:
        name: That set.
        minimum: Worst score of the scale.
        maximum: Best score of the scale; predictions are not clipped to it: a score far outside says that the clip is
            unlike the training set.
        stand_in: Whether the set was synthetic, so that a score means nothing about people.
    """

    name: str
    minimum: float
    maximum: float
    stand_in: bool = False

    def __str__(self) -> str:
        note = ", a synthetic stand-in" if self.stand_in and "stand-in" not in self.name else ""
        return f"{self.minimum:g} (worst) to {self.maximum:g} (best), as in {self.name}{note}"


@dataclass(frozen=True)
class Prediction:
    """One clip's score, or why it has none."""

    path: Path
    score: float | None
    error: VideoError | None = None


class VideoQualityModel:
    """Predicts the MOS of a video (paper, III).

    Args:
        trunk: The network up to the deepest tap.
        recipe: How features are made, bound to this trunk and a decoder.
        regressor: Maps pooled features to MOS.
        scale: What a score means.
        card: Plain facts about how the model was made; data, never code.
    """

    def __init__(
        self, trunk: Trunk, recipe: FeatureRecipe, regressor: Regressor, scale: Scale, card: dict[str, Any]
    ) -> None:
        self.trunk, self.recipe, self.regressor = trunk, recipe, regressor
        self.scale, self.card = scale, card

    def predict(self, clip: str | Path) -> float:
        """The clip's score, in the units of :attr:`scale`.

        Raises:
            VideoError: If the clip cannot be read.
        """
        prediction = next(self.predict_many([clip], num_workers=0, progress=False))
        if prediction.error is not None:
            raise prediction.error
        return float(prediction.score if prediction.score is not None else math.nan)

    def predict_many(
        self,
        clips: Sequence[str | Path],
        *,
        num_workers: int = 1,
        trainer: dict[str, Any] | None = None,
        progress: bool = True,
    ) -> Iterator[Prediction]:
        """Score clips; one :class:`Prediction` each, in their order, those that cannot be read included.

        Args:
            clips: Video files.
            num_workers: Decoding child processes; 0 decodes in this process.
            trainer: More arguments of ``lightning.Trainer``, such as ``accelerator``.
            progress: Whether to show a bar on stderr.
        """
        records = [VideoRecord(str(row), Path(clip), math.nan) for row, clip in enumerate(clips)]
        found: dict[str, Prediction] = {}

        def done(pooled: PooledFeatures) -> None:
            blocks = {block: values[None] for block, values in pooled.blocks.items()}
            path = records[int(pooled.video_id)].path
            found[pooled.video_id] = Prediction(path, float(self.regressor.predict(blocks)[0]))

        def failed(video_id: str, error: VideoError) -> None:
            found[video_id] = Prediction(records[int(video_id)].path, None, error)

        extract_features(
            records,
            self.trunk,
            self.recipe,
            make_decoder(self.recipe.decoder),
            done=done,
            failed=failed,
            trainer={"devices": 1, **(trainer or {})},  # more would each give a part of the scores
            num_workers=num_workers,
            progress=progress,
        )
        return iter([found[record.id] for record in records])

    def save(self, path: str | Path) -> None:
        """Write the model as one safetensors file; nothing in it can run code."""
        trunk = {f"{_TRUNK}{name}": tensor.cpu().numpy() for name, tensor in self.trunk.state_dict().items()}
        regressor = {f"{_REGRESSOR}{name}": array for name, array in self.regressor.arrays().items()}
        record = {
            "format": FORMAT,
            "backbone": self.trunk.name,
            "transform_input": self.trunk.transform_input,
            "recipe": self.recipe.to_dict(),
            "regressor": self.regressor.meta(),
            "scale": asdict(self.scale),
            "card": self.card,
        }
        write_sealed(Path(path), trunk | regressor, record)

    @classmethod
    def load(cls, path: str | Path) -> VideoQualityModel:
        """Read a model written by :meth:`save`, every byte verified first.

        Raises:
            ModelFileError: If the file is missing, damaged, no model, or of a newer format.
        """
        arrays, record = read_model_file(Path(path))
        try:
            recipe = FeatureRecipe.from_dict(record["recipe"])
            trunk = Trunk.from_state(
                record["backbone"],
                recipe.taps,
                {name: torch.from_numpy(array) for name, array in _under(_TRUNK, arrays).items()},
                transform_input=bool(record["transform_input"]),
                batchnorm=recipe.batchnorm,
            )
            if trunk.fingerprint() != recipe.weights:
                raise ModelFileError(f"the network in {path} is not the one its recipe names")
            regressor = load_regressor(_under(_REGRESSOR, arrays), record["regressor"])
            return cls(trunk, recipe, regressor, Scale(**record["scale"]), dict(record["card"]))
        except (KeyError, TypeError, ValueError, FmcvqaError) as error:
            raise ModelFileError(
                f"{path} is not a whole fmcvqa model ({error})", advice="fmcvqa fit writes one"
            ) from error


def read_model_file(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the record of a model file, verified but not yet used.

    Raises:
        ModelFileError: If the file is missing, damaged, no model, or of a newer format.
    """
    try:
        arrays, record = read_sealed(path)
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be opened ({error.strerror})", advice="fmcvqa fit writes a model"
        ) from error
    except DamagedError as error:
        raise ModelFileError(
            str(error), found="bytes that are not a whole fmcvqa model", advice="a fresh copy"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise ModelFileError(f"{path} is no fmcvqa model", advice=_WRITES)
    if record["format"] > FORMAT:
        raise ModelFileError(
            f"{path} has the model format {record['format']}",
            found=f"this release reads up to {FORMAT}",
            advice="a newer fmcvqa",
        )
    return arrays, record


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
