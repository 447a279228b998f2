from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch
from torchvision.models import squeezenet1_1

from fmcvqa.errors import WeightsError
from fmcvqa.models import weights
from fmcvqa.models.backbones import load_backbone
from fmcvqa.models.weights import file_weights, imagenet_weights

URL = "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_no_network_is_an_error(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str, timeout: float) -> None:
        assert (url, timeout) == (URL, 20)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(WeightsError) as caught:
        load_backbone("inception_v3", "imagenet")
    assert str(caught.value) == (
        f"the ImageNet weights of inception_v3 are neither in {hub / URL.rsplit('/', 1)[1]} nor to be downloaded "
        f"(Name or service not known). Try: fetch {URL} elsewhere and give it as model.weights=FILE, or put it in "
        f"{hub}; model.weights=none starts from random weights"
    )


def test_a_damaged_download_is_an_error(hub: Path) -> None:
    path = hub / URL.rsplit("/", 1)[1]
    path.write_bytes(b"half a file")
    with pytest.raises(WeightsError) as caught:
        imagenet_weights("inception_v3")
    assert str(caught.value) == (
        f"the downloaded weight file {path} is damaged: its SHA-256 begins with 89ec7839. "
        "Try: delete the file and run again, or give another as model.weights=FILE"
    )


@pytest.mark.parametrize(("backbone", "rescales"), [("inception_v3", True), ("squeezenet1_1", False)])
def test_a_cached_download_needs_no_network(
    hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], backbone: str, rescales: bool
) -> None:
    entry = weights.get_model_weights(backbone).IMAGENET1K_V1
    torch.save({"a": torch.ones(2)}, hub / entry.url.rsplit("/", 1)[1])
    monkeypatch.setattr(weights, "_check_digest", lambda path: None)
    monkeypatch.setattr(urllib.request, "urlopen", None)
    read = imagenet_weights(backbone)
    assert torch.equal(read.state["a"], torch.ones(2))
    assert read.transform_input is rescales
    assert capsys.readouterr().out == ""


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_backbone("resnet50", tmp_path / "r50.pth")
    assert str(caught.value) == (
        f"the weight file {tmp_path / 'r50.pth'} does not exist. Try: model.weights=FILE with a .ckpt, .pth or "
        ".safetensors file, or model.weights=imagenet or none"
    )


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("executed",))


def test_nothing_is_unpickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hostile.pth"
    torch.save({"features.0.weight": Hostile()}, path)
    with pytest.raises(WeightsError) as caught:
        file_weights("squeezenet1_1", path)
    assert str(caught.value) == (
        f"the weight file {path} cannot be read as plain tensors. "
        "Try: a .ckpt of fmcvqa finetune, a torchvision .pth or a .safetensors file; others are never unpickled"
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", b"PK\x03\x04"])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    for suffix, problem in ((".pth", "cannot be read as plain tensors"), (".safetensors", "is no safetensors file")):
        path = tmp_path / f"w{suffix}"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=f"w{suffix} {problem}"):
            file_weights("squeezenet1_1", path)


def test_not_a_state_dict(tmp_path: Path) -> None:
    torch.save({"state_dict": squeezenet1_1().state_dict(), "epoch": 3}, tmp_path / "nested.pth")
    with pytest.raises(WeightsError) as caught:
        file_weights("squeezenet1_1", tmp_path / "nested.pth")
    assert str(caught.value) == (
        f"the weight file {tmp_path / 'nested.pth'} is no state dict: its values are not all tensors. Found: the keys "
        "state_dict, epoch. Try: a .pth file that maps torchvision's parameter names to tensors"
    )
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"list\.pth holds a list, not a state dict"):
        file_weights("squeezenet1_1", tmp_path / "list.pth")


def test_checkpoint_of_another_backbone(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    torch.save({"pytorch-lightning_version": "2", "hyper_parameters": {"backbone": "resnet50"}, "state_dict": {}}, path)
    with pytest.raises(WeightsError) as caught:
        file_weights("inception_v3", path)
    assert str(caught.value) == (
        f"the checkpoint {path} was not trained on inception_v3. Found: backbone resnet50. "
        "Try: model=resnet50 or another model.weights=FILE"
    )
