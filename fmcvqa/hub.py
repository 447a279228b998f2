"""Model files in a Hugging Face repository or a local folder: one ``model.fmcvqa`` beside its card as ``README.md``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmcvqa.errors import ConfigError, ModelFileError
from fmcvqa.files import write_atomic
from fmcvqa.modelcard import describe
from fmcvqa.modelfile import SUFFIX, read_model_file

SCHEME = "hf://"
MODEL_NAME = f"model{SUFFIX}"
CARD_NAME = "README.md"


def local_model(reference: str | os.PathLike[str]) -> Path:
    """The model file that a reference names, fetched first if it lies on the Hub.

    Args:
        reference: A file; a folder that holds ``model.fmcvqa``; or ``hf://owner/name``, ``hf://owner/name@revision``,
            ``hf://owner/name/FILE``. The Hub's own cache keeps what was fetched; its variables (``HF_TOKEN``,
            ``HF_HOME``, ``HF_HUB_OFFLINE``) hold.

    Raises:
        ConfigError: If the reference is not complete, or huggingface_hub is not installed.
        ModelFileError: If the Hub does not give the file.
    """
    text = os.fspath(reference)
    if not text.startswith(SCHEME):
        path = Path(text)
        return path / MODEL_NAME if path.is_dir() else path
    repository, revision, name = _parsed(text)
    hub = _hub()
    try:
        return Path(hub.hf_hub_download(repository, name, revision=revision))
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as error:
        raise ModelFileError(
            f"the Hub does not give {text} ({str(error).splitlines()[0]})",
            advice="look at the name and the network; a private repository needs HF_TOKEN",
        ) from error


def local_weights(weights: str) -> str:
    """What ``model.weights`` names, fetched first if it is a model on the Hub; see :func:`local_model`."""
    return str(local_model(weights)) if weights.startswith(SCHEME) else weights


def share(model: Path, target: str, *, private: bool = False) -> str:
    """Put a model file and its card into a repository, made if it is not there, or a folder.

    Args:
        model: The file; it is verified first.
        target: ``hf://owner/name`` or a folder.
        private: Whether a new repository is private.

    Returns:
        Where it lies now.

    Raises:
        ModelFileError: If the file is no whole model, or the Hub refuses.
        ConfigError: If the target is not complete, or huggingface_hub is not installed.
    """
    arrays, record = read_model_file(model)
    if not target.startswith(SCHEME):
        return str(_write(Path(target), model.read_bytes(), _readme(record, arrays, target)))
    repository, revision, name = _parsed(target)
    if revision is not None or name != MODEL_NAME:
        raise ConfigError(f"{target} is more than a repository", advice=f"{SCHEME}{repository}")
    hub = _hub()
    try:
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), model.read_bytes(), _readme(record, arrays, target))
            found = api.upload_folder(
                repo_id=repository, folder_path=folder, commit_message=f"{MODEL_NAME} and its card"
            )
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as error:
        raise ModelFileError(
            f"the Hub does not take {target} ({str(error).splitlines()[0]})",
            advice="log in with `hf auth login` or HF_TOKEN, and look at the name",
        ) from error
    return str(found)


def _parsed(reference: str) -> tuple[str, str | None, str]:
    """Repository, revision or None, and file of ``hf://owner/name[@revision][/FILE]``."""
    words = reference.removeprefix(SCHEME).split("/", 2)
    if len(words) < 2 or not all(words):
        raise ConfigError(f"{reference} names no repository", advice=f"{SCHEME}OWNER/NAME, such as {SCHEME}me/my-model")
    name, _, revision = words[1].partition("@")
    return f"{words[0]}/{name}", revision or None, words[2] if len(words) == 3 else MODEL_NAME


def _readme(record: Mapping[str, Any], arrays: Mapping[str, Any], target: str) -> str:
    """The card with the head the Hub reads, and how to use the model."""
    licence, data = record["card"].get("licence"), record["card"].get("dataset")
    head: dict[str, Any] = {"library_name": "fmcvqa", "tags": ["video-quality-assessment", "no-reference"]}
    if licence:
        head["license"] = str(licence).lower()  # the Hub's spelling of SPDX names
    if data:
        head["datasets"] = [data["name"]]
    lines = [f"{key}: {json.dumps(value)}" for key, value in head.items()]  # JSON is YAML
    model = target if target.startswith(SCHEME) else MODEL_NAME
    use = f"## Use\n\n```sh\npip install 'fmcvqa[hub]'\nfmcvqa predict clip.mp4 --model {model}\n```\n"
    return "\n".join(["---", *lines, "---", "", describe(record, arrays), use])


def _write(folder: Path, model: bytes, readme: str) -> Path:
    try:
        write_atomic(folder / CARD_NAME, readme.encode())
        write_atomic(folder / MODEL_NAME, model)
    except OSError as error:
        raise ModelFileError(f"{folder} cannot be written to ({error.strerror})", advice="another folder") from error
    return folder / MODEL_NAME


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise ConfigError(
            "a model on the Hugging Face Hub needs huggingface_hub", advice="pip install 'fmcvqa[hub]'"
        ) from error
    return huggingface_hub
