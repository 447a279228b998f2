from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from fmcvqa.errors import ConfigError, FmcvqaError
from fmcvqa.models.backbones import load_backbone
from fmcvqa.models.iqa import IQARegressor
from fmcvqa.models.trunk import Trunk

SQUEEZE: dict[str, Any] = {"backbone": "squeezenet1_1", "weights": "none", "head_hidden": 8}


def trainer(folder: Path, **options: Any) -> lightning.Trainer:
    settings = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return lightning.Trainer(default_root_dir=folder, **{"max_epochs": 1, **settings, **options})


def batches(n: int = 12, size: int = 48, batch_size: int = 4) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(n, 3, size, size, generator=generator)
    return DataLoader(TensorDataset(images, torch.linspace(1, 8, n)), batch_size=batch_size)


def test_the_head_of_the_paper() -> None:
    model = IQARegressor("inception_v3", "none")
    assert [tuple(p.shape) for p in model.head.parameters()] == [(1024, 2048), (1024,), (1, 1024), (1,)]
    assert isinstance(model.head[1], torch.nn.ReLU)
    assert model.eval()(torch.randn(2, 3, 107, 107)).shape == (2,)
    assert all(p.requires_grad for p in model.parameters())
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.SGD)
    assert {k: optimizer.defaults[k] for k in ("lr", "momentum", "weight_decay")} == {
        "lr": 1e-3, "momentum": 0.7, "weight_decay": 0.0,
    }  # fmt: skip


def test_the_seed_makes_the_model() -> None:
    one, same, other = (IQARegressor(**SQUEEZE, seed=seed).state_dict() for seed in (4, 4, 5))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["head.0.weight"], other["head.0.weight"])


def test_loss_is_the_mean_squared_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for mos_range, loss in ((None, 8.5), ((0.0, 10.0), 8.5 / 25)):
        model = IQARegressor(**SQUEEZE, mos_range=mos_range)
        monkeypatch.setattr(model, "forward", lambda x: torch.tensor([3.0, 8.0]))
        monkeypatch.setattr(model, "log", lambda *args, **kwargs: None)
        step = model.training_step((torch.zeros(2, 3, 32, 32), torch.tensor([2.0, 4.0])), 0)
        assert step.item() == pytest.approx(loss)


def test_correlation_and_order_add_to_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model = IQARegressor(**SQUEEZE, correlation_weight=0.5, rank_weight=2.0)
    monkeypatch.setattr(model, "forward", lambda x: torch.tensor([3.0, 8.0]))
    monkeypatch.setattr(model, "log", lambda *args, **kwargs: None)
    step = model.training_step((torch.zeros(2, 3, 32, 32), torch.tensor([4.0, 2.0])), 0)
    # Squared errors 1 and 36; PLCC -1; the pair is 2 apart and predicted 5 apart the wrong way.
    assert step.item() == pytest.approx(18.5 + 0.5 * 1 + 2.0 * 7, abs=1e-4)


def test_the_backbone_may_learn_more_slowly_than_the_head() -> None:
    optimizer = IQARegressor(**SQUEEZE, lr=0.1, backbone_lr=0.25).configure_optimizers()
    assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.1]
    assert [len(group["params"]) for group in optimizer.param_groups] == [50, 4]
    with pytest.raises(ConfigError, match=r"^rank_weight is -1\. Try: 0 or more$"):
        IQARegressor(**SQUEEZE, rank_weight=-1)


def test_a_scaled_model_predicts_mos() -> None:
    model = IQARegressor(**SQUEEZE, mos_range=(0, 9)).eval()
    raw = IQARegressor(**SQUEEZE).eval()
    images = torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(model(images), raw(images) * 4.5 + 4.5)


def test_validation_scores_are_those_of_scipy(tmp_path: Path) -> None:
    model = IQARegressor(**SQUEEZE)
    data = batches()
    scores = trainer(tmp_path).validate(model, data, verbose=False)[0]
    with torch.no_grad():
        images, mos = data.dataset.tensors  # type: ignore[attr-defined]
        predicted = model.eval()(images)
    assert scores["val/srocc"] == pytest.approx(stats.spearmanr(predicted, mos).statistic, abs=1e-6)
    assert scores["val/plcc"] == pytest.approx(stats.pearsonr(predicted, mos).statistic, abs=1e-5)
    assert scores["val/loss"] == pytest.approx(((predicted - mos) ** 2).mean().item(), rel=1e-5)


@pytest.mark.parametrize("batch_size", [5, 12])
def test_images_of_one_mos_give_no_scores(batch_size: int, tmp_path: Path) -> None:
    images = torch.randn(12, 3, 48, 48)
    data = DataLoader(TensorDataset(images, torch.full((12,), 4.7)), batch_size=batch_size)
    scores = trainer(tmp_path).validate(IQARegressor(**SQUEEZE), data, verbose=False)[0]
    assert np.isnan([scores["val/srocc"], scores["val/plcc"]]).all() and np.isfinite(scores["val/loss"])


def test_a_sanity_check_leaves_no_trace(tmp_path: Path) -> None:
    once, checked = IQARegressor(**SQUEEZE, seed=2), IQARegressor(**SQUEEZE, seed=2)
    results = []
    for model, steps in ((once, 0), (checked, 2)):
        run = trainer(tmp_path, num_sanity_val_steps=steps)
        run.fit(model, batches(), batches())
        results.append({key: float(value) for key, value in run.callback_metrics.items()})
    assert results[0] == results[1]
    assert set(results[0]) == {"train/loss", "train/loss_step", "train/loss_epoch", "val/loss", "val/srocc", "val/plcc"}


def test_adamw_on_a_half_cosine(tmp_path: Path) -> None:
    rates: list[float] = []

    class Rates(lightning.Callback):
        def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    model = IQARegressor(**SQUEEZE, optimizer="adamw", lr=0.01, weight_decay=0.1, schedule="cosine")
    run = trainer(tmp_path, max_epochs=2, callbacks=[Rates()])
    run.fit(model, batches(), batches())
    assert isinstance(run.optimizers[0], torch.optim.AdamW)
    assert run.optimizers[0].defaults["weight_decay"] == 0.1
    expected = [0.005 * (1 + torch.cos(torch.tensor(torch.pi * i / 6)).item()) for i in range(6)]
    assert rates == pytest.approx(expected)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IQARegressor]:
    """A checkpoint of an InceptionV3 that was started from a file of ImageNet-like weights."""
    folder = tmp_path_factory.mktemp("inception")
    torch.save(load_backbone("inception_v3", "none", seed=9).state_dict(), folder / "imagenet.pth")
    model = IQARegressor("inception_v3", folder / "imagenet.pth", head_hidden=8, mos_range=(0, 9))
    run = trainer(folder, max_steps=1)
    run.fit(model, batches(2, 80, 2))
    run.save_checkpoint(folder / "best.ckpt")
    (folder / "imagenet.pth").unlink()
    return folder / "best.ckpt", model


def test_a_checkpoint_rebuilds_the_model_alone(checkpoint: tuple[Path, IQARegressor]) -> None:
    path, model = checkpoint
    again = IQARegressor.load_from_checkpoint(path, weights_only=True, map_location="cpu")
    images = torch.randn(2, 3, 80, 80)
    with torch.no_grad():
        assert torch.equal(again.eval()(images), model.eval()(images))
    assert again.hparams["mos_range"] == (0.0, 9.0)
    assert torch.load(path, weights_only=True)["start_weights"] == str(path.with_name("imagenet.pth"))


def test_only_a_fine_tuning_that_goes_on_needs_the_same_settings(
    checkpoint: tuple[Path, IQARegressor], tmp_path: Path
) -> None:
    path, model = checkpoint
    other = IQARegressor("inception_v3", "none", head_hidden=8, mos_range=(0, 9), lr=0.5)
    data = batches(2, 80, 2)
    seen = [
        trainer(tmp_path).validate(one, data, verbose=False, **more)
        for one, more in ((model, {}), (other, {"ckpt_path": path, "weights_only": True}))
    ]
    assert seen[0][0]["val/loss"] == pytest.approx(seen[1][0]["val/loss"])
    with pytest.raises(ConfigError, match=r"with lr=0\.001, not 0\.5"):
        trainer(tmp_path, max_steps=2).fit(other, data, ckpt_path=path, weights_only=True)


def test_transform_input_survives_the_checkpoint(checkpoint: tuple[Path, IQARegressor], tmp_path: Path) -> None:
    path, model = checkpoint
    again = IQARegressor.load_from_checkpoint(path, weights_only=True)
    assert model.net.transform_input and again.net.transform_input
    trunk = Trunk("inception_v3", ["Mixed_5b"], path)
    assert trunk.transform_input
    maps: list[Tensor] = []
    model.eval().net.Mixed_5b.register_forward_hook(lambda _m, _i, out: maps.append(out))
    images = torch.randn(1, 3, 80, 80)
    with torch.no_grad():
        model(images)
    torch.testing.assert_close(trunk(images)["Mixed_5b"], maps[0])

    content = torch.load(path, weights_only=True)
    content["transform_input"] = False  # of a network started from random weights
    torch.save(content, tmp_path / "random.ckpt")
    assert not Trunk("inception_v3", ["Mixed_5b"], tmp_path / "random.ckpt").transform_input
    assert not IQARegressor.load_from_checkpoint(tmp_path / "random.ckpt", weights_only=True).net.transform_input


def test_divergence_is_an_error(tmp_path: Path) -> None:
    model = IQARegressor(**SQUEEZE)
    torch.nn.init.constant_(model.head[2].bias, float("nan"))
    with pytest.raises(FmcvqaError) as caught:
        trainer(tmp_path).validate(model, batches(), verbose=False)
    assert str(caught.value) == (
        "the fine-tuning has diverged: predictions of epoch 0 are not finite. "
        "Try: a smaller training.lr, or trainer.precision=32-true"
    )


def test_unknown_settings() -> None:
    with pytest.raises(ConfigError) as caught:
        IQARegressor(**SQUEEZE, optimizer="adam")  # type: ignore[arg-type]
    assert str(caught.value) == "there is no optimizer 'adam'. Found: sgd, adamw"
    with pytest.raises(ConfigError) as caught:
        IQARegressor(**SQUEEZE, schedule="step")  # type: ignore[arg-type]
    assert str(caught.value) == "there is no schedule 'step'. Found: constant, cosine"
