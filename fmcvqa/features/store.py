"""Pooled features on disk, one verified file per video, under the key of the recipe that made them.

Layout: ``<cache>/<dataset>/<key>/<video id>.safetensors`` with arrays ``<tap>/<pool>`` in float32, beside a
``recipe.json``. An entry is there whole or not at all, so any number of processes can share a store.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import Damage, StoreError
from fmcvqa.features.claims import Claims
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.files import file_digest, write_atomic
from fmcvqa.sealed import DamagedError, read_sealed, write_sealed

Blocks = Mapping[tuple[str, str], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class SourceStamp:
    """Which file an entry was made from: its size in bytes, time of change in ns, and SHA-256."""

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> SourceStamp:
        """The stamp of a file."""
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns, file_digest(path))

    def matches(self, path: Path) -> bool:
        """Whether a file still has the stamped content; the bytes are read only when its time has changed."""
        try:
            stat = path.stat()
        except OSError:
            return False
        if stat.st_size != self.size:
            return False
        return stat.st_mtime_ns == self.mtime_ns or file_digest(path) == self.sha256


class FeatureStore:
    """The features of one dataset made by one recipe.

    Args:
        cache: Folder that holds the features of all datasets.
        dataset: Dataset name; made file-system safe.
        recipe: Recipe bound to weights and a decoder.
    """

    def __init__(self, cache: Path | str, dataset: str, recipe: FeatureRecipe) -> None:
        self.recipe = recipe
        slug = re.sub(r"[^a-z0-9]+", "_", dataset.lower()).strip("_")
        self.folder = Path(cache) / slug / recipe.key()[:32]
        self._to_write = 0  # of what was claimed
        self._records: dict[str, dict[str, Any]] = {}  # of verified entries

    def path(self, video_id: str) -> Path:
        """The file of one video's features."""
        return self.folder / f"{video_id}.safetensors"

    def write(
        self, record: VideoRecord, blocks: Blocks, *, frames: int, reader: str, damage: Damage | None = None
    ) -> None:
        """Keep one video's pooled features.

        Args:
            record: The video.
            blocks: ``{(tap, pool): [d]}``.
            frames: Number of frames pooled.
            reader: Library that read them.
            damage: What is wrong with the file behind these frames; kept with them.

        Raises:
            StoreError: If a value is not finite, or the disk refuses.
        """
        bad = [f"{tap}/{pool}" for (tap, pool), values in blocks.items() if not np.isfinite(values).all()]
        if bad:
            raise StoreError(f"the features of {record.id} are not finite in {', '.join(bad)}")
        self._records.pop(record.id, None)
        entry: dict[str, Any] = {"video": record.id, "key": self.recipe.key(), "frames": frames, "reader": reader}
        if damage is not None:
            entry["damage"] = damage._asdict()
        arrays = {f"{tap}/{pool}": np.asarray(values, np.float32) for (tap, pool), values in blocks.items()}
        need = sum(array.nbytes for array in arrays.values())
        source = asdict(SourceStamp.of(record.path))
        try:
            if not (self.folder / "recipe.json").exists():
                text = json.dumps(self.recipe.to_dict(), indent=1, sort_keys=True)
                write_atomic(self.folder / "recipe.json", text.encode())
            write_sealed(self.path(record.id), arrays, {**entry, "source": source})
        except OSError as error:
            raise self._refused(record.id, need, error) from error
        self._to_write = max(self._to_write - 1, 0)

    def _refused(self, video_id: str, need: int, error: OSError) -> StoreError:
        """What to say where the disk does not take an entry: how much is needed, and how much is free."""
        try:
            free = f"{shutil.disk_usage(self.folder).free / 1e6:.1f} MB free"
        except OSError:
            free = ""
        rest = f", {self._to_write * need / 1e6:.1f} MB for {self._to_write} videos" if self._to_write else ""
        return StoreError(
            f"the features of {video_id} ({need / 1e6:.1f} MB{rest}) cannot be written to {self.folder}: "
            f"{error.strerror}",
            found=free,
            advice="free space or choose another folder with paths.cache=; finished videos are kept",
        )

    def read(self, video_id: str) -> tuple[dict[tuple[str, str], npt.NDArray[np.float32]], dict[str, Any]]:
        """One video's features ``{(tap, pool): [d]}`` and their record, verified.

        Raises:
            KeyError: If there is no entry.
            DamagedError: If the entry's bytes have changed; it has then been set aside as ``*.damaged``.
        """
        path = self.path(video_id)
        try:
            arrays, record = read_sealed(path)
        except FileNotFoundError:
            raise KeyError(video_id) from None
        except DamagedError:
            with contextlib.suppress(FileNotFoundError):  # another process has just done it
                path.replace(path.with_suffix(".damaged"))
            raise
        blocks = {(tap, pool): array for name, array in arrays.items() for tap, _, pool in [name.rpartition("/")]}
        return blocks, record

    def source_digest(self, video_id: str) -> str:
        """SHA-256 of the video file an entry was made from."""
        return str(self._record(video_id)["source"]["sha256"])

    def damaged(self, video_ids: Iterable[str]) -> dict[str, Damage]:
        """Those of the videos whose features are marked, and with what; only ``recipe.damage=mark`` makes such."""
        if self.recipe.damage != "mark":
            return {}
        marks = {video_id: self._record(video_id).get("damage") for video_id in video_ids}
        return {video_id: Damage(**mark) for video_id, mark in marks.items() if mark is not None}

    def _record(self, video_id: str) -> dict[str, Any]:
        if video_id not in self._records:
            self._records[video_id] = self.read(video_id)[1]
        return self._records[video_id]

    def missing(self, records: Iterable[VideoRecord]) -> list[VideoRecord]:
        """The videos without a whole, verified entry made from the file as it is now."""
        return [record for record in records if not self._holds(record)]

    def _holds(self, record: VideoRecord) -> bool:
        try:
            _, entry = self.read(record.id)
        except (KeyError, DamagedError):
            return False
        self._records[record.id] = entry
        return SourceStamp(**entry["source"]).matches(record.path)

    def claims(self, records: Sequence[VideoRecord]) -> Claims:
        """Claims of this process on videos, so that processes that share the store compute each one once."""
        by_id = {record.id: record for record in records}
        self._to_write = len(records)

        def held(video_id: str) -> bool:
            return self._holds(by_id[video_id]) if video_id in by_id else self.path(video_id).exists()

        return Claims(self.folder, held)

    def load(self, video_ids: Sequence[str], taps: Sequence[str], pools: Sequence[str]) -> FeatureMatrix:
        """The features of many videos as one matrix per (tap, pool), rows in the order of ``video_ids``.

        Raises:
            StoreError: If a video has no entry or a damaged one, naming all of them.
        """
        names = [(tap, pool) for tap in taps for pool in pools]
        rows: dict[tuple[str, str], npt.NDArray[np.float32]] = {}
        lost: list[str] = []
        for row, video_id in enumerate(video_ids):
            try:
                blocks, _ = self.read(video_id)
            except (KeyError, DamagedError):
                lost.append(video_id)
                continue
            for name in names:
                # One array for all videos from the start: stacking at the end would hold everything twice.
                rows.setdefault(name, np.empty((len(video_ids), blocks[name].shape[0]), np.float32))[row] = blocks[name]
        if lost:
            raise StoreError(
                f"{len(lost)} of {len(video_ids)} videos have no features in {self.folder}: {', '.join(lost)}",
                advice="fmcvqa extract with the same settings; finished videos are kept",
            )
        return FeatureMatrix(list(video_ids), rows)
