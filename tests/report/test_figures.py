from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib import _pylab_helpers
from PIL import Image

from fmcvqa.report.figures import group_name, heatmap_png, scatter_png, splits_png
from fmcvqa.report.groups import group_results
from fmcvqa.report.results import find_results
from fmcvqa.report.tables import build_table

LIVE = {"name": "LIVE-VQC", "stand_in": True, "videos": 40, "mos_range": [0, 100]}


def picture(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        assert image.format == "PNG"
        assert "Software" not in image.info
        return np.asarray(image.convert("RGB"), dtype=float)


@pytest.fixture
def group(tmp_path: Path, write):
    for layers, srocc in ((["avgpool"], 0.5), (["Mixed_5b"], 0.8), (["avgpool", "Mixed_5b"], 0.7)):
        for kernel, less in (("linear", 0.0), ("rbf", 0.05)):
            write(tmp_path / "+".join(layers) / kernel, layers, kernel, srocc - less)
    return group_results(find_results(tmp_path))[0]


def test_sizes_and_ink(group) -> None:
    table = build_table(group)
    results = [row.result for row in table.rows]
    for data, size in (
        (scatter_png(group), (960, 900)),
        (heatmap_png(group, results), (552, 1089)),
        (splits_png(group, table), (660, 1440)),
    ):
        pixels = picture(data)
        assert pixels.shape[:2] == size
        assert pixels.std() > 15
        assert pixels[0].min() == 255  # nothing is cut at the upper edge
        assert pixels[:, -1].min() == 255


def test_same_results_same_bytes(group) -> None:
    assert scatter_png(group) == scatter_png(group)
    assert splits_png(group, build_table(group)) == splits_png(group, build_table(group))


def test_no_global_figure_is_left(group) -> None:
    scatter_png(group)
    assert _pylab_helpers.Gcf.get_num_fig_managers() == 0


def test_scatter_colour_is_where_the_points_are(group) -> None:
    pixels = picture(scatter_png(group))
    blue = (pixels[..., 2] - pixels[..., 0]) > 60
    rows, columns = np.nonzero(blue)
    assert blue.sum() > 1000
    assert np.corrcoef(columns, -rows)[0, 1] > 0.7  # rises to the right, as predictions follow the MOS


def test_names_say_stand_in_and_control(tmp_path: Path, write) -> None:
    write(tmp_path / "a", target=LIVE)
    write(tmp_path / "b", dataset={**LIVE, "name": "LIVE-VQC (synthetic stand-in)"})
    write(tmp_path / "c", protocol={"name": "paper", "permute_labels": True})
    names = [group_name(group) for group in group_results(find_results(tmp_path))]
    assert names == ["KoNViD-1k → LIVE-VQC (stand-in)", "LIVE-VQC (synthetic stand-in)", "KoNViD-1k, labels permuted"]


def test_across_datasets_and_without_scores(tmp_path: Path, write, result) -> None:
    data = result(target=LIVE)
    data["scores"]["plcc"]["value"] = None
    write(tmp_path, data)
    (group,) = group_results(find_results(tmp_path))
    assert picture(scatter_png(group)).std() > 5
    assert picture(heatmap_png(group, group.results)).std() > 5


def test_long_names_are_wrapped_not_cut(tmp_path: Path, write) -> None:
    names = ("KoNViD-1k (synthetic stand-in) of a long name", "LIVE-VQC (synthetic stand-in) of a long name")
    konvid, live = ({**LIVE, "name": name} for name in names)
    write(
        tmp_path,
        ["a_layer_with_quite_a_long_name", "another_layer_with_quite_a_long_name"],
        dataset=konvid,
        target=live,
    )
    (group,) = group_results(find_results(tmp_path))
    for data in (scatter_png(group), heatmap_png(group, group.results)):
        pixels = picture(data)
        assert pixels[:, 0].min() == pixels[:, -1].min() == pixels[0].min() == 255
