"""A place where a decoder that opens what a file names would be seen: a listener, watched files, an audit hook."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_IN_OPEN = 0x20  # inotify(7)
ADDRESSES = (
    "http:",
    "https:",
    "tcp:",
    "udp:",
    "rtsp:",
    "rtmp:",
    "ftp:",
    "srt:",
    "data:",
    "crypto:",
    "cache:",
    "async:",
)
PATHS = ("concat:", "file:", "subfile,,start,0,end,0,,:", "concatf:", "pipe:", "fd:", "unix:", "md5:", "tee:")


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port on this machine, and what anybody sent to it first."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    heard.append(connection.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], heard
        finally:
            ended.set()
            thread.join()


@contextmanager
def watched(*paths: Path) -> Iterator[list[str]]:
    """Names of files and folders that any process, also below Python, opens meanwhile; filled at the end."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    names = {libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_OPEN): path.name for path in paths}
    if descriptor < 0 or min(names) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    seen: list[str] = []
    try:
        yield seen
    finally:
        try:
            events = os.read(descriptor, 65536)
        except BlockingIOError:
            events = b""
        while events:
            watch, length = int.from_bytes(events[:4], "little"), int.from_bytes(events[12:16], "little")
            seen.append(names[watch])
            events = events[16 + length :]
        os.close(descriptor)


# Decodes the paths of a JSON list on stdin; prints their codes, and every file and socket that Python opened.
SCRIPT = """
import json, os, sys
from fmcvqa.data.decoding import PyAVDecoder
from fmcvqa.errors import VideoError
paths = json.load(sys.stdin)
decoder, seen, now = PyAVDecoder(), [], [None]
def hook(event, arguments):
    if now[0] and (event.startswith(("socket.", "subprocess.", "os.system", "os.exec")) or event == "open"):
        ours = event == "open" and not isinstance(arguments[0], int) and os.fspath(arguments[0])
        libraries = (sys.prefix, sys.base_prefix)
        known = event == "open" and (not ours or ours == now[0] or ours.startswith(libraries))
        if not known:
            seen.append([event, str(arguments[:1])])
sys.addaudithook(hook)
codes = {}
for name, path in paths.items():
    now[0] = path
    try:
        codes[name] = "read" if list(decoder.frames(path)) else "nothing"
    except VideoError as error:
        codes[name] = error.code
    now[0] = None
print(json.dumps([codes, seen]))
"""


def hostile_paths(folder: Path, secret: Path, port: int, playlists: Mapping[str, bytes]) -> dict[str, str]:
    """Playlists that name ``secret`` and the port, under names of videos; addresses; a film with its data elsewhere."""
    folder.mkdir()
    paths: dict[str, str] = {}
    for target, word in (("file", str(secret)), ("port", f"http://127.0.0.1:{port}/clip.mp4")):
        for name, text in playlists.items():
            for ending in ("mp4", "mkv"):
                path = folder / f"{len(paths)}.{ending}"
                path.write_bytes(text.replace(b"clip.mp4", word.encode()).replace(b":9/", f":{port}/".encode()))
                paths[f"{name} to a {target} as {ending}"] = str(path)
    for scheme in ADDRESSES:
        paths[scheme] = f"{scheme}//127.0.0.1:{port}/clip.mp4"
    for scheme in PATHS:
        paths[scheme] = f"{scheme}{secret}"
    data = bytearray(secret.read_bytes())
    at = data.index(b"url \0\0\0\1")
    data[at + 7] = 0  # not in this file
    elsewhere = folder / "elsewhere.mov"
    elsewhere.write_bytes(data)
    paths["mov with its data elsewhere"] = str(elsewhere)
    return paths


def opens_of_other_files(
    folder: Path, secret: Path, playlists: Mapping[str, bytes]
) -> tuple[dict[str, str], list[object], int]:
    """Decodes hostile files in a process of its own.

    Args:
        folder: Where to make them.
        secret: A clip that must not be opened.
        playlists: Their texts; ``clip.mp4`` in them becomes the secret or an address.

    Returns:
        The code of each, what was opened that should not have been, and the number of connections.
    """
    with listener() as (port, heard):
        paths = hostile_paths(folder, secret, port, playlists)
        with watched(secret, secret.parent) as seen:
            run = subprocess.run(
                [sys.executable, "-c", SCRIPT], input=json.dumps(paths), capture_output=True, text=True, check=True
            )
    codes, opened = json.loads(run.stdout)
    return codes, [*opened, *seen], len(heard)
