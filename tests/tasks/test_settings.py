"""Names and types of a config's settings are checked before anything takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf
from tiny import errors, generated, network, places, run

from fmcvqa import configs
from fmcvqa.errors import ConfigError
from fmcvqa.regression.protocols import Paper
from fmcvqa.tasks.settings import build, check

Capture = pytest.CaptureFixture[str]
OPTIONS = {f"{path.parent.name}/{path.stem}": OmegaConf.load(path) for path in configs.conf_dir().glob("*/*.yaml")}
BUILT = sorted(name for name, option in OPTIONS.items() if str(option.get("_target_")).startswith("fmcvqa."))


@pytest.mark.parametrize("name", BUILT)
def test_every_option_fits_what_it_names(name: str) -> None:
    option: dict[str, Any] = OmegaConf.to_container(OPTIONS[name], resolve=False)  # type: ignore[assignment]
    take = get_object(option.pop("_target_"))
    plain = {key: value for key, value in option.items() if key != "defaults" and "${" not in str(value)}
    check("", {key: value for key, value in plain.items() if value != "???"}, take)
    with pytest.raises(ConfigError, match=r"^there is no setting 'x\.none_such'\. "):
        check("x", plain | {"none_such": 1}, take)


@pytest.mark.parametrize(
    ("value", "hint", "told"),
    [
        (1, float, None),
        (1.0, int, "a whole number"),
        (True, int, "a whole number"),
        (1, bool, "true or false"),
        ("no", bool, "true or false"),
        (None, int | None, None),
        (None, str | Path, "text or a path"),
        ("a", Path, None),
        ("a", Literal["b", "c"], None),  # who takes it says more
        (2, Literal["b", "c"], None),
        ("a", Sequence[str], "a list (text each)"),
        ([1, 2], tuple[int, int] | None, None),
        ([1, 2, 3], tuple[int, int] | None, "a list of 2 (a whole number each) or null"),
        ([0.1, 1], Sequence[float | str], None),
        ([[1]], Sequence[float | str], "a list (a number or text each)"),
        ({"a": "b"}, str | Mapping[str, str], None),
        ({"a": 1}, str | Mapping[str, str], "text or names with values"),
        (float("inf"), float, None),  # whoever takes it knows its range
        (float("nan"), float, "a number"),
    ],
)
def test_types(value: Any, hint: Any, told: str | None) -> None:
    if told is None:
        check("x", {"y": value}, y=hint)
        return
    with pytest.raises(ConfigError) as caught:
        check("x", {"y": value}, y=hint)
    assert caught.value.problem.endswith(f", which is not {told}")


def test_the_advice_is_the_default_or_how_to_write_it() -> None:
    def take(*, a: int = 3, b: str | None = None, c: bool = False, d: str = "e") -> None: ...

    for given, advice in [
        ({"a": "x"}, "x.a=3, which is the default"),
        ({"b": 7}, """'x.b="7"', if that is a name"""),
        ({"b": [7]}, ""),
        ({"c": "yes"}, "x.c=false, which is the default"),
        ({"d": 4}, "x.d=e, which is the default"),
    ]:
        with pytest.raises(ConfigError) as caught:
            check("x", given, take)
        assert caught.value.advice == advice
    with pytest.raises(ConfigError) as caught:
        check("x", {"y": "a"}, y=Sequence[str])
    assert caught.value.advice == "'x.y=[a]'"


def test_what_is_built_has_its_settings_and_its_place_is_told() -> None:
    config = OmegaConf.create({"n": 3, "protocol": {"_target_": "fmcvqa.regression.protocols.Paper", "folds": "${n}"}})
    built = build(config.protocol)
    assert isinstance(built, Paper)
    assert built.folds == 3
    config.n = "many"
    with pytest.raises(ConfigError) as caught:
        build(config.protocol)
    assert str(caught.value) == (
        'protocol.folds is "many", which is not a whole number. Try: protocol.folds=5, which is the default'
    )


WRONG = {
    "loader.compiled=no": 'loader.compiled is "no", which is not true or false',
    "+loader.speed=1": "there is no setting 'loader.speed'",
    "model.seed=abc": 'model.seed is "abc", which is not a whole number',
    "recipe.stride=1.5": "recipe.stride is 1.5, which is not a whole number",
    "+decoder.threads=2": "there is no setting 'decoder.threads'",
    "data.videos=some": 'data.videos is "some", which is not a whole number',
}


@pytest.mark.parametrize("setting", WRONG)
def test_an_extraction_does_not_start(setting: str, tmp_path: Path, capsys: Capture) -> None:
    code, _, err = run(capsys, "extract", *generated(), *network(), *places(tmp_path), setting)
    assert (code, [line.startswith(WRONG[setting]) for line in errors(err)]) == (2, [True])
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("setting", ["features.layers=word", "features.pools=1", "regressor.C=abc", "+protocol.x=1"])
def test_a_cell_does_not_start(setting: str, tmp_path: Path, capsys: Capture) -> None:
    code, _, err = run(capsys, "sweep", *generated(), *network(), *places(tmp_path), "tracker=none", setting)
    assert (code, len(errors(err))) == (2, 1)
    assert not (tmp_path / "data").exists()


OF_TRAINING = [
    *(
        "training.lr=fast",
        "training.lr=0",
        "training.resize=5",
        "training.crop=0",
        "training.crop=16",
        "training.batch_size=0",
    ),
    *("training.num_workers=-1", "training.momentum=1", "training.weight_decay=-1", "training.head_hidden=0"),
    *("training.mos_range=[5,1]", "training.max_epochs=-1", "+training.seed=1", "seed=x", "seed=-1"),
    *("checkpoint_steps=-1", "ckpt_path=none.ckpt", "ckpt_path=1", "paths.cache=null"),
    *("trainer.log_every_n_steps=often", "+trainer.max_step=1", "+trainer.max_time=2", "+trainer.callbacks=all"),
    "+trainer.check_val_every_n_epoch=0",
]


@pytest.mark.parametrize("setting", OF_TRAINING)
def test_a_fine_tuning_does_not_start(setting: str, tmp_path: Path, capsys: Capture) -> None:
    small = ["data=synthetic_tid2013", "data.references=2", "data.distortions=[1]", "data.size=[48,48]"]
    small += ["model=squeezenet1_1", "model.weights=none", "tracker=none"]
    code, _, err = run(capsys, "finetune", *small, *places(tmp_path), setting)
    (told,) = errors(err)
    name = "checkpoint" if setting == "ckpt_path=none.ckpt" else re.split("[.+=]", setting)[-2]
    assert code == 2
    assert re.search(rf"\b{name}\b", told)
    assert not (tmp_path / "outputs" / "finetune" / "result.json").exists()


@pytest.mark.parametrize("command", ["extract", "sweep", "fit", "finetune"])
@pytest.mark.parametrize("setting", ["name=1", "name=''", "paths.outputs=''", "paths.outputs=2", "paths.data=[a]"])
def test_what_files_are_named_by_is_a_text(command: str, setting: str, tmp_path: Path, capsys: Capture) -> None:
    code, _, err = run(capsys, command, *places(tmp_path), setting)
    key, _, value = setting.partition("=")
    wrong = "is empty. Try: " if value == "''" else f"is {value}, which is not text" if value != "[a]" else 'is ["a"], '
    assert (code, [line.startswith(f"{key} {wrong}") for line in errors(err)]) == (2, [True])
    assert list(tmp_path.iterdir()) == []


OF_A_CELL = ["protocol.seed=-1", "protocol.permutation=-1", "kernels.memory_gib=-1", "loader.heartbeat_seconds=0"]


@pytest.mark.parametrize("setting", OF_A_CELL)
def test_numbers_out_of_their_range(setting: str, tmp_path: Path, capsys: Capture) -> None:
    taps = ["recipe.taps=[features.4]", "features.layers=[features.4]"]
    code, _, err = run(capsys, "sweep", *generated(), *network(), *taps, *places(tmp_path), "tracker=none", setting)
    name, _, value = setting.removeprefix("loader.").partition("=")
    assert (code, [line.startswith(f"{name} is {value}. Try: ") for line in errors(err)]) == (2, [True])


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("extract", "paths.cache={file}/x"),
        ("extract", "paths.outputs={file}/x"),
        ("sweep", "protocol.splits_file={file}x"),
        ("sweep", "kernels.folder={file}/x"),
        ("fit", "output={file}/x"),
        ("fit", "output={folder}"),
    ],
)
def test_files_and_folders_that_are_refused(command: str, setting: str, tmp_path: Path, capsys: Capture) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    folder.mkdir()
    taps = ["recipe.taps=[features.4]"] + ["features.layers=[features.4]", "tracker=none"] * (command != "extract")
    words = [*generated(), *network(), *taps, *places(tmp_path), setting.format(file=file, folder=folder)]
    code, _, err = run(capsys, command, *words)
    (told,) = errors(err)
    assert code == 4
    assert str(folder if "{folder}" in setting else file) in told
    if command == "fit":
        assert not (tmp_path / "cache").exists()  # nothing was computed that could not be kept


def test_a_cell_of_many_whose_file_is_missing_fails_alone(tmp_path: Path, capsys: Capture) -> None:
    taps = ["recipe.taps=[features.4]", "features.layers=[features.4]", "protocol.repeats=1", "tracker=none"]
    splits = f"protocol.splits_file=null,{tmp_path / 'none.json'}"
    code, out, err = run(capsys, "sweep", "-m", *generated(), *network(), *taps, *places(tmp_path), splits)
    assert code == 3
    assert out.count("features.4 linear: SROCC ") == 1
    assert "none.json: No such file or directory" in err
