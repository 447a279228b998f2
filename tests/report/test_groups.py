from pathlib import Path

import pytest

from fmcvqa.report.fields import ResultError
from fmcvqa.report.groups import flatten, group_results, slugify
from fmcvqa.report.results import find_results

LIVE = {"name": "LIVE-VQC", "stand_in": False, "videos": 40, "mos_range": [0, 100]}


def groups(folder: Path):
    return group_results(find_results(folder))


def test_one_group_needs_no_slug(tmp_path: Path, write) -> None:
    for kernel, srocc in (("linear", 0.7), ("rbf", 0.75)):
        write(tmp_path / kernel, kernel=kernel, srocc=srocc)
    (group,) = groups(tmp_path)
    assert (group.slug, group.title, group.settings) == ("", "KoNViD-1k", ("", ""))
    assert group.best.cell.kernel == "rbf"
    assert group.protocol_text == "paper (folds=5, mapping_fitted_on=train, repeats=1, seed=0)"


def test_protocol_text_is_short(tmp_path: Path, write) -> None:
    write(tmp_path, protocol={"name": "paper", "splits_sha256": "0123456789abcdef" * 4, "splits_file": None})
    assert groups(tmp_path)[0].protocol_text == "paper (splits_sha256=0123456789ab)"


def test_slugs_say_what_differs_and_no_more(tmp_path: Path, write) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", dataset=LIVE, name="table2")
    assert [group.slug for group in groups(tmp_path)] == ["konvid-1k", "live-vqc"]
    write(tmp_path / "c", dataset=LIVE, name="other")
    assert [group.slug for group in groups(tmp_path)] == ["konvid-1k", "live-vqc_other", "live-vqc_table2"]


def test_protocols_and_their_settings_make_groups(tmp_path: Path, write) -> None:
    for seed in (0, 1):
        write(tmp_path / f"paper{seed}", protocol={"name": "paper", "seed": seed, "folds": 5})
    assert [group.slug for group in groups(tmp_path)] == ["seed-0", "seed-1"]
    write(tmp_path / "nested", protocol={"name": "nested", "seed": 0, "folds": 5})
    assert [group.slug for group in groups(tmp_path)] == ["nested", "paper_seed-0", "paper_seed-1"]


def test_slugs_never_collide(tmp_path: Path, write) -> None:
    for number, sha in enumerate(("a" * 64, "b" * 64)):
        write(tmp_path / sha, protocol={"name": "paper", "seed": 0, "splits_sha256": sha}, name=("x/y", "x y")[number])
        write(tmp_path / "seeds" / sha, protocol={"name": "paper", "seed": number, "splits_sha256": sha}, name="z")
    slugs = [group.slug for group in groups(tmp_path)]
    assert slugs == ["x-y_splits_sha256-bbbbbbbbbbbb", "x-y_splits_sha256-aaaaaaaaaaaa", "z_seed-0", "z_seed-1"]


def test_directions_are_groups(tmp_path: Path, write) -> None:
    konvid = {"name": "KoNViD-1k", "stand_in": False, "videos": 40, "mos_range": [1, 5]}
    write(tmp_path / "kl", target=LIVE)
    write(tmp_path / "lk", dataset=LIVE, target=konvid)
    there, back = groups(tmp_path)
    assert (there.slug, there.title) == ("konvid-1k-to-live-vqc", "KoNViD-1k -> LIVE-VQC")
    assert (back.slug, back.title) == ("live-vqc-to-konvid-1k", "LIVE-VQC -> KoNViD-1k")


def test_same_layers_and_kernel_are_told_apart(tmp_path: Path, write) -> None:
    for C in (1.0, 10.0):
        write(tmp_path / str(C), C=C)
    assert groups(tmp_path)[0].settings == ("C=1.0", "C=10.0")


def test_a_swept_recipe_is_told_apart_by_its_config(tmp_path: Path, write) -> None:
    for stride in (1, 2):
        config = {"recipe": {"stride": stride}, "paths": {"outputs": f"x/{stride}"}, "name": str(stride)}
        config["kernels"] = {"precision": "float32", "folder": f"x/{stride}", "memory_gib": 3.0 * stride}
        write(tmp_path / str(stride), config=config, key=f"k{stride}")
    assert groups(tmp_path)[0].settings == ("recipe.stride=1", "recipe.stride=2")


def test_contradicting_results_are_an_error(tmp_path: Path, write) -> None:
    one, two = (write(tmp_path / key, key=key) for key in ("a", "b"))
    with pytest.raises(ResultError) as caught:
        groups(tmp_path)
    assert str(caught.value) == (
        f"{one} and {two} are two results of the same cell, Mixed_5b with linear, and their settings are the same. "
        "Try: report one folder at a time, or delete the one that is out of date"
    )


def test_best_passes_over_what_has_no_score(tmp_path: Path, write, result) -> None:
    data = result(kernel="rbf")
    data["scores"]["srocc"]["median"] = None
    write(tmp_path / "a", data)
    write(tmp_path / "b", srocc=-0.3)
    assert groups(tmp_path)[0].best.cell.kernel == "linear"


def test_flatten_and_slugify() -> None:
    assert flatten({"b": {"y": 1.5, "x": None}, "a": "text"}) == {"a": "text", "b.x": "null", "b.y": "1.5"}
    assert slugify("KoNViD-1k (synthetic stand-in)") == "konvid-1k-synthetic-stand-in"
    assert slugify("../../etc") == "etc"
    assert slugify("///") == "unnamed"
