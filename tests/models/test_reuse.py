"""The network of a model file as the start of another."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fmcvqa.errors import ModelFileError, WeightsError
from fmcvqa.models.backbones import load_backbone
from fmcvqa.models.trunk import Trunk
from fmcvqa.sealed import write_sealed

TAPS = ("features.4", "features.6")
RECORD = {"format": 2, "backbone": "squeezenet1_1", "transform_input": False, "recipe": {"taps": list(TAPS)}}


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return Trunk("squeezenet1_1", TAPS, "none", seed=5)


@pytest.fixture
def file(trunk: Trunk, tmp_path: Path) -> Path:
    arrays = {f"trunk/{name}": tensor.numpy() for name, tensor in trunk.state_dict().items()}
    write_sealed(tmp_path / "my.fmcvqa", arrays, RECORD)
    return tmp_path / "my.fmcvqa"


@pytest.mark.parametrize("taps", [TAPS[::-1], ("features.3",), ("features.6", "features.4.squeeze")])
def test_it_is_used_as_far_as_it_goes(taps: tuple[str, ...], file: Path, trunk: Trunk) -> None:
    taken = Trunk("squeezenet1_1", taps, file)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    own = Trunk("squeezenet1_1", taps, "none", seed=5)
    for tap, maps in own(x).items():
        assert torch.equal(taken(x)[tap], maps)
    assert taken.fingerprint() == own.fingerprint()
    assert (taken.fingerprint() == trunk.fingerprint()) == ("features.6" in taps)
    assert not any(parameter.requires_grad for parameter in taken.parameters())


def test_transform_input_comes_along(tmp_path: Path) -> None:
    made = Trunk("inception_v3", ("Conv2d_1a_3x3",), "none")
    arrays = {f"trunk/{name}": tensor.numpy() for name, tensor in made.state_dict().items()}
    record = {**RECORD, "backbone": "inception_v3", "recipe": {"taps": ["Conv2d_1a_3x3"]}}
    write_sealed(tmp_path / "my.fmcvqa", arrays, {**record, "transform_input": True})
    assert not made.transform_input
    assert Trunk("inception_v3", ("Conv2d_1a_3x3",), tmp_path / "my.fmcvqa").transform_input


def test_what_it_cannot_give_is_told(file: Path) -> None:
    with pytest.raises(WeightsError) as deeper:
        Trunk("squeezenet1_1", ("features.4", "features.7"), file)
    assert str(deeper.value) == (
        f"the network in {file} ends before the taps features.4, features.7. "
        "Found: it was kept as deep as features.4, features.6 need it. "
        "Try: recipe.taps=[features.4,features.6] features.layers=[features.4], or a deeper model"
    )
    with pytest.raises(WeightsError) as other:
        Trunk("resnet50", ("layer1",), file)
    assert str(other.value) == (
        f"the network in {file} is not resnet50. Found: squeezenet1_1. Try: model=squeezenet1_1 model.weights={file}"
    )
    with pytest.raises(WeightsError) as whole:
        load_backbone("squeezenet1_1", file)
    assert str(whole.value) == (
        f"{file} holds a network only as deep as its model needs it, not a whole squeezenet1_1. "
        "Try: fmcvqa fit, extract and sweep can use it; to fine-tune, give a .ckpt, .pth or .safetensors file"
    )
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="bytes that are not a whole fmcvqa model"):
        Trunk("squeezenet1_1", TAPS, file)
