from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import inception_v3, resnet50, squeezenet1_1

from fmcvqa.errors import ConfigError, WeightsError
from fmcvqa.models import backbones
from fmcvqa.models.backbones import BACKBONES, backbone_spec, check_taps, known_taps, load_backbone
from fmcvqa.models.trunk import PerFrameNorm, Trunk

SHAPES = {
    "inception_v3": [(1, 256, 11, 11), (1, 288, 11, 11), (1, 2048, 1, 1)],
    "efficientnet_b4": [(1, 56, 14, 14), (1, 112, 7, 7), (1, 1792, 1, 1)],
    "resnet50": [(1, 256, 27, 27), (1, 512, 14, 14), (1, 2048, 1, 1)],
    "squeezenet1_1": [(1, 256, 13, 13), (1, 256, 13, 13), (1, 512, 1, 1)],
}


def frames(n: int = 1, size: int = 107) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def inception() -> nn.Module:
    """InceptionV3 that needs the re-scaled input, with running statistics that are not trivial."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = inception_v3(weights=None, init_weights=False, transform_input=True)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.normal_(module.weight, 1.0, 0.1)
                nn.init.normal_(module.bias, std=0.1)
    return network.eval()


@pytest.fixture(scope="module")
def inception_file(inception: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(inception.state_dict(), path)
    return path


@pytest.mark.parametrize("name", BACKBONES)
def test_default_taps_and_widths(name: str) -> None:
    spec = BACKBONES[name]
    trunk = Trunk(name, spec.taps, "none")
    maps = trunk(frames())
    assert list(maps) == list(spec.taps) == list(trunk.taps)
    assert [tuple(m.shape) for m in maps.values()] == SHAPES[name]
    assert trunk.vector_taps == (spec.vector_tap,)
    assert SHAPES[name][-1][1] == spec.width
    assert load_backbone(name, "none").eval()(frames()).shape == (1, spec.width)


def test_maps_are_those_of_the_whole_network(inception: nn.Module, inception_file: Path) -> None:
    maps: dict[str, torch.Tensor] = {}
    hooks = [
        inception.get_submodule(tap).register_forward_hook(lambda _m, _i, out, tap=tap: maps.update({tap: out}))
        for tap in ("Mixed_5b", "Mixed_5c", "avgpool")
    ]
    with torch.no_grad():
        inception(frames(2))
    for hook in hooks:
        hook.remove()
    ours = Trunk("inception_v3", ["Mixed_5b", "Mixed_5c", "avgpool"], inception_file)(frames(2))
    for tap, expected in maps.items():
        torch.testing.assert_close(ours[tap], expected, rtol=1e-5, atol=1e-6)


def test_only_the_part_up_to_the_deepest_tap_is_kept(inception_file: Path) -> None:
    trunk = Trunk("inception_v3", ["Mixed_5c", "Mixed_5b"], inception_file)
    blocks = {key.split(".")[1] for key in trunk.state_dict()}
    assert blocks == {
        "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "Mixed_5b", "Mixed_5c",
    }  # fmt: skip
    assert sum(p.numel() for p in trunk.parameters()) == 706_048
    assert list(trunk(frames())) == ["Mixed_5c", "Mixed_5b"]


def test_a_trunk_is_frozen() -> None:
    trunk = Trunk("squeezenet1_1", ["features.6"], "none").train()
    assert not trunk.training and not any(p.requires_grad for p in trunk.parameters())
    assert not trunk(frames().requires_grad_())["features.6"].requires_grad
    nn.Sequential(trunk).train()
    assert not any(module.training for module in trunk.modules())


def test_state_round_trip_keeps_maps_and_transform_input(inception_file: Path) -> None:
    trunk = Trunk("inception_v3", ["Mixed_5b"], inception_file)
    again = Trunk.from_state("inception_v3", ["Mixed_5b"], trunk.state_dict(), transform_input=trunk.transform_input)
    without = Trunk.from_state("inception_v3", ["Mixed_5b"], trunk.state_dict(), transform_input=False)
    assert trunk.transform_input and again.transform_input and not without.transform_input
    assert torch.equal(trunk(frames())["Mixed_5b"], again(frames())["Mixed_5b"])
    assert not torch.allclose(trunk(frames())["Mixed_5b"], without(frames())["Mixed_5b"], rtol=0.01)
    assert trunk.fingerprint() == again.fingerprint() != without.fingerprint()
    assert not any(p.requires_grad for p in again.parameters())


def test_a_rebuilt_trunk_shares_no_memory_with_the_state() -> None:
    state = Trunk("squeezenet1_1", ["features.3"], "none").state_dict()
    again = Trunk.from_state("squeezenet1_1", ["features.3"], state, transform_input=False)
    before = again.fingerprint()
    next(iter(state.values())).zero_()
    assert again.fingerprint() == before


@pytest.mark.parametrize("stated", [None, "true", "false"])
def test_safetensors_may_state_transform_input(inception: nn.Module, tmp_path: Path, stated: str | None) -> None:
    path = tmp_path / "inception.safetensors"
    save_file(inception.state_dict(), path, metadata=None if stated is None else {"transform_input": stated})
    assert Trunk("inception_v3", ["Mixed_5b"], path).transform_input is (stated != "false")


def test_random_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    one = Trunk("squeezenet1_1", ["features.3"], "none", seed=5).fingerprint()
    assert torch.equal(torch.rand(1), expected)
    assert one == Trunk("squeezenet1_1", ["features.3"], "none", seed=5).fingerprint()
    assert one != Trunk("squeezenet1_1", ["features.3"], "none", seed=6).fingerprint()


def test_a_random_inception_answers_with_ordinary_numbers() -> None:
    for tap, maps in Trunk("inception_v3", backbone_spec("inception_v3").taps, "none")(frames(2)).items():
        assert 0.1 < maps.square().mean().sqrt() < 10, tap


def test_fingerprint_sees_every_bit() -> None:
    state = Trunk("squeezenet1_1", ["features.3"], "none").state_dict()

    def fingerprint(**changed: torch.Tensor) -> str:
        tensors = {k: changed.get(k.rsplit(".", 1)[-1], v) for k, v in state.items()}
        return Trunk.from_state("squeezenet1_1", ["features.3"], tensors, transform_input=False).fingerprint()

    before = fingerprint()
    weight = state["body.features.0.weight"]
    weight.flatten()[-1:].view(torch.int32).bitwise_xor_(torch.tensor([1], dtype=torch.int32))
    assert fingerprint() != before


@pytest.mark.parametrize(("name", "tap"), [("resnet50", "layer1"), ("inception_v3", "Mixed_5b")])
def test_per_frame_batchnorm_is_train_mode_frame_by_frame(name: str, tap: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = (
        resnet50() if name == "resnet50" else inception_v3(init_weights=False, transform_input=True, aux_logits=False)
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    maps: list[torch.Tensor] = []
    network.train().get_submodule(tap).register_forward_hook(lambda _m, _i, out: maps.append(out))
    for frame in frames(3):
        with torch.no_grad():
            network(frame[None])
    trunk = Trunk(name, [tap], tmp_path / "weights.pth", batchnorm="per_frame")
    assert any(isinstance(module, PerFrameNorm) for module in trunk.modules())
    torch.testing.assert_close(trunk(frames(3))[tap], torch.cat(maps), rtol=1e-4, atol=1e-4)
    again = Trunk.from_state(
        name, [tap], trunk.state_dict(), transform_input=trunk.transform_input, batchnorm="per_frame"
    )
    assert torch.equal(again(frames(3))[tap], trunk(frames(3))[tap])
    assert not torch.allclose(Trunk(name, [tap], tmp_path / "weights.pth")(frames(3))[tap], torch.cat(maps), rtol=0.01)


def test_classifiers_are_neither_needed_nor_used(
    inception: nn.Module, inception_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = {k: v for k, v in inception.state_dict().items() if not k.startswith(("fc.", "AuxLogits."))}
    torch.save(kept, tmp_path / "headless.pth")
    with caplog.at_level(logging.INFO):
        headless = load_backbone("inception_v3", tmp_path / "headless.pth")
        assert caplog.messages == []
        whole = load_backbone("inception_v3", inception_file)
    assert caplog.messages == [
        f"the classifiers in {inception_file} are not used: AuxLogits.conv0.conv.weight, AuxLogits.conv0.bn.weight, "
        "AuxLogits.conv0.bn.bias, AuxLogits.conv0.bn.running_mean, AuxLogits.conv0.bn.running_var, "
        "AuxLogits.conv0.bn.num_batches_tracked, AuxLogits.conv1.conv.weight, AuxLogits.conv1.bn.weight, "
        "AuxLogits.conv1.bn.bias, AuxLogits.conv1.bn.running_mean, AuxLogits.conv1.bn.running_var, "
        "AuxLogits.conv1.bn.num_batches_tracked, AuxLogits.fc.weight, AuxLogits.fc.bias, fc.weight, fc.bias"
    ]
    assert headless.state_dict().keys() == whole.state_dict().keys() == kept.keys()
    with torch.no_grad():
        assert headless.train()(frames(1)).shape == (1, 2048)  # a plain tensor, and one image is enough


def test_half_precision_files_become_single(tmp_path: Path) -> None:
    torch.save(squeezenet1_1().half().state_dict(), tmp_path / "half.pth")
    assert {p.dtype for p in load_backbone("squeezenet1_1", tmp_path / "half.pth").parameters()} == {torch.float32}


def test_unknown_tap_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        Trunk("squeezenet1_1", ["features.6", "feature.7"], "imagenet")
    assert str(caught.value) == (
        "squeezenet1_1 has no tap 'feature.7'. Found: features.0, features.1, features.2, features.3, features.4, "
        "features.5, features.6, features.7, features.8, features.9, features.10, features.11, features.12, "
        "classifier.avgpool, and the layers within them. Try: features.7"
    )
    assert "Mixed_5b.branch1x1.relu" in known_taps("inception_v3")


@pytest.mark.parametrize("taps", [[], ["features.6", "features.6"]])
def test_taps_are_named_once(taps: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        check_taps("squeezenet1_1", taps)
    assert str(caught.value) == f"the taps {taps} of squeezenet1_1 are none or not distinct. Try: each tap once"


def test_unknown_backbone_and_mode() -> None:
    with pytest.raises(ConfigError) as caught:
        backbone_spec("inception")
    assert str(caught.value) == (
        "there is no backbone 'inception'. Found: inception_v3, efficientnet_b4, resnet50, squeezenet1_1. "
        "Try: inception_v3, or model=NAME"
    )
    with pytest.raises(ConfigError) as caught:
        Trunk("squeezenet1_1", ["features.3"], "none", batchnorm="train")  # type: ignore[arg-type]
    assert str(caught.value) == "there is no batchnorm mode 'train'. Found: eval, per_frame"


def test_state_of_other_taps_does_not_fit() -> None:
    state = Trunk("squeezenet1_1", ["features.3"], "none").state_dict()
    with pytest.raises(WeightsError) as caught:
        Trunk.from_state("squeezenet1_1", ["features.4"], state, transform_input=False)
    assert str(caught.value) == (
        "the weights of a squeezenet1_1 trunk with the taps features.4 do not fit. Found: 6 tensors missing "
        "(first body.features.4.squeeze.weight). Try: the backbone the weights were made for"
    )


def test_weights_of_another_backbone_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"features.0.weight": torch.zeros(1), "extra": torch.zeros(1)}, path)
    with pytest.raises(WeightsError) as caught:
        load_backbone("squeezenet1_1", path)
    assert str(caught.value) == (
        f"the weights {path} as squeezenet1_1 do not fit. Found: 49 tensors missing (first features.0.bias), "
        "1 tensors too many (first extra), 1 tensors of another shape (first features.0.weight). "
        "Try: the backbone the weights were made for"
    )


def test_no_random_start_from_lost_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backbones, "bare_network", None)  # nothing is built before the weights are there
    with pytest.raises(WeightsError):
        load_backbone("squeezenet1_1", tmp_path / "gone.pth")
