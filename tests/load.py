"""Many tiny videos with bad ones among them, and long ones that are cheap to make."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest
from barcode import write_clip
from deadly import DeadlyDecoder
from tiny import TAPS

from fmcvqa.data.records import VideoRecord
from fmcvqa.errors import SomeFailedError
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.tasks import extract
from fmcvqa.tasks.networks import AskedNetwork

CODES = {"dies": "E_DECODER_CRASH", "cut": "E_TRUNCATED", "empty": "E_EMPTY", "text": "E_NO_VIDEO"}


def _write(path: Path, clips: list[bytes]) -> None:
    kind = path.stem.split("_")[1]
    whole = clips[int(path.stem.split("_")[0]) % len(clips)]
    path.write_bytes({"cut": whole[:-100], "empty": b"", "text": b"words\n"}.get(kind, whole))


def run_many(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[dict[str, Any]], int]:
    """Extracts ``count`` videos, 2 % of them bad, of which a tenth was extracted before.

    Returns:
        How many were read, the rows of failures.jsonl, how many were skipped.
    """
    bad = list(CODES)[: 2 if count <= 100 else len(CODES)]
    clips = [write_clip(folder / "seed.mp4", 2, size=(64, 64 + 2 * k)).read_bytes() for k in range(20)]
    (folder / "set").mkdir()
    kinds = {50 * k + 49: bad[k % len(bad)] for k in range(count // 50)}
    paths = [folder / "set" / f"{k}_{kinds.get(k, 'ok')}.mp4" for k in range(count)]
    for path in paths:
        _write(path, clips)
    records = [VideoRecord(path.stem, path, 3.0) for path in paths]
    monkeypatch.setattr(extract, "job_folder", lambda: folder)
    network = AskedNetwork("squeezenet1_1", TAPS[:1], "none", 0, "eval")
    recipe = FeatureRecipe(taps=TAPS[:1], crop=64)
    decoder = DeadlyDecoder()
    bound = recipe.bind(
        backbone="squeezenet1_1", weights=network.fingerprint(), decoder=decoder.name, decoder_version=decoder.version()
    )
    loader = {"num_workers": 2, "chunk_frames": 16, "compiled": False, "progress": False}
    extraction = extract.Extraction(network, bound, decoder, folder / "cache", loader, {"accelerator": "cpu"})
    before = [record for record in records if record.id.endswith("_ok")][: count // 10]
    extraction.ensure("many", before)
    with pytest.raises(SomeFailedError) as caught:
        extraction.ensure("many", records)
    assert caught.value.exit_code == 3
    failed = [json.loads(line) for line in (folder / extract.FAILURES).read_text().splitlines()]
    stored = len(list((folder / "cache").glob("*/*/*.safetensors")))
    shutil.rmtree(folder / "set")
    return stored - len(before), failed, len(before)


def long_clip(path: Path, seconds: int, *, size: tuple[int, int] = (64, 64), rate: int = 25) -> Path:
    """A clip whose coded pictures are few and come again and again, so that an hour is made in seconds."""
    seed = write_clip(path.with_name("seed.mp4"), 5, size=size, rate=rate, options={"g": "5", "bf": "0"})
    with av.open(str(seed)) as origin, av.open(str(path), "w") as target:
        stream = origin.streams.video[0]
        copy = target.add_stream_from_template(stream)
        pictures = [(bytes(packet), packet.is_keyframe) for packet in origin.demux(stream) if packet.size]
        for k in range(seconds * rate):
            data, key = pictures[k % len(pictures)]
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = copy, k, k, key
            packet.duration, packet.time_base = 1, 1 / stream.average_rate
            target.mux(packet)
    return path


# Reads a clip in a child process; prints the frames, and the peak memory of both processes in kB.
_SCRIPT = """
import json, multiprocessing, re, sys
from pathlib import Path
from fmcvqa.data.decoding import DecodePool, PyAVDecoder
max_pixels = 3840 * 2160
pool = DecodePool(PyAVDecoder(max_pixels=max_pixels), num_workers=1)
frames, child = 0, 0
def peak(pid):
    return int(re.findall(r"VmHWM:\\s+(\\d+)", Path(f"/proc/{pid}/status").read_text())[0])
for item in pool.decode([("a", sys.argv[1])]):
    frames += len(item.frames)
    child = max([child, *(peak(process.pid) for process in multiprocessing.active_children())])
print(json.dumps({"frames": frames, "child": child, "parent": peak("self")}))
"""


def peaks(path: Path) -> dict[str, int]:
    """Frames of a clip, and the peak memory of the process that reads and of the one that decodes, in kB."""
    run = subprocess.run([sys.executable, "-c", _SCRIPT, str(path)], capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(run.stdout)
    return found
