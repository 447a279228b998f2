"""Videos as a stream of frame chunks for any Lightning module."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

import lightning
import numpy as np
import torch
from torch import distributed
from torch.utils.data import DataLoader, IterableDataset

from fmcvqa.data.decoding import (
    CHUNK_BYTES,
    MEMORY_BYTES,
    VIDEO_SECONDS,
    DecodedChunk,
    DecodePool,
    Decoder,
    OnDamage,
    TorchCodecDecoder,
    make_decoder,
)
from fmcvqa.data.preprocess import Preprocess
from fmcvqa.data.records import VideoRecord, refuse_one
from fmcvqa.errors import ConfigError, Damage, DatasetError, VideoError

Stream = Generator["FrameBatch", None, None]


@dataclass
class FrameBatch:
    """Consecutive frames of one video; not frozen, as Lightning's transfer to the device writes the fields.

    Attributes:
        frames: uint8 RGB ``[n, 3, h, w]`` as decoded; float32 ``[n, 3, size, size]`` after the transfer.
        frame_indices: Index of each frame in the video, in presentation order; our decoders give a ``FrameIndex``,
            whose ``seconds`` say when the frame is shown.
        video_id: The video's id.
        last: Whether this is the video's last chunk; it comes only if the whole video was read without damage, or
            if damage is marked.
        reader: The library that read the video, ``pyav``, ``decord`` or ``torchcodec``.
        damage: With the last chunk, the damage that ended the video, where that is marked.
    """

    frames: torch.Tensor
    frame_indices: list[int]
    video_id: str
    last: bool
    reader: str = ""
    damage: Damage | None = None


class VideoFrameDataModule(lightning.LightningDataModule):
    """Streams the frames of videos to the device, decoded in child processes that run ahead.

    A batch is one chunk of one video. The chunks of a video come in order; with ``num_workers`` above 1 those of
    several videos are mixed, at most ``num_workers`` at a time. Preprocessing runs on the device, after the transfer.
    When ``torch.distributed`` is up each rank gets every world-size-th video.

    Args:
        videos: Records, or files whose names without ending become the ids.
        decoder: ``"pyav"``, ``"decord"``, ``"torchcodec"`` or a decoder object whose class is importable by name.
        stride: Keep the frames whose index is a multiple of this.
        chunk_frames: At most so many frames a batch; large frames make smaller batches.
        num_workers: Decoding child processes; 0 decodes in this process, without protection against bad files.
        preprocess: Applied to the frames on the device; None leaves them uint8.
        timeout_seconds: A child that takes longer for one chunk is killed.
        video_seconds: A child that takes longer for one video is killed; time in which nobody takes its frames does
            not count.
        memory_bytes: A child may have so much more than at its start (Linux); a video that takes more is refused.
        on_failure: Called with (video id, error) for a video that cannot be read, and the stream goes on; whatever
            came of that video is void. As loaders fetch ahead, its previous chunk may not have been used yet at that
            moment; what still comes of it has no frames. Without it the first bad video raises.
        chunk_bytes: At most so many bytes of uint8 frames a batch.
        accept: Asked with its id just before a video is read; False leaves it out. Without it all are read.
        damage: ``reject`` makes a damaged video fail; ``mark`` ends it with its last good frame, marked, if it has one
            (read by PyAV in one thread, whatever the decoder).

    Raises:
        DatasetError: If two videos have the same id.
        ConfigError: If a single path is given, a number is out of range or the decoder is not to be had.
    """

    def __init__(
        self,
        videos: Sequence[VideoRecord | str | Path],
        *,
        decoder: str | Decoder = "pyav",
        stride: int = 1,
        chunk_frames: int = 16,
        num_workers: int = 1,
        preprocess: Preprocess | None = Preprocess(),  # noqa: B008 - it keeps constants alone
        timeout_seconds: float = 60.0,
        video_seconds: float = VIDEO_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        on_failure: Callable[[str, VideoError], None] | None = None,
        chunk_bytes: int = CHUNK_BYTES,
        accept: Callable[[str], bool] | None = None,
        damage: OnDamage = "reject",
    ) -> None:
        super().__init__()
        self.videos = _with_ids(videos)
        self.pool = DecodePool(
            make_decoder(decoder),
            num_workers=num_workers,
            stride=stride,
            chunk_frames=chunk_frames,
            chunk_bytes=chunk_bytes,
            timeout_seconds=timeout_seconds,
            video_seconds=video_seconds,
            memory_bytes=memory_bytes,
            damage=damage,
        )
        if num_workers and isinstance(self.pool.decoder, TorchCodecDecoder) and self.pool.decoder.on_device:
            problem = f"num_workers is {num_workers}, but a decoder that leaves frames on the GPU runs in this process"
            raise ConfigError(problem, advice="num_workers=0")
        self.pool.accept = accept
        self.preprocess = preprocess
        self.on_failure = on_failure
        self._streams: WeakSet[Stream] = WeakSet()
        self._failed: set[str] = set()  # of the stream that was begun last

    def predict_dataloader(self) -> DataLoader[FrameBatch]:
        """All videos once, in their order."""
        return self._loader(shuffle=False)

    def train_dataloader(self) -> DataLoader[FrameBatch]:
        """The same chunks, the videos in an order that changes with every epoch and follows torch's seed."""
        return self._loader(shuffle=True)

    def on_after_batch_transfer(self, batch: FrameBatch, dataloader_idx: int) -> FrameBatch:
        """Preprocesses the frames where they are now; of a video that has failed there are none."""
        if self.preprocess is None:
            return batch
        try:
            if batch.video_id not in self._failed:
                batch.frames = self.preprocess(batch.frames)
                return batch
        except VideoError as error:
            self._fail(batch.video_id, error.at("features", 0.0))
        batch.frames = batch.frames[:0].to(torch.float32)
        return batch

    def teardown(self, stage: str) -> None:
        """Ends the children of streams that were not read to their end."""
        self.close()

    def on_exception(self, exception: BaseException) -> None:
        """The same, when a run breaks off."""
        self.close()

    def close(self) -> None:
        """Ends every child process this object still has."""
        for stream in list(self._streams):
            stream.close()

    def _loader(self, *, shuffle: bool) -> DataLoader[FrameBatch]:
        def start() -> Stream:
            stream = self._stream(shuffle)
            self._streams.add(stream)
            return stream

        # The children are the pool's; the loader only hands on what they have finished, so this advice is wrong here.
        warnings.filterwarnings("ignore", message="The '.*_dataloader' does not have many workers")
        return DataLoader(_Chunks(start), batch_size=None, num_workers=0)

    def _stream(self, shuffle: bool) -> Stream:
        videos = _of_this_rank(self._shuffled() if shuffle else self.videos)
        self._failed.clear()
        if isinstance(self.pool.decoder, TorchCodecDecoder) and self.pool.decoder.on_device:
            yield from self._stream_on_device(videos, self.pool.decoder)
            return
        with closing(self.pool.decode(videos)) as items:
            for item in items:
                if isinstance(item, DecodedChunk):
                    about = item.frame_indices, item.video_id, item.last, item.reader, item.damage
                    yield FrameBatch(_to_tensor(item, pinned=self._to_a_gpu()), *about)
                else:
                    self._fail(item.video_id, item.error)

    def _fail(self, video_id: str, error: VideoError) -> None:
        """Say once of a video that it failed."""
        if self.on_failure is None:
            raise error
        if video_id not in self._failed:
            self._failed.add(video_id)
            self.on_failure(video_id, error)

    def _to_a_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def _stream_on_device(self, videos: list[tuple[str, str | Path]], decoder: TorchCodecDecoder) -> Stream:
        """Frames that never leave the GPU; a chunk is handed out after the one behind it, as in ``chunks``."""
        pool = self.pool
        for video_id, path in videos:
            if pool.accept is not None and not pool.accept(video_id):
                continue
            try:
                chunks = decoder.tensors(
                    path, stride=pool.stride, chunk_frames=pool.chunk_frames, chunk_bytes=pool.chunk_bytes
                )
                pending = next(chunks, None)
                while pending is not None:
                    (frames, indices), pending = pending, next(chunks, None)
                    yield FrameBatch(frames.permute(0, 3, 1, 2), list(indices), video_id, pending is None, decoder.name)
            except VideoError as error:
                self._fail(video_id, error)

    def _shuffled(self) -> list[tuple[str, str | Path]]:
        return [self.videos[k] for k in torch.randperm(len(self.videos)).tolist()]


class _Chunks(IterableDataset[FrameBatch]):
    def __init__(self, start: Callable[[], Stream]) -> None:
        self._start = start

    def __iter__(self) -> Stream:
        return self._start()


def _with_ids(videos: Sequence[VideoRecord | str | Path]) -> list[tuple[str, str | Path]]:
    refuse_one(videos)
    named: list[tuple[str, str | Path]] = [
        (video.id, video.path) if isinstance(video, VideoRecord) else (Path(video).stem, video) for video in videos
    ]
    twice = sorted(name for name, count in Counter(name for name, _ in named).items() if count > 1)
    if twice:
        raise DatasetError(
            f"{len(twice)} of {len(named)} videos share their id with another",
            found=", ".join(twice[:5]) + (", ..." if len(twice) > 5 else ""),
            advice="give VideoRecords with ids of their own",
        )
    return named


def _of_this_rank(videos: list[tuple[str, str | Path]]) -> list[tuple[str, str | Path]]:
    if distributed.is_available() and distributed.is_initialized():
        return videos[distributed.get_rank() :: distributed.get_world_size()]
    return videos


def _to_tensor(chunk: DecodedChunk, *, pinned: bool) -> torch.Tensor:
    """A copy the decoder cannot overwrite, pinned where a GPU will fetch it; channels come last in memory."""
    memory = torch.empty(chunk.frames.shape, dtype=torch.uint8, pin_memory=pinned)
    np.copyto(memory.numpy(), chunk.frames)
    return memory.permute(0, 3, 1, 2)
