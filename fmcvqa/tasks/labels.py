"""Whether labels can be learnt from, said before the first video is decoded."""

from __future__ import annotations

import logging

from fmcvqa.data.labels import CSVVideos
from fmcvqa.data.records import VideoDataset
from fmcvqa.errors import DatasetError
from fmcvqa.regression.protocol_base import FEWEST_VIDEOS

log = logging.getLogger(__name__)


def check_labels(dataset: VideoDataset) -> None:
    """Refuse labels that no model can be trained and tested on; say which scale is taken where none was given.

    What is wrong with single rows (values outside ``data.mos_range``, a clip that is named twice) the reader of the
    labels refuses itself, row by row.

    Raises:
        DatasetError: If the labels cannot be used, are too few, or are all the same.
    """
    scores = [label.mos for label in dataset.labels()]
    if len(scores) < FEWEST_VIDEOS:
        raise DatasetError(
            f"{dataset.name} has {len(scores)} labelled videos",
            advice=f"label {FEWEST_VIDEOS} or more: with fewer nothing can be tested, and a hundred are a fair start",
        )
    if len(set(scores)) == 1:
        raise DatasetError(
            f"all {len(scores)} labels of {dataset.name} are {scores[0]:g}", advice="give videos of different quality"
        )
    if isinstance(dataset, CSVVideos) and not dataset.range_given:
        low, high = dataset.mos_range
        log.warning(
            "the scale of %s is taken to be that of its labels, %g to %g; data.mos_range=[1,5] would state it, and "
            "refuse labels outside",
            dataset.name,
            low,
            high,
        )
