"""An own network trained on fmcvqa's frames and images, without a config or a tracker: 15 lines of one's own."""

from __future__ import annotations

import json
import sys

import torch
from lightning import LightningModule, Trainer

from fmcvqa import TID2013DataModule, VideoFrameDataModule
from fmcvqa.data.preprocess import Preprocess
from fmcvqa.data.synthetic import SyntheticTID2013
from fmcvqa.features import extract


class Brightness(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(1))
        self.losses: list[float] = []

    def training_step(self, batch, _):
        images = batch[0] if isinstance(batch, list | tuple) else batch.frames
        wanted = batch[1] if isinstance(batch, list | tuple) else images.mean(dim=(1, 2, 3))
        loss = (self.net(images)[:, 0] - wanted).square().mean()
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-4)


def main() -> None:
    """Train on frames, then on images, and say what came of it and what was imported."""
    images, *clips = sys.argv[1:]
    small = Preprocess(resize=64, crop=48)
    modules = {
        "frames": VideoFrameDataModule(clips, num_workers=1, preprocess=small),
        "images": TID2013DataModule(
            SyntheticTID2013(images, references=4, distortions=[8], size=(48, 64)), resize=None, crop=48, num_workers=0
        ),
    }
    out: dict[str, object] = {}
    for name, data in modules.items():
        torch.manual_seed(0)
        model = Brightness()
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        Trainer(max_epochs=4, accelerator="cpu", **quiet).fit(model, datamodule=data)
        out[name] = [model.losses[0], model.losses[-1]]
    features = extract(clips[0], taps=["features.4"], backbone="squeezenet1_1", weights="none")
    out["features"] = {"/".join(key): list(values.shape) for key, values in features.items()}
    out["imported"] = sorted({"hydra", "omegaconf", "wandb"} & set(sys.modules))
    out["from"] = str(sys.modules["fmcvqa"].__file__)
    sys.stdout.write(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
