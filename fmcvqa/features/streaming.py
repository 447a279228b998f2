"""Videos streamed through the network, each handed on as soon as its features are there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from fmcvqa.data.decoding import MEMORY_BYTES, VIDEO_SECONDS, DecodePool, Decoder
from fmcvqa.data.frames import FrameBatch, VideoFrameDataModule
from fmcvqa.data.preprocess import Preprocess
from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import ConfigError, VideoError
from fmcvqa.features.extractor import GramExtractor, OnFrames, PooledFeatures
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.files import file_state
from fmcvqa.heartbeat import Heartbeat
from fmcvqa.memory import kept_memory
from fmcvqa.models.inference import InferenceTrunk
from fmcvqa.models.trunk import Trunk
from fmcvqa.trainer import by_itself, listed, make_trainer, quiet

_PARTS = ("limit_predict_batches", "fast_dev_run")


class _Deliver(Callback):
    """Hands each finished video on, and tells the heartbeat where the run is."""

    def __init__(self, done: Callable[[PooledFeatures], None], beat: Heartbeat) -> None:
        self._done, self._beat = done, beat

    def on_predict_batch_start(self, trainer: Any, module: Any, batch: FrameBatch, *_: Any) -> None:
        self._beat.at(f"features of {batch.video_id}")

    def on_predict_batch_end(self, trainer: Any, module: Any, outputs: PooledFeatures | None, *_: Any) -> None:
        if outputs is not None:
            self._beat.at(f"store of {outputs.video_id}")
            self._done(outputs)
        self._beat.at("")


def extract_features(
    records: Sequence[VideoRecord],
    network: Trunk | InferenceTrunk,
    recipe: FeatureRecipe,
    decoder: Decoder,
    *,
    done: Callable[[PooledFeatures], None],
    failed: Callable[[str, VideoError], None] | None = None,
    accept: Callable[[str], bool] | None = None,
    on_frames: OnFrames | None = None,
    trainer: dict[str, Any] | None = None,
    num_workers: int = 1,
    chunk_frames: int = 16,
    timeout_seconds: float = 60.0,
    video_seconds: float = VIDEO_SECONDS,
    memory_bytes: int = MEMORY_BYTES,
    heartbeat_seconds: float = 30.0,
    progress: bool = True,
) -> None:
    """Stream videos through the network and hand on each one's pooled features as it ends.

    Args:
        records: The videos.
        network: The network; its taps are those of the recipe. A trunk is made ready in the recipe's precision; one
            that is ready (and perhaps compiled) is worth keeping from one call to the next.
        recipe: All but the network and the decoder.
        decoder: Reads the files.
        done: Called with the features of each finished video.
        failed: Called with (video id, error) for each video that cannot be read; without it the first one raises.
        on_frames: Called with each batch of frames and their vectors by tap, such as ``WindowPools``.
        accept: Asked with its id just before a video is read; False leaves it out.
        trainer: More arguments of ``lightning.Trainer``, such as ``accelerator`` and ``devices``, which is 1.
        num_workers: Decoding child processes; 0 decodes in this process.
        chunk_frames: Frames of a batch; no feature depends on it.
        timeout_seconds: How long a child may take over one chunk.
        video_seconds: How long it may take over one video.
        memory_bytes: How much memory it may take.
        heartbeat_seconds: How long nothing may move before the log says at which video and stage the run is.
        progress: Whether to show a bar on stderr.

    Raises:
        VideoError: If a video cannot be read and ``failed`` is not given.
        ConfigError: If ``trainer`` or the network has another precision than the recipe, or Lightning refuses it;
            or would see a part of the videos; or if a number is out of its range.
    """
    arguments = {"precision": recipe.precision, "devices": 1, **(trainer or {})}
    if arguments["precision"] != recipe.precision:
        raise ConfigError(
            f"trainer.precision is {arguments['precision']} but recipe.precision is {recipe.precision}",
            advice="recipe.precision alone, which the stored features are named by",
        )
    if part := next(
        (name for name in _PARTS if arguments.get(name) is not None and arguments[name] is not False), None
    ):
        problem = f"trainer.{part} would leave out the ends of videos"
        raise ConfigError(problem, advice="fewer videos among the labels, or recipe.stride")
    if not heartbeat_seconds > 0:
        raise ConfigError(f"heartbeat_seconds is {heartbeat_seconds}", advice="give a number of seconds above 0")
    arguments["precision"] = "32-true"  # the extractor converts its network itself, once instead of at each call
    ready = network if isinstance(network, InferenceTrunk) else InferenceTrunk(network, recipe.precision)
    if ready.precision != recipe.precision:
        raise ConfigError(
            f"the network computes in {ready.precision} but recipe.precision is {recipe.precision}",
            advice=f"InferenceTrunk(trunk, {recipe.precision!r})",
        )
    extractor = GramExtractor(ready, on_frames, recipe=recipe, batch_frames=chunk_frames)

    paths, read = {record.id: record.path for record in records}, dict[str, tuple[int, ...]]()

    def on_accept(video_id: str) -> bool:
        read[video_id] = file_state(paths[video_id])
        return accept is None or accept(video_id)

    def on_done(pooled: PooledFeatures) -> None:
        try:
            pooled.check_finite()
            if file_state(path := paths[pooled.video_id]) != read[pooled.video_id]:
                problem = f"the file {path} changed while it was read"
                raise VideoError("E_CHANGED", problem, advice="the same command when nothing writes to it")
        except VideoError as error:
            return on_failure(pooled.video_id, error.at("features", 0.0))
        bar.update()
        return done(pooled)

    def on_failure(video_id: str, error: VideoError) -> None:
        extractor.discard(video_id)
        bar.update()
        if failed is None:
            raise error
        failed(video_id, error)

    frames = VideoFrameDataModule(
        records,
        decoder=decoder,
        stride=recipe.stride,
        chunk_frames=chunk_frames,
        num_workers=num_workers,
        preprocess=preprocess_of(recipe, ready.smallest),
        timeout_seconds=timeout_seconds,
        video_seconds=video_seconds,
        memory_bytes=memory_bytes,
        on_failure=on_failure,
        accept=on_accept,
        damage=recipe.damage,
    )
    # One bar over videos instead of Lightning's bar over an unknown number of chunks.
    bare: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    with (
        tqdm(total=len(records), unit="video", desc="extract", disable=not progress) as bar,
        Heartbeat(heartbeat_seconds, lambda: _children(frames.pool)) as beat,
        kept_memory(),
        _unfilled(),
    ):
        bare["callbacks"] = [*listed(arguments.get("callbacks")), _Deliver(on_done, beat)]
        engine = make_trainer(**by_itself(**{**arguments, **bare}))
        with quiet():
            warnings.filterwarnings("ignore", message="predict returned None")  # until a video's last chunk
            engine.predict(extractor, datamodule=frames, return_predictions=False)


@contextmanager
def _unfilled() -> Iterator[None]:
    """Memory is not filled before it is written, as torch does in its deterministic mode with every new tensor."""
    settings: Any = torch.utils.deterministic
    before = settings.fill_uninitialized_memory
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        settings.fill_uninitialized_memory = before


def _children(pool: DecodePool) -> str:
    return ", ".join(f"{stage} of {path}" for stage, path in pool.status()) or "decode in this process"


def preprocess_of(recipe: FeatureRecipe, smallest: int) -> Preprocess:
    """The preprocessing a recipe asks for, of frames that are not smaller in the end."""
    return Preprocess(
        resize=recipe.resize,
        crop=recipe.crop,
        mean=recipe.mean,
        std=recipe.std,
        jpeg_quality=recipe.jpeg_quality,
        smallest=smallest,
    )
