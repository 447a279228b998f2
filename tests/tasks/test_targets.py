"""Sixty gadgets: each would run or read something if Hydra built it, and none is built."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tiny import composed, errors, places, run

from fmcvqa import configs
from fmcvqa.errors import ConfigError
from fmcvqa.tasks.targets import ALLOW, refuse_foreign, refuse_packages

Capture = pytest.CaptureFixture[str]

CALLABLES = [
    "builtins.eval",
    "builtins.exec",
    "builtins.compile",
    "builtins.open",
    "builtins.__import__",
    "builtins.getattr",
    "os.system",
    "os.popen",
    "os.execv",
    "os.remove",
    "os.mkdir",
    "posix.system",
    "posix.mkdir",
    "pty.spawn",
    "subprocess.run",
    "subprocess.Popen",
    "subprocess.check_output",
    "shutil.rmtree",
    "shutil.copy",
    "importlib.import_module",
    "importlib.machinery.SourceFileLoader",
    "runpy.run_path",
    "code.interact",
    "timeit.timeit",
    "cProfile.run",
    "ctypes.CDLL",
    "pickle.load",
    "pickle.loads",
    "_pickle.loads",
    "marshal.loads",
    "shelve.open",
    "joblib.load",
    "joblib.memory.Memory",
    "numpy.load",
    "numpy.lib._npyio_impl.load",
    "scipy.io.loadmat",
    "pandas.read_pickle",
    "torch.load",
    "torch.serialization.load",
    "torch.jit.load",
    "torch.hub.load",
    "torch.package.PackageImporter",
    "torch.utils.cpp_extension.load",
    "safetensors.torch.load_file",
    "urllib.request.urlopen",
    "urllib.request.urlretrieve",
    "socket.create_connection",
    "http.client.HTTPConnection",
    "webbrowser.open",
    "wandb.init",
    "hydra.utils.call",
    "hydra.utils.get_method",
    "hydra.experimental.callbacks.PickleJobInfoCallback",
    "lightning.pytorch.cli.LightningCLI",
    "lightning.pytorch.core.module.LightningModule.load_from_checkpoint",
]
# Names that begin like ours, and lead elsewhere.
DETOURS = [
    "fmcvqa.sealed.os.system",
    "fmcvqa.sealed.Path",
    "fmcvqa.sealed.write_atomic",
    "fmcvqa.models.weights.torch.load",
    "fmcvqa.predictor.VideoQualityModel.load",
    "fmcvqa_plugin.Evil",
    "fmcvqa..sealed.os",
    "lightning.pytorch.callbacks.os.system",
    "lightning.pytorch.callbacks.model_checkpoint.shutil.rmtree",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a module ``gadget`` leaves a file as soon as it is imported."""
    trace = tmp_path / "ran"
    (tmp_path / "gadget.py").write_text(
        f"import logging, pathlib\npathlib.Path({str(trace)!r}).touch()\n"
        "class Handler(logging.NullHandler): pass\n"
        "def records(*a, **k): raise SystemExit(9)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield trace
    sys.modules.pop("gadget", None)


@pytest.mark.parametrize("name", CALLABLES + DETOURS)
@pytest.mark.parametrize("place", ["{}", "{{a: [{{b: {}}}]}}"], ids=["top", "deep"])
def test_a_foreign_name_is_refused_wherever_it_stands(name: str, place: str) -> None:
    config = OmegaConf.create({"trainer": OmegaConf.create(place.format(f"{{_target_: {name}}}"))})
    where = "trainer._target_" if place == "{}" else "trainer.a.0.b._target_"
    with pytest.raises(ConfigError) as caught:
        refuse_foreign(config)
    assert str(caught.value) == (
        f"{where} is {name!r}, which a config may not ask for. Found: allowed are fmcvqa's own classes, "
        "lightning.Trainer, classes of lightning.pytorch.accelerators, lightning.pytorch.callbacks, "
        "lightning.pytorch.plugins, lightning.pytorch.profilers, lightning.pytorch.strategies. "
        f"Try: only if you know and trust it: --allow-target {name}, or {ALLOW}={name} in the environment"
    )
    assert caught.value.exit_code == 2


GADGETS = {
    "data": ["data._target_=gadget.records"],
    "loader of files": ["data._target_=joblib.load", "+data.filename=x"],
    "nested": ["+trainer.strategy={_target_: gadget.records}"],
    "in a list": ["+trainer.callbacks=[{_target_: gadget.records}]"],
    "unused": ["+mine.deep=[[{_target_: gadget.records}]]"],
    "partial": ["+mine={_target_: gadget.records, _partial_: true}"],
    "named elsewhere": ["data._target_=${name}", "name=gadget.records"],
    "named by the environment": ["data._target_=${oc.env:GADGET}"],
    "resolver with a default": ["+mine='${oc.select:none,{_target_: gadget.records}}'"],
    "resolver that decodes": ["+mine='${oc.decode:\"{_target_: gadget.records}\"}'"],
    "resolver that creates": ["+mine='${oc.create:{x:1}}'"],
    "callback of Hydra": ["+hydra.callbacks.mine={_target_: gadget.Handler}"],
    "callback that pickles": ["+hydra.callbacks.mine._target_=hydra.experimental.callbacks.PickleJobInfoCallback"],
    "launcher": ["hydra.launcher._target_=gadget.records"],
    "sweeper": ["hydra.sweeper._target_=gadget.records"],
    "logging class": ["hydra.job_logging.handlers.console.class=gadget.Handler"],
    "logging stream": ["hydra.job_logging.handlers.console.stream=ext://gadget.records"],
    "logging to a server": ["hydra.job_logging.handlers.console.class=logging.handlers.SocketHandler"],
    "library for children": ["+hydra.job.env_set={LD_PRELOAD: x.so}"],
    "modules for children": ["+hydra.job.env_set={PYTHONPATH: x}"],
    "search path": ["hydra.searchpath=[pkg://gadget]"],
}


@pytest.mark.parametrize("words", GADGETS.values(), ids=GADGETS)
def test_no_composed_config_has_a_gadget(words: list[str], ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GADGET", "gadget.records")
    with pytest.raises(ConfigError, match="which a config may not ask for"):
        composed("finetune", *words)
    assert not ran.exists()


@pytest.mark.parametrize("kind", ["data", "callback of Hydra", "logging class", "search path", "pickle to run again"])
def test_no_gadget_runs(kind: str, ran: Path, tmp_path: Path, capsys: Capture) -> None:
    rerun = ["--experimental-rerun", "x.pickle"]
    words = rerun if kind.startswith("pickle") else [*GADGETS[kind], *places(tmp_path)]
    code, out, err = run(capsys, "finetune", *words)
    assert (code, out) == (2, "")
    assert len(errors(err)) == 1, err
    assert "which a config may not ask for" in err or "would unpickle a file" in err
    assert not ran.exists()
    assert not (tmp_path / "outputs").exists()


IN_A_FILE = {
    "sweep": "mode: MULTIRUN\n  sweeper: {params: {+mine: '{a: 1},{_target_: gadget.records}'}}",
    "search path": "searchpath: ['pkg://gadget']",
    "logging factory": "hydra_logging: {handlers: {mine: {(): gadget.Handler}}}",
    "logging formatter": "job_logging: {formatters: {mine: {(): gadget.Handler}}}",
}


@pytest.mark.parametrize("text", IN_A_FILE.values(), ids=IN_A_FILE)
def test_no_gadget_in_somebodys_experiment_runs(text: str, ran: Path, tmp_path: Path, capsys: Capture) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"defaults: [extract, _self_]\nname: mine\nhydra:\n  {text}\n")
    code, _, err = run(capsys, "extract", str(mine), *places(tmp_path))
    assert (code, "gadget" in errors(err)[0], "which a config may not ask for" in err) == (2, True, True)
    assert not ran.exists()


def test_a_user_may_add_a_name_and_no_config_may(ran: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["extract", *places(tmp_path), "+hydra.callbacks.mine={_target_: gadget.records}"]
    assert run(capsys, *words, "+allow_targets=[gadget.records]")[0] == 2
    assert not ran.exists()
    assert run(capsys, *words, "--allow-target", "gadget.records")[0] == 9  # it has run
    assert ran.exists()
    assert run(capsys, *words)[0] == 2  # for that one command only
    assert run(capsys, "extract", "--allow-target")[::2] == (
        2,
        "error: --allow-target names nothing. Try: --allow-target my.module.Class\n",
    )


def test_what_our_configs_name_and_frameworks_offer_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(configs.conf_dir().rglob("*.yaml"))
    assert len(files) > 40
    for file in files:
        refuse_foreign(OmegaConf.load(file))  # type: ignore[arg-type]
    for name in ("callbacks.EarlyStopping", "strategies.DDPStrategy", "profilers.SimpleProfiler"):
        refuse_foreign(OmegaConf.create({"a": {"_target_": f"lightning.pytorch.{name}"}}))
    with pytest.raises(ConfigError, match=r"a\._target_ is 'my\.Class'"):
        refuse_foreign(OmegaConf.create({"a": {"_target_": "my.Class"}}))
    monkeypatch.setenv(ALLOW, "other.Class, my.Class")
    refuse_foreign(OmegaConf.create({"a": {"_target_": "my.Class"}}))


def test_a_config_that_names_itself_ends() -> None:
    refuse_foreign(OmegaConf.create({"a": {"b": "${a}", "c": "${none}"}}))
    refuse_packages(["file:///x", "/x", "pkg://fmcvqa.conf"])
