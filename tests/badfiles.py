"""Files a user may point at by mistake or malice, made from code, each with the code it must be refused with."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
import wave
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from barcode import write_clip
from bombs import BOMBS
from damage import moving
from PIL import Image

Make = Callable[[Path], object]
Case = tuple[Make, str]

CLIPS = {
    "mp4": {},
    "fast.mp4": {"container_options": {"movflags": "faststart"}},
    "frag.mov": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "mkv": {},
    "webm": {"codec": "libvpx", "options": {"deadline": "realtime"}},
    "avi": {"codec": "mpeg4"},
    "ts": {},
}


def _whole(path: Path, kind: str) -> bytes:
    return write_clip(path.with_name(f"whole.{kind}"), moving(24), **CLIPS[kind]).read_bytes()


def _content(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def cut(kind: str, share: float) -> Make:
    """Only the first part of a clip; never at the end of a transport packet, where nothing tells."""

    def make(path: Path) -> None:
        data = _whole(path, kind)
        keep = int(len(data) * share)
        path.write_bytes(data[: keep + (keep % 188 == 0)])

    return make


def zeroed(kind: str, share: float = 0.5, length: int = 1500) -> Make:
    """A clip with zeros in the middle."""

    def make(path: Path) -> None:
        data = bytearray(_whole(path, kind))
        start = int(len(data) * share)
        data[start : start + length] = bytes(length)
        path.write_bytes(data)

    return make


def _picture(form: str, size: int = 32) -> Make:
    def make(path: Path) -> None:
        Image.fromarray(moving(1, size, size)[0]).save(path, form)

    return make


def _wav(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))


def _sound(form: str, codec: str, cover: bool = False) -> Make:
    """Sound only, or with a picture for a cover."""

    def make(path: Path) -> None:
        with av.open(str(path), "w", format=form) as container:
            audio = container.add_stream(codec, rate=48000)
            picture = None
            if cover:
                picture = container.add_stream("mjpeg", rate=1)
                picture.width = picture.height = 64
                picture.pix_fmt = "yuvj420p"
                picture.disposition = av.stream.Disposition.attached_pic
            for k in range(8):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                frame.rate, frame.pts, frame.time_base = 48000, 1024 * k, Fraction(1, 48000)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
            if picture is not None:
                frame = av.VideoFrame.from_ndarray(moving(1, 64, 64)[0], format="rgb24")
                frame.pts = 0
                container.mux(picture.encode(frame))
                container.mux(picture.encode(None))

    return make


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip.mp4", bytes(500))


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("clip.mp4"), io.BytesIO())


def _socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    here = os.open(path.parent, os.O_RDONLY)  # a socket's name may have 107 bytes only
    server.bind(f"/proc/self/fd/{here}/{path.name}")
    server.close()
    os.close(here)


def _link_to(make: Make) -> Make:
    def link(path: Path) -> None:
        make(path.with_name("target"))
        path.symlink_to("target")

    return link


PLAYLISTS = {
    "hls": b"#EXTM3U\n#EXTINF:1,\nclip.mp4\n",
    "concat": b"ffconcat version 1.0\nfile clip.mp4\n",
    "concat, short": b"file 'clip.mp4'\nfile 'clip.mp4'\n",
    "dash": b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "smooth": b'<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2"></SmoothStreamingMedia>',
    "smil": b"<smil><body><video src='clip.mp4'/></body></smil>",
    "asx": b'<asx version="3.0"><entry><ref href="clip.mp4"/></entry></asx>',
    "pls": b"[playlist]\nFile1=clip.mp4\n",
    "shortcut": b"[InternetShortcut]\r\nURL=http://127.0.0.1:9/\r\n",
    "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n",
    "address": b"http://127.0.0.1:9/clip.mp4\n",
    "rtsp": b"rtsp://127.0.0.1:9/clip\n",
}
TEXTS = {
    "text": b"not a video\n" * 900,
    "utf-8": "ein M\u00e4rchen, \u7269\u8a9e\n".encode() * 500,
    "html": b"<html><body>404</body>",
    "json": b'{"path": "clip.mp4", "mos": 3.2}',
    "csv": b"path,mos\nclip.mp4,3.2\n" * 50,
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "script": b"#!/bin/sh\nexit 0\n",
    "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n",
    "one byte": b"x",
    "a word": b"moov",
}
OTHER = {
    "zeros": bytes(50_000),
    "ones": b"\xff" * 50_000,
    "rubbish": np.random.default_rng(0).bytes(5000),
    "latin-1": "ein M\u00e4rchen\n".encode("latin-1") * 500,
    "utf-16": "a story\n".encode("utf-16") * 500,
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n" + bytes(range(256)) * 20,
    "gzip": gzip.compress(bytes(9000), mtime=0),
    "program": b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20,
    "sqlite": b"SQLite format 3\0" + bytes(range(256)) * 20,
    "class": b"\xca\xfe\xba\xbe" + bytes(range(256)) * 20,
}

CASES: dict[str, Case] = {
    "missing": (lambda path: None, "E_NOT_FOUND"),
    "in no folder": (lambda path: path.parent.rmdir(), "E_NOT_FOUND"),
    "in a file": (lambda path: path.parent.rmdir() or path.parent.write_bytes(b"x"), "E_NOT_FOUND"),
    "broken link": (lambda path: path.symlink_to("nowhere"), "E_NOT_FOUND"),
    "endless link": (lambda path: path.symlink_to(path), "E_NOT_FOUND"),
    "folder": (Path.mkdir, "E_NOT_REGULAR"),
    "link to a folder": (lambda path: path.symlink_to("."), "E_NOT_REGULAR"),
    "pipe": (os.mkfifo, "E_NOT_REGULAR"),
    "link to a pipe": (_link_to(os.mkfifo), "E_NOT_REGULAR"),
    "socket": (_socket, "E_NOT_REGULAR"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "E_NOT_REGULAR"),
    "null device": (lambda path: path.symlink_to("/dev/null"), "E_NOT_REGULAR"),
    "empty": (Path.touch, "E_EMPTY"),
    "link to an empty file": (_link_to(Path.touch), "E_EMPTY"),
    **{f"text: {name}": (_content(data), "E_NO_VIDEO") for name, data in TEXTS.items()},
    **{f"other: {name}": (_content(data), "E_NO_VIDEO") for name, data in OTHER.items()},
    **{
        f"image: {form}": (_picture(form), "E_NO_VIDEO")
        for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "ICO", "PPM", "TGA", "JPEG2000")
    },
    "image: heif": (_content(b"\0\0\0\x18ftypheic" + bytes(99)), "E_NO_VIDEO"),
    "zip": (_zip, "E_NO_VIDEO"),
    "tar": (_tar, "E_NO_VIDEO"),
    "sound: wav": (_wav, "E_NO_VIDEO"),
    "sound: m4a": (_sound("mp4", "aac"), "E_NO_VIDEO"),
    "sound: mkv": (_sound("matroska", "aac"), "E_NO_VIDEO"),
    "sound: ts": (_sound("mpegts", "aac"), "E_NO_VIDEO"),
    "sound with a cover": (_sound("mp4", "aac", cover=True), "E_NO_VIDEO"),
    **{f"playlist: {name}": (_content(data), "E_FORBIDDEN") for name, data in PLAYLISTS.items()},
    **{f"cut: {kind}": (cut(kind, 0.6), "E_TRUNCATED") for kind in CLIPS},
    "index only": (_content(b"\0\0\0\x14ftypisom\0\0\0\0isom\0\0\0\x08free"), "E_TRUNCATED"),
    **{f"zeroed: {kind}": (zeroed(kind), "E_CORRUPT") for kind in CLIPS if kind != "webm"},
    **{f"bomb: {name}": (make, "E_TOO_LARGE") for name, make in BOMBS.items()},
}


MORE: dict[str, Case] = {
    **{
        f"cut: {kind} at {share}": (cut(kind, share), "E_TRUNCATED")
        for kind in CLIPS
        for share in (0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9, 0.97)
    },
    **{
        f"playlist: {name} behind {lead!r}": (_content(lead + data), "E_FORBIDDEN")
        for name, data in PLAYLISTS.items()
        for lead in (b"\n \n", b"\xef\xbb\xbf", b"\t")
        if not (name == "dash" and lead == b"\t")
    },
    **{
        f"zeroed: {kind} at {share}": (zeroed(kind, share, 3000), "E_CORRUPT")
        for kind in ("mp4", "mkv", "ts")
        for share in (0.3, 0.4, 0.6, 0.7)
    },
    **{
        f"image: {form} of {size}": (_picture(form, size), "E_NO_VIDEO")
        for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
        for size in (16, 64)
    },
}
