"""``fmcvqa demo``: the whole method on synthetic sets, by the same commands as on the real ones."""

from __future__ import annotations

import logging
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fmcvqa.data.synthetic import SyntheticKoNViD1k
from fmcvqa.errors import EXIT_OK, FmcvqaError
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.report.results import CellResult, find_results
from fmcvqa.report.writing import write_report
from fmcvqa.tasks import research
from fmcvqa.tasks.terminal import Parser

_CONTROLS = 100


def main(argv: Sequence[str]) -> int:
    """Run the demo; gives 0 when every step is done."""
    parser = Parser(
        "demo",
        "The whole method on generated images and videos: fine-tune, extract, 14 cells, model, score.\n"
        "Five to seven minutes on two cores, no network.",
        examples=["fmcvqa demo --out outputs/demo"],
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/demo"), metavar="DIR", help="default: outputs/demo")
    options = parser.parse_args(argv)
    started = time.monotonic()
    logging.getLogger("hydra").setLevel(logging.WARNING)  # each cell says what it scored; its launch is no news
    demo = _Demo(options.out)
    demo.finetune()
    best = demo.table()
    demo.cross()
    controls = demo.control(best)
    demo.fit(best)
    demo.score()
    demo.close(best, controls, time.monotonic() - started)
    return EXIT_OK


class _Demo:
    """The steps; each is a command that a user could type.

    Args:
        out: Folder everything is written to.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.runs = out, out / "runs"
        self.weights = self.runs / "finetune" / "best.ckpt"
        self.model = out / "model.fmcvqa"
        self._paths = [f"paths.data={out}/data", f"paths.cache={out}/cache", f"paths.outputs={self.runs}"]
        self._step = 0

    def finetune(self) -> None:
        """InceptionV3 as an image-quality regressor, on the small TID2013."""
        self._say("fine-tune InceptionV3 on generated images, validated on contents it has not seen")
        self._run("finetune", "finetune_tid2013", "data=synthetic_tid2013", "name=finetune")

    def table(self) -> CellResult:
        """All 14 cells on the small KoNViD-1k; gives the best one."""
        self._say("Gram features of generated videos; 7 sets of layers x 2 kernels x 100 splits")
        self._run("sweep", "table1_konvid1k", "data=synthetic_konvid1k", "name=table1", f"model.weights={self.weights}")
        files = write_report(self.runs / "table1", self.out)
        best = files.groups[0].best
        shutil.copyfile(best.path, self.out / "result.json")
        return best

    def cross(self) -> None:
        """Fit on one set, test on the other, both ways."""
        self._say("across datasets: fit on one, test on the other")
        directions = "synthetic_livevqc_to_konvid1k,synthetic_konvid1k_to_livevqc"
        self._run("sweep", "table3_cross", f"direction={directions}", "name=table3", f"model.weights={self.weights}")

    def control(self, best: CellResult) -> list[CellResult]:
        """The best cell with permuted labels, many times: there is nothing to learn then."""
        self._say(f"the control: the best cell with its labels permuted, {_CONTROLS} times")
        seeds = ",".join(str(seed) for seed in range(_CONTROLS))
        permuted = ["protocol.permute_labels=true", f"protocol.permutation={seeds}"]
        self._run("sweep", "-m", *self._cell(best), "name=control", *permuted, "~hydra.callbacks.table")
        return find_results(self.runs / "control")

    def fit(self, best: CellResult) -> None:
        """The best cell on all videos, as a model file."""
        self._say("fit the best cell on all videos and write the model")
        self._run("fit", *self._cell(best), "name=fit", f"output={self.model}")

    def score(self) -> None:
        """Clips from another seed, which no step has seen."""
        self._say("score clips that no step has seen")
        clips = SyntheticKoNViD1k(self.out / "data" / "synthetic" / "held_out", videos=3, seed=1)
        model = VideoQualityModel.load(self.model)
        for record in clips.records():
            print(f"{record.path}: predicted {model.predict(record.path):.2f}, true {record.mos:.2f}")
        print(f"scale: {model.scale}")

    def close(self, best: CellResult, controls: list[CellResult], seconds: float) -> None:
        """What came out, and where it lies."""
        srocc = best.scores["srocc"]
        permuted = np.array([control.splits["srocc"].mean() for control in controls])
        name = f"{best.cell.layers_text} {best.cell.kernel}"
        print(f"\nbest of 14 cells: {name}, median SROCC {srocc.value:.3f} (std {srocc.std:.3f} over the splits)")
        print(
            f"labels permuted:  mean SROCC {permuted.mean():+.3f} (std {permuted.std(ddof=1):.3f} over "
            f"{len(permuted)} permutations)"
        )
        print(
            "The sets are generated, not rated by people: these numbers show that the method runs, not how good it is."
        )
        print(f"{seconds / 60:.1f} minutes. In {self.out}: table.csv, scatter.png, model.fmcvqa, result.json")
        print(f"next: fmcvqa predict CLIP... --model {self.model}")

    def _cell(self, best: CellResult) -> list[str]:
        cell = best.cell
        return [
            "data=synthetic_konvid1k",
            f"model.weights={self.weights}",
            f"features.layers=[{','.join(cell.layers)}]",
            f"regressor.kernel={cell.kernel}",
        ]

    def _say(self, text: str) -> None:
        self._step += 1
        print(f"\n[{self._step}/6] {text}", flush=True)

    def _run(self, *words: Any) -> None:
        command = [*map(str, words), *self._paths]
        print("$ " + shlex.join(["fmcvqa", *map(str, words), "..."]), flush=True)
        code = research.run(command[0], command[1:])
        if code != EXIT_OK:
            raise FmcvqaError(f"the step `fmcvqa {shlex.join(command)}` ended with {code}")
