"""``fmcvqa extract``: the pooled Gram features of every video of a dataset, into the store."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from fmcvqa.data.decoding import Decoder
from fmcvqa.data.records import VideoDataset, VideoRecord
from fmcvqa.errors import SomeFailedError, VideoError
from fmcvqa.features.claims import Claims
from fmcvqa.features.extractor import PooledFeatures
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.features.store import FeatureStore
from fmcvqa.features.streaming import extract_features
from fmcvqa.files import write_atomic
from fmcvqa.hub import local_weights
from fmcvqa.tasks.job import job_folder, plain_config
from fmcvqa.tasks.networks import AskedNetwork
from fmcvqa.tasks.settings import build, check, trainer_of
from fmcvqa.tasks.sharding import gathered, shard_of, speaks

log = logging.getLogger(__name__)
FAILURES = "failures.jsonl"
_OURS = ("records", "network", "recipe", "decoder", "done", "failed", "accept", "on_frames", "trainer")
_PATIENCE = 2.0  # seconds between two looks at what others are at


def run(cfg: DictConfig) -> float:
    """Extract what is missing; gives the number of videos in the store.

    Raises:
        DatasetError: If the dataset is not complete.
        SomeFailedError: If videos could not be read; the others are in the store.
    """
    dataset: VideoDataset = build(cfg.data)
    records = shard_of(dataset.records(), cfg.shard)
    extraction = Extraction.from_config(cfg)
    store = extraction.ensure(dataset.name, records)
    if speaks():
        part = f" (shard {cfg.shard})" if cfg.shard else ""
        noted = _noted(len(store.damaged(record.id for record in records)))
        print(f"{len(records)} videos of {dataset.name}{part}{noted}: features in {store.folder}")
    return float(len(records))


@dataclass(frozen=True)
class Extraction:
    """A network, a recipe and a decoder put together by a config, and where features go."""

    network: AskedNetwork
    recipe: FeatureRecipe
    decoder: Decoder
    cache: Path
    loader: dict[str, Any]
    trainer: dict[str, Any]

    @classmethod
    def from_config(cls, cfg: DictConfig) -> Extraction:
        """Build what ``model``, ``recipe``, ``decoder``, ``loader``, ``trainer`` and ``paths`` of a config name."""
        recipe: FeatureRecipe = build(cfg.recipe)
        decoder: Decoder = build(cfg.decoder)
        model, loader = plain_config(cfg.model), plain_config(cfg.loader)
        check("model", model, name=str, weights=str, seed=int)
        check("loader", loader, extract_features, apart=_OURS, compiled=bool)
        weights = local_weights(str(model["weights"]))
        network = AskedNetwork(model["name"], recipe.taps, weights, model["seed"], recipe.batchnorm)
        bound = recipe.bind(
            backbone=model["name"],
            weights=network.fingerprint(),
            decoder=decoder.name,
            decoder_version=decoder.version(),
        )
        return cls(network, bound, decoder, Path(cfg.paths.cache), loader, trainer_of(cfg.trainer).keywords)

    def ensure(self, dataset: str, records: Sequence[VideoRecord]) -> FeatureStore:
        """The store that holds every record's features, after extracting those it lacks.

        Raises:
            SomeFailedError: If videos could not be read; the others are kept.
        """
        store = FeatureStore(self.cache, dataset, self.recipe)
        missing = store.missing(records)
        log.info("%d of %d videos of %s to extract", len(missing), len(records), dataset)
        failures: list[dict[str, Any]] = []
        if missing:
            self._share(store, missing, failures)
            failures = gathered(failures)
        failed = {failure["id"] for failure in failures}
        kept = [record.id for record in records if record.id not in failed]
        _write_failures(failures, done=len(kept), marked=len(store.damaged(kept)) if failures else 0)
        return store

    def _share(self, store: FeatureStore, missing: list[VideoRecord], failures: list[dict[str, Any]]) -> None:
        """Extract what no other process is at, wait for the others, and take over from those that have died."""
        with store.claims(missing) as claims:
            self._extract(store, missing, failures, claims)
            while not torch.distributed.is_initialized():  # ranks have each a part, and must stay in step
                failed = {failure["id"] for failure in failures}
                missing = [record for record in store.missing(missing) if record.id not in failed]
                free = [record for record in missing if claims.free(record.id)]
                if free:
                    self._extract(store, free, failures, claims)
                elif missing:
                    log.info("waiting for %d videos that other processes are at", len(missing))
                    time.sleep(_PATIENCE)
                else:
                    return

    def _extract(
        self, store: FeatureStore, missing: list[VideoRecord], failures: list[dict[str, Any]], claims: Claims
    ) -> None:
        by_id = {record.id: record for record in missing}

        def done(pooled: PooledFeatures) -> None:
            record, damage = by_id[pooled.video_id], pooled.damage
            store.write(record, pooled.blocks, frames=pooled.frames, reader=pooled.reader, damage=damage)
            if damage is not None:
                used = f"its first {pooled.frames} frames are used"
                log.warning("%s is marked as damaged, %s: %s: %s", record.path, used, *damage)
            claims.drop(pooled.video_id)

        def failed(video_id: str, error: VideoError) -> None:
            path = str(by_id[video_id].path)
            failures.append(
                {
                    "id": video_id,
                    "path": path,
                    "code": error.code,
                    "stage": error.stage,
                    "seconds": error.seconds,
                    "error": str(error),
                }
            )
            claims.drop(video_id)

        loader = dict(self.loader)
        compiled_frames = loader["chunk_frames"] if loader.pop("compiled") else 0
        extract_features(
            missing,
            self.network.ready(self.recipe.precision, compiled_frames),
            self.recipe,
            self.decoder,
            done=done,
            failed=failed,
            accept=claims.take,
            trainer=self.trainer,
            **loader,
        )


def _write_failures(failures: list[dict[str, Any]], *, done: int, marked: int) -> None:
    path = job_folder() / FAILURES
    if speaks():
        path.unlink(missing_ok=True)
    if not failures:
        return
    if speaks():
        write_atomic(path, "".join(json.dumps(failure) + "\n" for failure in failures).encode())
    named = "; ".join(failure["error"] for failure in failures[:5])
    more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""
    raise SomeFailedError(
        f"{len(failures)} of {done + len(failures)} videos could not be read: {named}{more}",
        found=f"the features of the other {done} are kept" + _noted(marked),
        advice=f"mend or remove the files named in {path}, then the same command again",
    )


def _noted(marked: int) -> str:
    return f", {marked} marked as damaged" if marked else ""
