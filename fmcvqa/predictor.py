"""A model that scores videos: the network up to its taps, a regressor and the scale of its scores, in one safe file."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from fmcvqa.data.decoding import OnDamage, make_decoder
from fmcvqa.data.records import VideoRecord, refuse_one
from fmcvqa.errors import ConfigError, FmcvqaError, ModelFileError, VideoError
from fmcvqa.features.extractor import PooledFeatures
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.streaming import extract_features
from fmcvqa.features.windows import WINDOW_SECONDS, WindowFeatures, WindowPools
from fmcvqa.files import behind_link
from fmcvqa.hub import local_model, share
from fmcvqa.modelfile import (
    CALIBRATION,
    FORMAT,
    REGRESSOR,
    TRAINING_SET,
    TRUNK,
    migrated,
    read_model_file,
    under,
)
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk
from fmcvqa.prediction import Prediction, Scale, Unlikeness, Window
from fmcvqa.regression.conformal import Calibration
from fmcvqa.regression.final import Regressor, load_regressor
from fmcvqa.regression.novelty import TrainingSet
from fmcvqa.sealed import write_sealed


class VideoQualityModel:
    """Predicts the MOS of a video (paper, III).

    Args:
        trunk: The network up to the deepest tap.
        recipe: How features are made, bound to this trunk and a decoder.
        regressor: Maps pooled features to MOS.
        scale: What a score means.
        card: Plain facts about how the model was made; data, never code.
        calibration: Gives a score its interval and percentile; None in files of the format 1.
        training_set: Tells clips that are unlike it; None in files of the format 1.
    """

    def __init__(
        self,
        trunk: Trunk,
        recipe: FeatureRecipe,
        regressor: Regressor,
        scale: Scale,
        card: dict[str, Any],
        calibration: Calibration | None = None,
        training_set: TrainingSet | None = None,
    ) -> None:
        self.trunk, self.recipe, self.regressor = trunk, recipe, regressor
        self.scale, self.card = scale, card
        self.calibration, self.training_set = calibration, training_set
        self._ready: list[tuple[object, InferenceTrunk]] = []  # what it was made for, and the network; one or none

    def predict(self, clip: str | Path) -> float:
        """The clip's score, in the units of :attr:`scale`; :meth:`predict_many` says more about it.

        The network stays ready for the next call. Of calls in several threads each has a network of its own.

        Raises:
            VideoError: If the clip cannot be read, or is damaged.
        """
        [prediction] = self.predict_many([clip], num_workers=0, progress=False)
        if prediction.error is not None:
            raise prediction.error
        return float(prediction.score if prediction.score is not None else math.nan)

    def predict_many(
        self,
        clips: Sequence[str | Path],
        *,
        timeline: bool = False,
        stride: int | None = None,
        damage: OnDamage = "reject",
        num_workers: int = 1,
        trainer: dict[str, Any] | None = None,
        progress: bool = True,
        done: Callable[[Prediction], None] | None = None,
    ) -> list[Prediction]:
        """Score clips; one :class:`Prediction` each, in their order, those that cannot be read included.

        Args:
            clips: Video files.
            timeline: Score each second of a clip too, in the same pass; the clip's own score does not change.
            stride: Use every how-manieth frame; that of the training features where None. More is faster, and the
                score another.
            damage: ``reject`` gives a damaged clip no score, whatever the training features allowed; ``mark`` scores
                its frames before the damage, if there are any, and the prediction says so.
            num_workers: Decoding child processes; 0 decodes in this process.
            trainer: More arguments of ``lightning.Trainer``, such as ``accelerator``.
            progress: Whether to show a bar on stderr.
            done: Called with each prediction in the order of the clips, as soon as it and all before it are there.

        Raises:
            ConfigError: If a single path is given, or the stride is below 1 or another than that of features with the
                pool ``delta``.
        """
        refuse_one(clips)
        recipe = replace(self.recipe, stride=self.recipe.stride if stride is None else stride, damage=damage)
        if "delta" in recipe.pools and recipe.stride != self.recipe.stride:
            raise ConfigError(
                f"stride {stride}: this model looks at the change from one frame to the next, "
                "which grows with the stride",
                found=f"features of stride {self.recipe.stride}",
                advice=f"no other stride than {self.recipe.stride}, or a model without the pool delta",
            )
        records = [VideoRecord(str(row), Path(clip), math.nan) for row, clip in enumerate(clips)]
        found: dict[int, Prediction] = {}
        windows: dict[str, list[Window]] = {}
        handed = 0

        def window_done(window: WindowFeatures) -> None:
            score = float(self.regressor.predict({block: v[None] for block, v in window.blocks.items()})[0])
            scored = Window(window.start, window.start + WINDOW_SECONDS, window.frames, score)
            windows.setdefault(window.video_id, []).append(scored)

        pools = WindowPools(window_done, recipe) if timeline else None

        def keep(video_id: str, prediction: Prediction) -> None:
            nonlocal handed
            found[int(video_id)] = prediction
            while done is not None and handed in found:
                done(found[handed])
                handed += 1

        def read(pooled: PooledFeatures) -> None:
            prediction = self.judge(records[int(pooled.video_id)].path, pooled)
            timed = pools is not None and pools.finish(pooled.video_id)
            seconds = windows.pop(pooled.video_id, [])
            keep(pooled.video_id, replace(prediction, timeline=tuple(seconds) if timed else None))

        def failed(video_id: str, error: VideoError) -> None:
            if pools is not None:
                pools.discard(video_id)
            windows.pop(video_id, None)
            keep(video_id, Prediction(records[int(video_id)].path, None, self.scale, error=error))

        if records:
            arguments = {"devices": 1, **(trainer or {})}  # more would each give a part of the scores
            decoder = make_decoder(recipe.decoder)
            with self._network(arguments.get("accelerator")) as network:
                extract_features(
                    records,
                    network,
                    recipe,
                    decoder,
                    done=read,
                    failed=failed,
                    on_frames=pools,
                    trainer=arguments,
                    num_workers=num_workers,
                    progress=progress,
                )
        return [found[row] for row in range(len(records))]

    @contextmanager
    def _network(self, accelerator: object) -> Iterator[InferenceTrunk]:
        """The trunk made ready: the last call's if nothing has changed since; none is used by two calls at once."""
        wanted = self.trunk, self.trunk.fingerprint(), self.recipe.precision, accelerator
        try:
            made_for, network = self._ready.pop()
        except IndexError:
            made_for = None
        if made_for != wanted:
            network = InferenceTrunk(self.trunk, self.recipe.precision)
        yield network
        self._ready[:] = [(wanted, network)]  # one that an error has passed is not used again

    def __getstate__(self) -> dict[str, Any]:
        """All but the network made ready, whose weights as they are laid out cannot be copied."""
        return self.__dict__ | {"_ready": []}

    def judge(self, path: Path, pooled: PooledFeatures) -> Prediction:
        """What there is to say of a clip with these features."""
        blocks = {block: values[None] for block, values in pooled.blocks.items()}
        score = float(self.regressor.predict(blocks)[0])
        known, around = self.calibration, self.training_set
        return Prediction(
            path,
            score,
            self.scale,
            interval=None if known is None else known.interval(score, self.scale),
            percentile=None if known is None else known.percentile(score),
            unlike=Unlikeness.of(score, self.scale, None if around is None else float(around.distance(blocks)[0])),
            frames=pooled.frames,
            damage=pooled.damage,
        )

    def save(self, path: str | Path) -> None:
        """Write the model as one safetensors file; nothing in it can run code."""
        parts: list[tuple[str, Mapping[str, Any]]] = [
            (TRUNK, {name: tensor.cpu().numpy() for name, tensor in self.trunk.state_dict().items()}),
            (REGRESSOR, self.regressor.arrays()),
            (CALIBRATION, {} if self.calibration is None else self.calibration.arrays()),
            (TRAINING_SET, {} if self.training_set is None else self.training_set.arrays()),
        ]
        record = {
            "format": FORMAT,
            "backbone": self.trunk.name,
            "transform_input": self.trunk.transform_input,
            "recipe": self.recipe.to_dict(),
            "regressor": self.regressor.meta(),
            "scale": asdict(self.scale),
            "card": self.card,
            "calibration": None if self.calibration is None else {"videos": len(self.calibration.residuals)},
            "training_set": None if self.training_set is None else self.training_set.meta(),
        }
        arrays = {prefix + name: array for prefix, part in parts for name, array in part.items()}
        write_sealed(behind_link(Path(path)), arrays, record)

    @classmethod
    def from_pretrained(cls, reference: str | Path) -> VideoQualityModel:
        """The model of ``hf://owner/name`` on the Hugging Face Hub, of a folder, or of a file; see :mod:`fmcvqa.hub`.

        Raises:
            ConfigError: If huggingface_hub is not installed (``pip install 'fmcvqa[hub]'``).
            ModelFileError: If the Hub does not give the file, or it is no whole model.
        """
        return cls.load(local_model(reference))

    def push_to_hub(self, target: str, *, private: bool = False) -> str:
        """Put the model and its card into ``hf://owner/name``, or a folder; gives where it lies.

        Raises:
            ConfigError: If huggingface_hub is not installed.
            ModelFileError: If the Hub refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "model.fmcvqa")
            return share(Path(folder) / "model.fmcvqa", target, private=private)

    @classmethod
    def load(cls, path: str | Path) -> VideoQualityModel:
        """Read a model written by :meth:`save`, every byte verified first.

        A file of an older format is read too; its model says less about a score.

        Raises:
            ModelFileError: If the file is missing, damaged, no model, or of a newer format.
        """
        arrays, record = read_model_file(Path(path))
        try:
            record = migrated(record)
            recipe = FeatureRecipe.from_dict(record["recipe"])
            trunk = Trunk.from_state(
                record["backbone"],
                recipe.taps,
                {name: torch.from_numpy(array) for name, array in under(TRUNK, arrays).items()},
                transform_input=bool(record["transform_input"]),
                batchnorm=recipe.batchnorm,
            )
            if trunk.fingerprint() != recipe.weights:
                raise ModelFileError(f"the network in {path} is not the one its recipe names")
            regressor = load_regressor(under(REGRESSOR, arrays), record["regressor"])
            known, around = record["calibration"], record["training_set"]
            return cls(
                trunk,
                recipe,
                regressor,
                Scale(**record["scale"]),
                dict(record["card"]),
                None if known is None else Calibration.load(under(CALIBRATION, arrays)),
                None if around is None else TrainingSet.load(under(TRAINING_SET, arrays), around),
            )
        except (KeyError, TypeError, ValueError, FmcvqaError) as error:
            raise ModelFileError(
                f"{path} is not a whole fmcvqa model ({error})", advice="fmcvqa fit writes one"
            ) from error
