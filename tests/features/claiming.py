"""One of many processes on one store: claims, computes, writes; run as ``python claiming.py FOLDER COUNT SECONDS``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from fmcvqa.features.claims import Claims
from fmcvqa.files import write_atomic


def main(folder: Path, count: int, seconds: float) -> None:
    ids = [f"v.{k}" for k in range(count)]
    start = os.getpid() * 7 % count  # not all in the same order

    def held(name: str) -> bool:
        return (folder / f"{name}.entry").exists()

    with Claims(folder, held, lease=5.0) as claims:
        while waiting := [name for name in ids[start:] + ids[:start] if not held(name)]:
            for name in waiting:
                if not claims.take(name):
                    continue
                log = os.open(folder / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
                os.write(log, f"{name} {os.getpid()}\n".encode())
                os.close(log)
                time.sleep(seconds)
                write_atomic(folder / f"{name}.entry", name.encode() * 100)
                claims.drop(name)
            time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
