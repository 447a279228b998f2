"""The method on genuine KoNViD-1k clips: the paper's recipe, both decoders, the slow reference, scores."""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import reference
from tiny import errors, generated, places, run

from fmcvqa import cli
from fmcvqa.models.backbones import load_backbone
from fmcvqa.sealed import read_sealed

pytestmark = pytest.mark.real
Capture = pytest.CaptureFixture[str]

MOS = {"3339962845": 4.64, "10053703034": 3.46, "5115335471": 2.16}
WIDTHS = {"Mixed_5b": 32_896, "Mixed_5c": 41_616, "avgpool": 2_048}


def labels(folder: Path, rows: dict[Path, float]) -> list[str]:
    """Overrides for clips wherever they lie, with a CSV of their scores."""
    lines = [f"{path},{mos}" for path, mos in rows.items()]
    (folder / "labels.csv").write_text("path,mos\n" + "\n".join(lines) + "\n")
    return ["data=csv", f"data.labels={folder / 'labels.csv'}", "data.name=clips"]


@dataclass
class Genuine:
    """The three clips extracted with the paper's recipe by the command."""

    words: list[str]
    cache: Path
    folder: Path
    code: int
    out: str

    def entries(self, *words: str) -> dict[str, tuple[dict[str, np.ndarray], dict[str, object]]]:
        """Arrays and record of each clip, of every frame or after the command with more words."""
        folder = self.folder
        if words:
            known = set(self.cache.glob("*/*"))
            assert cli.main([*self.words, *words]) == 0
            [folder] = set(self.cache.glob("*/*")) - known
        return {path.stem: read_sealed(path) for path in folder.glob("*.safetensors")}


@pytest.fixture(scope="module")
def genuine(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Genuine:
    folder = tmp_path_factory.mktemp("genuine")
    clips = {real_data / "konvid1k_clips" / f"{name}.mp4": mos for name, mos in MOS.items()}
    words = ["extract", *labels(folder, clips), *places(folder), "model=inception_v3", "model.weights=none"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = cli.main([*words, "trainer.accelerator=cpu"])
    cache = folder / "cache"
    [entries] = cache.glob("*/*")
    return Genuine([*words, "trainer.accelerator=cpu"], cache, entries, code, out.getvalue())


def test_three_clips_with_all_three_taps(genuine: Genuine, capsys: Capture) -> None:
    folder = genuine.folder
    assert (genuine.code, genuine.out) == (0, f"3 videos of clips: features in {folder}\n")
    entries = genuine.entries()
    assert entries.keys() == MOS.keys()
    for arrays, record in entries.values():
        assert (record["frames"], record["reader"]) == (240, "pyav")
        assert {name: array.shape for name, array in arrays.items()} == {
            f"{tap}/{pool}": (width,) for tap, width in WIDTHS.items() for pool in ("mean", "max")
        }
        assert all(np.isfinite(array).all() and array.dtype == np.float32 for array in arrays.values())
        assert all((arrays[f"{tap}/max"] >= arrays[f"{tap}/mean"] - 1e-6).all() for tap in WIDTHS)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    code, _, err = run(capsys, *genuine.words)
    assert code == 0
    assert "0 of 3 videos of clips to extract" in err
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_both_decoders_give_the_same_features(genuine: Genuine) -> None:
    ours = genuine.entries("recipe.stride=16")
    theirs = genuine.entries("recipe.stride=16", "decoder=decord")
    assert ours.keys() == theirs.keys() == MOS.keys()
    for name, (arrays, record) in ours.items():
        others, other = theirs[name]
        assert (record["frames"], other["frames"]) == (15, 15)
        assert (record["reader"], other["reader"]) == ("pyav", "decord")
        assert all(np.array_equal(array, others[block]) for block, array in arrays.items())


def test_the_genuine_clips_equal_the_slow_reference_over_all_their_frames(genuine: Genuine, real_data: Path) -> None:
    entries = genuine.entries()
    assert entries.keys() == MOS.keys()
    network = load_backbone("inception_v3", "none")
    for name, (fast, record) in entries.items():
        frames = reference.read_frames(real_data / "konvid1k_clips" / f"{name}.mp4")
        assert record["frames"] == len(frames) == 240
        vectors: dict[str, list[np.ndarray]] = {tap: [] for tap in WIDTHS}
        for frame in frames:
            maps = reference.tap_maps(network, reference.preprocess(frame, 299, 299), list(WIDTHS))
            for tap in WIDTHS:
                vectors[tap].append(reference.vector(maps[tap]))
        for tap in WIDTHS:
            slow = np.stack(vectors[tap])
            for pool, expected in (("mean", slow.mean(0)), ("max", slow.max(0))):
                worst = np.abs(fast[f"{tap}/{pool}"] - expected).max() / np.abs(expected).max()
                assert worst < 1e-5, (name, tap, pool)


def test_a_corrupt_clip_is_named_and_the_good_one_is_kept(real_data: Path, tmp_path: Path, capsys: Capture) -> None:
    bad, good = (real_data / "clips" / name for name in ("corrupted.mp4", "test_non_zero_start.mp4"))
    small = ["model=squeezenet1_1", "model.weights=none", "recipe.taps=[features.4]", "recipe.crop=64"]
    words = ["extract", *labels(tmp_path, {bad: 1.0, good: 2.0}), *places(tmp_path), *small]
    code, out, err = run(capsys, *words, "trainer.accelerator=cpu")
    assert (code, out) == (3, "")
    failures = tmp_path / "outputs" / "extract" / "failures.jsonl"
    why = (
        f"E_CORRUPT: the video {str(bad)!r} is damaged. "
        "Found: 28 good frames, then: Invalid data found when processing input. "
        "Try: take the file from its source again, or leave it out"
    )
    assert errors(err) == [
        f"1 of 2 videos could not be read: {why}. Found: the features of the other 1 are kept. "
        f"Try: mend or remove the files named in {failures}, then the same command again"
    ]
    assert [json.loads(line)["code"] for line in failures.read_text().splitlines()] == ["E_CORRUPT"]
    assert [path.stem for path in (tmp_path / "cache").glob("*/*/*.safetensors")] == ["test_non_zero_start"]


def test_genuine_clips_get_scores_from_a_model_of_generated_ones(
    real_data: Path, tmp_path: Path, capsys: Capture
) -> None:
    weights = real_data / "weights" / "squeezenet1_1_features_torchvision.pth"
    network = ["model=squeezenet1_1", f"model.weights={weights}", "recipe.taps=[features.6]", "recipe.resize=139"]
    words = [*generated(videos=20), *network, "recipe.stride=2", *places(tmp_path), "features.layers=[features.6]"]
    file = tmp_path / "model.fmcvqa"
    code, _, err = run(capsys, "fit", *words, "protocol.repeats=2", f"output={file}", "trainer.accelerator=cpu")
    assert (code, errors(err)) == (0, [])
    clips = [str(real_data / "konvid1k_clips" / f"{name}.mp4") for name in MOS]
    corrupt = str(real_data / "clips" / "corrupted.mp4")
    code, out, err = run(capsys, "predict", *clips, corrupt, "--model", str(file), "--json")
    assert code == 3
    assert [message.partition(":")[0] for message in errors(err)] == ["E_CORRUPT"]
    rows = json.loads(out)
    assert all({"path", "score", "scale", "code"} <= set(row) for row in rows)
    assert [row["path"] for row in rows] == [*clips, corrupt]
    assert [row["code"] for row in rows] == [None, None, None, "E_CORRUPT"]
    assert rows[3]["score"] is None
    scores = [row["score"] for row in rows[:3]]
    assert all(math.isfinite(score) for score in scores)
    assert len({round(score, 6) for score in scores}) == 3
    assert [row["unlike"]["flag"] for row in rows[:3]] == [True] * 3  # no generated clip looks like them
    assert all(row["unlike"]["distance"] > 1 for row in rows[:3])
    assert rows[0]["scale"] == {
        "name": "KoNViD-1k (synthetic stand-in)",
        "minimum": 1.0,
        "maximum": 5.0,
        "stand_in": True,
    }
