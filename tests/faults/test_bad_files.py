"""All generated bad files, read by each decoder in its children (R)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from badfiles import CASES, MORE

from fmcvqa.data.decoding import DecodePool, DecordDecoder, FailedVideo, PyAVDecoder

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("decoder", [PyAVDecoder(), DecordDecoder()], ids=["pyav", "decord"])
def test_each_gets_its_code(
    decoder: PyAVDecoder | DecordDecoder, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    cases = {**CASES, **MORE}
    videos = []
    for number, (name, (make, _)) in enumerate(cases.items()):
        path = tmp_path / str(number) / "bad.mp4"
        path.parent.mkdir()
        make(path)
        videos.append((name, path))
    items = DecodePool(decoder, num_workers=2).decode(videos)
    codes = {item.video_id: item.error.code for item in items if isinstance(item, FailedVideo)}
    right = sum(codes.get(name) == code for name, (_, code) in cases.items())
    figure(f"{right} of {len(cases)}")
    assert len(cases) >= 150
    assert codes == {name: code for name, (_, code) in cases.items()}
