"""Our own child processes that decode videos ahead of whoever reads them, and are killed when they get stuck.

DataLoader workers could not do this: they may have no children, and one that is killed ends the run (DESIGN,
"Streaming").
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmcvqa.data.decoding.base import (
    CHUNK_BYTES,
    MEMORY_BYTES,
    VIDEO_SECONDS,
    Decoder,
    Frame,
    OnDamage,
    Order,
    check_on_damage,
    shown,
)
from fmcvqa.data.decoding.salvage import salvaging
from fmcvqa.data.decoding.worker import Job, Limits, Worker, heard
from fmcvqa.errors import ConfigError, Damage, VideoError


@dataclass(frozen=True)
class DecodedChunk:
    """Consecutive kept frames of one video.

    Attributes:
        video_id: The video's id.
        frames: uint8 RGB ``[n, h, w, 3]``; valid until the next item is asked for.
        frame_indices: Index of each frame in presentation order.
        last: Whether the video ends here, undamaged where ``damage`` is None.
        reader: The library that read it, ``pyav``, ``decord`` or ``torchcodec``.
        damage: With a last chunk, what is wrong with the file behind its frames, where that is allowed.
    """

    video_id: str
    frames: Frame
    frame_indices: list[int]
    last: bool
    reader: str
    damage: Damage | None = None


@dataclass(frozen=True)
class FailedVideo:
    """A video that cannot be read; what came of it before is void."""

    video_id: str
    error: VideoError


Items = Generator[DecodedChunk | FailedVideo, None, None]


class DecodePool:
    """Decodes videos in child processes of its own.

    Args:
        decoder: What reads the files; it crosses to the children, so its class must be importable by name.
        num_workers: Children, each with one video at a time; 0 decodes here, without the guards.
        stride: Keep the frames whose index is a multiple of this.
        chunk_frames: At most so many frames a chunk.
        chunk_bytes: At most so many bytes a chunk; a child has two chunks of memory.
        timeout_seconds: A child that takes longer for one chunk is killed.
        video_seconds: A child that takes longer for one video is killed; time in which nobody takes its frames does
            not count.
        memory_bytes: A child may have so much more than at its start (Linux); a video that takes more is refused.
        damage: ``reject`` makes a damaged video fail; ``mark`` ends it with its last good frame, marked, if it has one
            (read by PyAV in one thread, whatever the decoder).

    Raises:
        ConfigError: If a number is out of range, or this machine cannot run the decoder.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        num_workers: int = 1,
        stride: int = 1,
        chunk_frames: int = 16,
        chunk_bytes: int = CHUNK_BYTES,
        timeout_seconds: float = 60.0,
        video_seconds: float = VIDEO_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        damage: OnDamage = "reject",
    ) -> None:
        check_on_damage("damage", damage)
        numbers = {"stride": stride, "chunk_frames": chunk_frames, "chunk_bytes": chunk_bytes}
        numbers["memory_bytes"] = memory_bytes
        for name, value in numbers.items():
            if value < 1:
                raise ConfigError(f"{name} is {value}", advice="give a number of at least 1")
        if num_workers < 0:
            raise ConfigError(f"num_workers is {num_workers}", advice="give 0 to decode in this process, or more")
        for name, seconds in (("timeout_seconds", timeout_seconds), ("video_seconds", video_seconds)):
            if not seconds > 0:
                raise ConfigError(f"{name} is {seconds}", advice="give a number of seconds above 0")
        if num_workers and "forkserver" not in multiprocessing.get_all_start_methods():
            raise ConfigError(
                f"num_workers is {num_workers}, but this system has no forkserver", advice="num_workers=0"
            )
        decoder.version()
        self.decoder = salvaging(decoder) if damage == "mark" else decoder
        self.num_workers, self.stride = num_workers, stride
        self.chunk_frames, self.chunk_bytes = chunk_frames, chunk_bytes
        self.order = Order(self.decoder, stride, chunk_frames, damage)
        self.limits = Limits(timeout_seconds, video_seconds, memory_bytes)
        self._workers: list[Worker] = []
        self.accept: Callable[[str], bool] | None = None  # asked just before a video is read; False leaves it out

    def decode(self, videos: Sequence[tuple[str, str | Path]]) -> Items:
        """Yields the chunks of all videos as they come.

        Chunks of one video come in order; with more than one child those of several videos are mixed. Each video
        ends with exactly one chunk that has ``last`` set, or one `FailedVideo`. Closing the iterator ends the children.

        Args:
            videos: Id and file of each.

        Yields:
            A chunk, or a video that failed; what to do about it is the caller's choice.

        Raises:
            RuntimeError: If the decoder has a bug, with the child's traceback.
            ConfigError: If a child cannot be started.
        """
        return self._decode_children(videos) if self.num_workers else self._decode_here(videos)

    def status(self) -> list[tuple[str, str]]:
        """Stage and file of each video that the children are at; any thread may ask."""
        jobs = [worker.job for worker in list(self._workers)]
        return [(job.stage, shown(job.path)) for job in jobs if job]

    def _decode_here(self, videos: Sequence[tuple[str, str | Path]]) -> Items:
        for video_id, path in videos:
            if self.accept is not None and not self.accept(video_id):
                continue
            job = Job(video_id, path)
            try:
                reader = self.decoder.reader_for(path)
                frames = job.watched(self.decoder.frames(path, stride=self.stride))
                stream = self.order.chunks(frames, lambda: np.empty(self.chunk_bytes, np.uint8), self.chunk_bytes)
                for block, indices, last, damage in stream:
                    yield DecodedChunk(video_id, block, indices, last, reader, damage)
            except VideoError as error:
                yield FailedVideo(video_id, job.failed(error))

    def _decode_children(self, videos: Sequence[tuple[str, str | Path]]) -> Items:
        queue = deque(Job(video_id, path) for video_id, path in videos)
        retries: deque[Job] = deque()
        workers = self._workers = []
        try:
            while True:
                self._assign(queue, retries, workers)
                busy = [worker for worker in workers if worker.job]
                if not busy:
                    return
                for worker in heard(busy):
                    yield from self._hear(worker, queue, retries)
                workers[:] = [worker for worker in workers if not worker.closed]
        finally:
            for worker in workers:
                worker.close()

    def _assign(self, queue: deque[Job], retries: deque[Job], workers: list[Worker]) -> None:
        """Gives videos to idle children; one that is retried runs alone."""
        while True:
            busy = [worker for worker in workers if worker.job]
            if any(worker.job and worker.job.retried for worker in busy) or (retries and busy):
                return
            source = retries or queue
            if not source or len(busy) == self.num_workers:
                return
            if self.accept is not None and not source[0].retried and not self.accept(source[0].video_id):
                source.popleft()
                continue
            worker = next((worker for worker in workers if not worker.job and not worker.closed), None)
            if worker is None:
                worker = Worker(self.order, self.chunk_bytes, self.limits)
                workers.append(worker)
            worker.start(source.popleft())

    def _hear(self, worker: Worker, queue: deque[Job], retries: deque[Job]) -> Items:
        """Acts on one message of a child, on its death, or on its silence."""
        job = worker.job
        if job is None:
            return
        message = worker.message() if job.waited < self.limits.video_seconds else worker.spent()
        kind = message[0]
        if kind == "chunk":
            _, slot, shape, (indices, last, damage, reader) = message
            job.delivered += 1
            frames = worker.slots.slot(slot)[: int(np.prod(shape))].reshape(shape)
            if last:  # while its last frames are used, the child opens the next video
                worker.job = None
                self._assign(queue, retries, self._workers)
            yield DecodedChunk(job.video_id, frames, indices, last, reader, damage)
            worker.give_back(slot)
        elif kind == "opened":
            job.stage = "decode"
        elif kind == "failed":
            worker.job = None
            _, code, problem, found, advice = message
            yield FailedVideo(job.video_id, job.failed(VideoError(code, problem, found=found, advice=advice)))
        elif kind == "bug":
            raise RuntimeError(f"the decoder failed on {shown(job.path)}:\n{message[1]}")
        elif kind == "dead" and not worker.ready:
            raise ConfigError(
                "the decoding process did not start",
                found=message[1],
                advice="see the lines above; the decoder's class must be importable by its name, or num_workers=0",
            )
        elif kind == "dead" and not job.retried:
            job.retried = True
            retries.append(job)
        elif kind == "dead":
            problem = f"the decoder died twice on {shown(job.path)}"
            error = VideoError(
                "E_DECODER_CRASH", problem, found=message[1], advice="leave the file out, or re-encode it"
            )
            yield FailedVideo(job.video_id, job.failed(error))
        elif kind in ("silent", "spent"):
            name, span = ("timeout_seconds", "for one chunk") if kind == "silent" else ("video_seconds", "in all")
            problem = f"decoding {shown(job.path)} took more than {getattr(self.limits, name):g} s {span}"
            advice = f"raise loader.{name} if the machine is slow, else leave the file out"
            yield FailedVideo(job.video_id, job.failed(VideoError("E_TIMEOUT", problem, advice=advice)))
