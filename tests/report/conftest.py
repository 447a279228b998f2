"""Small result.json files with known numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_results import content

Write = Callable[..., Path]


@pytest.fixture
def result() -> Callable[..., dict[str, Any]]:
    """`content`, for tests that change it before it is written."""
    return content


@pytest.fixture
def write() -> Write:
    """Writes a result below a folder; a key is made from what it holds."""

    def write_one(folder: Path, *arguments: Any, **keywords: Any) -> Path:
        data = arguments[0] if arguments and isinstance(arguments[0], dict) else content(*arguments, **keywords)
        data["key"] = data.get("key") or json.dumps(
            [data[k] for k in ("name", "cell", "dataset", "target", "protocol")]
        )
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "result.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return write_one
