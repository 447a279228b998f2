"""The command line: what it prints, what it refuses, and its exit codes; everything in this process."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from tiny import errors, generated, labelled, network, places, run

from fmcvqa import __version__, cli, configs
from fmcvqa.data.synthetic import SyntheticLIVEVQC
from fmcvqa.tasks.research import quoted

Capture = pytest.CaptureFixture[str]
COMMANDS = [*cli.RESEARCH, *cli.USING]
EXPERIMENTS = ["ablation", "authors", "finetune_tid2013", "table1_konvid1k", "table2_livevqc", "table3_cross"]


@pytest.fixture(autouse=True)
def nothing_is_left() -> object:
    """No call changes what the next one meets."""
    before = (list(sys.argv), Path.cwd())
    yield
    assert (sys.argv, Path.cwd()) == before
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]], ids=str)
def test_alone_it_prints_a_map(words: list[str], capsys: Capture) -> None:
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "usage: fmcvqa COMMAND ..."
    assert [line.split()[0] for line in lines if line.startswith("  ")] == COMMANDS
    assert lines[-4:] == [
        "Each has --help with an example. Experiments: " + ", ".join(EXPERIMENTS),
        "Exit codes: 0 done, 1 a bug, 2 usage, 3 some inputs failed, 4 nothing could start,",
        "130 and 143 told to stop",
        "Start here: fmcvqa demo",
    ]


def test_version(capsys: Capture) -> None:
    assert run(capsys, "--version") == (0, f"fmcvqa {__version__}\n", "")


def test_an_unknown_command_is_told_the_nearest(capsys: Capture) -> None:
    found = "Found: " + ", ".join(COMMANDS)
    assert run(capsys, "sweeep") == (
        2,
        "",
        f"error: there is no command 'sweeep'. {found}. Try: sweep, or fmcvqa for the list\n",
    )
    assert run(capsys, "xyz")[2] == f"error: there is no command 'xyz'. {found}. Try: fmcvqa for the list\n"


def test_as_a_process_it_is_one_line_and_light() -> None:
    code = "import sys; from fmcvqa import cli; code = cli.main(); assert 'torch' not in sys.modules; sys.exit(code)"
    ended = subprocess.run([sys.executable, "-c", code, "nothing"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: there is no command 'nothing'. ")
    assert ended.stderr.count("\n") == 1


def by_itself() -> None:
    raise KeyboardInterrupt


def as_lightning_does() -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


@pytest.mark.parametrize("stops", [by_itself, as_lightning_does])
def test_ctrl_c_is_no_bug(stops: Callable[[], None], capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_run", lambda command, rest: stops())
    assert run(capsys, "extract") == (130, "", "stopped by Ctrl-C: what is finished is kept\n")


def test_what_parsers_refuse_is_usage(capsys: Capture) -> None:
    code, _, err = run(capsys, "predict")
    assert code == 2
    assert "fmcvqa predict: error: the following arguments are required: PATH, --model" in err
    assert run(capsys, "info", "--help")[0] == 0
    code, _, err = run(capsys, "sweep", "--nothing")
    assert code == 2
    assert "unrecognized arguments: --nothing" in err


@pytest.mark.parametrize("command", ["distort", "degrade"])
def test_no_seed_is_below_0(command: str, capsys: Capture) -> None:
    code, _, err = run(capsys, command, "from", "to", "--seed", "-1")
    assert (code, err.endswith("error: argument --seed: -1 is below 0\n")) == (2, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: Capture) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert re.search(rf"(example[^\n]*: |^ +|\$\()fmcvqa {command}\b", out, re.MULTILINE | re.IGNORECASE), out


def test_cfg_job_prints_the_composed_config(capsys: Capture) -> None:
    for words in (["table1_konvid1k", "--cfg", "job"], ["--cfg", "job", "experiments/table1_konvid1k.yaml"]):
        code, out, err = run(capsys, "sweep", *words)
        assert (code, err) == (0, "")
        assert "name: table1_konvid1k" in out
        assert "_target_: fmcvqa.data.labels.KoNViD1k" in out
    code, out, _ = run(capsys, "sweep", "~tracker", "--cfg", "job")
    assert code == 0
    assert "tracker:" not in out


@pytest.mark.parametrize("words", [["-m", "--cfg", "job"], ["--info=config", "--multirun"]])
def test_the_config_of_many_jobs_is_none(words: list[str], capsys: Capture) -> None:
    code, out, err = run(capsys, "sweep", "regressor.kernel=linear,rbf", *words)
    option = next(word for word in words if word not in ("-m", "--multirun"))
    assert (code, out) == (2, "")
    assert errors(err) == [f"{option} shows one job, -m runs many. Try: the same without -m, one value for each key"]


def test_an_unknown_key_or_option_is_usage(capsys: Capture) -> None:
    code, out, err = run(capsys, "sweep", "regressor.kernal=rbf")
    assert (code, out) == (2, "")
    assert err.startswith("error: Could not override 'regressor.kernal'.\nTo append to your config use +")
    assert err.endswith("\nTry: regressor.kernel\n")
    code, _, err = run(capsys, "sweep", "recipe=papier")
    assert code == 2
    assert err.startswith("error: In 'sweep': Could not find 'recipe/papier'\n\nAvailable options in 'recipe':")
    assert err.endswith("\nTry: recipe=paper\n")


@pytest.mark.parametrize("setting", ["tracker=null", "tracker=false", "tracker=[1]", "tracker=[]", "+tracker=2"])
def test_an_option_that_is_no_name_is_told_what_there_is(setting: str, capsys: Capture) -> None:
    told = f"error: {setting} names none of tracker. Found: none, wandb\n"
    assert run(capsys, "sweep", setting) == (2, "", told)


def test_an_option_that_is_none_is_no_silent_default(capsys: Capture) -> None:
    code, out, err = run(capsys, "sweep", "-m", "ablation=paper,stride5")
    assert (code, out) == (2, "")
    assert errors(err)[0].startswith("there is no ablation 'stride5'. Found: gram_l2, ")
    assert errors(err)[0].endswith("Try: stride_5, or leave it out")
    assert run(capsys, "sweep", "target=livevqc") == (
        2,
        "",
        "error: target=livevqc chooses nothing. Try: data@target=livevqc\n",
    )


def test_an_unknown_experiment_is_told_the_nearest(capsys: Capture) -> None:
    assert run(capsys, "sweep", "table1_konvid") == (
        2,
        "",
        f"error: there is no experiment 'table1_konvid'. Found: {', '.join(EXPERIMENTS)}. "
        "Try: table1_konvid1k, or a path to a YAML file\n",
    )


def test_ones_own_experiment_is_run_from_anywhere(tmp_path: Path, capsys: Capture) -> None:
    mine = tmp_path / "my experiments" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text("defaults: [sweep, override regressor: svr, _self_]\nname: mine\nregressor: {C: 4}\n")
    code, out, _ = run(capsys, "sweep", str(mine), "regressor.kernel=rbf", "--cfg", "job")
    assert code == 0
    assert "name: mine" in out
    assert "  kernel: rbf\n  C: 4\n" in out


def refused(capsys: Capture, *words: str) -> tuple[int, list[str]]:
    """Exit code and error lines of a single run that must end without a traceback and without output."""
    code, out, err = run(capsys, *words)
    assert out == ""
    assert "Traceback" not in err
    assert "Error executing job" not in err
    return code, errors(err)


def test_a_missing_dataset_folder(tmp_path: Path, capsys: Capture) -> None:
    where = tmp_path / "none"
    message = (
        f"KoNViD-1k is looked for in {where}, which does not exist. Try: give the folder the dataset was unpacked into"
    )
    for command in ("extract", "sweep", "fit"):
        assert refused(capsys, command, f"data.root={where}", *network(), *places(tmp_path)) == (4, [message])


def test_a_table_of_a_missing_dataset_ends_with_its_code(tmp_path: Path, capsys: Capture) -> None:
    words = [f"data.root={tmp_path / 'none'}", "features.layers=[avgpool]", *places(tmp_path)]
    code, (first, last) = refused(capsys, "sweep", "table1_konvid1k", *words)
    assert code == 4
    assert first.startswith("KoNViD-1k is looked for in ")
    assert last.startswith("2 of 2 jobs failed: avgpool_linear_data.root=")
    assert last.count(first) == 1


def test_a_missing_weight_file(tmp_path: Path, capsys: Capture) -> None:
    words = [*generated(), *network(), *places(tmp_path), f"model.weights={tmp_path / 'none.pth'}"]
    assert refused(capsys, "extract", *words) == (
        4,
        [
            f"the weight file {tmp_path / 'none.pth'} does not exist. Try: model.weights=FILE with a .ckpt, .pth or "
            ".safetensors file, or model.weights=imagenet or none"
        ],
    )


def test_an_unknown_tap(tmp_path: Path, capsys: Capture) -> None:
    common = [*generated(), *network(), *places(tmp_path), "tracker=none"]
    code, [message] = refused(capsys, "sweep", *common, "recipe.taps=[Mixed_5b]")
    assert code == 2
    assert message.startswith("squeezenet1_1 has no tap 'Mixed_5b'. Found: features.0, features.1, ")
    assert message.endswith(", and the layers within them. Try: " + message.rpartition(" ")[2])
    assert refused(capsys, "sweep", *common, "features.layers=[features.4,Mixed_5b]") == (
        2,
        [
            "features.layers names Mixed_5b, which the recipe does not extract. "
            "Found: recipe.taps = features.4, classifier.avgpool. Try: add the layer to recipe.taps"
        ],
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("recipe.stride=0", "recipe.stride is 0. Try: recipe.stride = a whole number from 1"),
        ("regressor.kernel=poly", "regressor.kernel=poly is unknown. Found: linear, rbf"),
        ("loader.num_workers=-1", "num_workers is -1. Try: give 0 to decode in this process, or more"),
        (
            "trainer.precision=bf16-mixed",
            "trainer.precision is bf16-mixed but recipe.precision is 32-true. "
            "Try: recipe.precision alone, which the stored features are named by",
        ),
    ],
)
def test_a_value_out_of_range_is_one_line(setting: str, message: str, tmp_path: Path, capsys: Capture) -> None:
    labels = labelled(tmp_path / "set", ["a"])
    words = ["data=csv", f"data.labels={labels}", *network(), *places(tmp_path), "tracker=none", setting]
    code, [said] = refused(capsys, "sweep", *words)
    assert (code, said) == (2, message)


def test_paths_need_no_quotes_of_their_own(tmp_path: Path, capsys: Capture) -> None:
    made = SyntheticLIVEVQC(tmp_path / "made", videos=4, seconds=0.14, size=(90, 160))
    made.records()
    root = tmp_path / "it's, {mine}" / "LIVE Video Quality Challenge (VQC) Database"
    root.parent.mkdir()
    (tmp_path / "made" / root.name).rename(root)
    words = ["data=livevqc", f"data.root={root}", "data.expected=4", *network(), *places(tmp_path / "a (b), c")]
    code, out, _ = run(capsys, "extract", *words)
    assert code == 0
    folder = tmp_path / "a (b), c" / "cache" / "live_vqc"
    assert out.startswith(f"4 videos of LIVE-VQC: features in {folder}/")
    assert len(list(folder.glob("*/*.safetensors"))) == 4


@pytest.mark.parametrize(
    ("given", "handed"),
    [
        ("data.root=/x/LIVE Video (VQC) Database", "data.root='/x/LIVE Video (VQC) Database'"),
        ("data.root=/x/it's (mine)", "data.root='/x/it\\'s (mine)'"),
        ("data.root=/x/plain", "data.root=/x/plain"),
        ("data.root='/x/a (b)'", "data.root='/x/a (b)'"),
        ("regressor.kernel=linear,rbf", "regressor.kernel=linear,rbf"),
        ("features.layers=[Mixed_5b],[avgpool]", "features.layers=[Mixed_5b],[avgpool]"),
        ("model.seed=range(0,3)", "model.seed=range(0,3)"),
        ("model.weights=${paths.outputs}/x.ckpt", "model.weights=${paths.outputs}/x.ckpt"),
        ("features.layers=[a b", "features.layers=[a b"),
        ("-m", "-m"),
        ("~tracker", "~tracker"),
    ],
)
def test_only_values_that_hydra_cannot_take_are_quoted(given: str, handed: str) -> None:
    assert quoted(given) == handed


def test_an_existing_path_with_a_comma_is_one_value(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    assert quoted(f"data.root={folder}") == f"data.root={folder}"
    folder.mkdir()
    assert quoted(f"data.root={folder}") == f"data.root='{folder}'"


def test_the_map_names_every_experiment_there_is() -> None:
    assert configs.experiments() == EXPERIMENTS
