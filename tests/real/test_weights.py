from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import normalize, pil_to_tensor

from fmcvqa.models.trunk import Trunk

pytestmark = pytest.mark.real


@pytest.fixture
def squeezenet(real_data: Path, caplog: pytest.LogCaptureFixture) -> Trunk:
    path = real_data / "weights" / "squeezenet1_1_features_torchvision.pth"
    with caplog.at_level(logging.INFO):
        trunk = Trunk("squeezenet1_1", ["features.6", "features.7", "classifier.avgpool"], path)
    assert caplog.messages == []  # it has no classifier, and none is needed
    return trunk


def test_real_weights_load(squeezenet: Trunk) -> None:
    assert not squeezenet.transform_input
    assert len(squeezenet.state_dict()) == 50
    assert squeezenet.fingerprint() == "39982e4eedcfed7467527271d2e78928f43182041b4ecc3f320716d234a246ed"


def test_real_weights_see_noise(squeezenet: Trunk, real_data: Path) -> None:
    """Trained filters answer a genuine photograph and its noisy copy differently, and each of them anywhere."""
    files = sorted(p for p in (real_data / "tid2013_samples").iterdir() if p.suffix.lower() in (".bmp", ".png"))
    assert len(files) == 2
    images = [pil_to_tensor(Image.open(path).convert("RGB")).float() / 255 for path in files]
    batch = normalize(torch.stack(images), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    maps = squeezenet(batch)
    assert maps["features.6"].shape == (2, 256, 47, 63)
    for tap, each in maps.items():
        assert torch.isfinite(each).all()
        assert (each.amax((0, 2, 3)) > 0).float().mean() > 0.9, tap
    vectors = maps["classifier.avgpool"].flatten(1)
    assert 0.2 < torch.cosine_similarity(vectors[0], vectors[1], dim=0) < 0.98
