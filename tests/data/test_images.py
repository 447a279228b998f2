from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fmcvqa.data.images import TID2013DataModule, _EpochSampler, split_images
from fmcvqa.data.records import ImageRecord
from fmcvqa.errors import ConfigError, DatasetError


def records(references: int, versions: int, folder: Path = Path("none")) -> list[ImageRecord]:
    return [
        ImageRecord(f"i{r:02d}_{v}", folder / f"i{r:02d}_{v}.bmp", r + v / 10, f"I{r:02d}")
        for r in range(1, references + 1)
        for v in range(versions)
    ]


class Images:
    """Eight images of 20 x 30 pixels whose red is the column and whose green is the row."""

    def __init__(self, folder: Path) -> None:
        self.list = records(4, 2, folder)
        self.asked = 0
        rows, columns = np.mgrid[:20, :30].astype(np.uint8)
        for i, record in enumerate(self.list):
            Image.fromarray(np.stack([columns, rows, np.full_like(rows, i)], axis=2)).save(record.path)

    def records(self) -> list[ImageRecord]:
        self.asked += 1
        return self.list


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path)


def test_no_reference_on_both_sides() -> None:
    for seed in range(20):
        train, val = split_images(records(25, 12), seed=seed)
        assert len({r.reference for r in val}) == 6 and len(val) == 72
        assert not {r.reference for r in train} & {r.reference for r in val}
        assert sorted(r.id for r in [*train, *val]) == sorted(r.id for r in records(25, 12))


def test_the_split_is_the_seed_alone() -> None:
    def held_out(seed: int) -> list[str]:
        return sorted({r.reference for r in split_images(records(25, 1), seed=seed)[1]})

    assert held_out(0) == held_out(0) != held_out(1)
    assert held_out(0) == ["I03", "I05", "I11", "I12", "I20", "I25"]


def test_the_authors_split_leaks_every_reference() -> None:
    train, val = split_images(records(25, 120), "image")
    assert (len(train), len(val)) == (2250, 750)
    assert {r.reference for r in train} == {r.reference for r in val}


def test_at_least_one_on_each_side() -> None:
    for fraction in (0.01, 0.99):
        train, val = split_images(records(2, 3), val_fraction=fraction)
        assert (len(train), len(val)) == (3, 3)


def test_what_cannot_be_split() -> None:
    with pytest.raises(ConfigError) as caught:
        split_images(records(1, 9))
    assert str(caught.value) == (
        "1 references cannot be split with val_fraction=0.25. Try: at least two, and a fraction between 0 and 1"
    )
    with pytest.raises(ConfigError, match=r"3 images cannot be split with val_fraction=1\. "):
        split_images(records(1, 3), "image", val_fraction=1)
    with pytest.raises(ConfigError) as caught:
        split_images(records(2, 2), "content")  # type: ignore[arg-type]
    assert str(caught.value) == "there is no split by 'content'. Found: reference, image"


def module(images: Images, **options: object) -> TID2013DataModule:
    settings = {"batch_size": 4, "resize": None, "crop": 16, "num_workers": 0, **options}
    built = TID2013DataModule(images, **settings)  # type: ignore[arg-type]
    built.setup()
    return built


def test_setup_reads_the_records_once(images: Images) -> None:
    built = module(images)
    built.setup("fit")
    assert images.asked == 1
    assert (len(built.train_records), len(built.val_records)) == (6, 2)


def test_centre_crop_and_normalisation(images: Images) -> None:
    built = module(images)
    pixels, mos = next(iter(built.val_dataloader()))
    assert pixels.dtype == torch.uint8 and pixels.shape == (2, 3, 16, 16)
    assert pixels[0, 0, 0].tolist() == list(range(7, 23))  # columns 7..22 of 30
    assert pixels[0, 1, :, 0].tolist() == list(range(2, 18))  # rows 2..17 of 20
    assert mos.tolist() == pytest.approx([r.mos for r in built.val_records])
    ready, same = built.on_after_batch_transfer([pixels, mos], 0)
    assert same is mos and ready.dtype == torch.float32
    assert ready[0, 0, 0, 0].item() == pytest.approx((7 / 255 - 0.485) / 0.229)
    assert ready[0, 1, 5, 3].item() == pytest.approx((7 / 255 - 0.456) / 0.224)
    assert ready[1, 2, 0, 0].item() == pytest.approx((pixels[1, 2, 0, 0].item() / 255 - 0.406) / 0.225)


def test_resize_ignores_the_aspect(images: Images) -> None:
    pixels, _ = next(iter(module(images, resize=(40, 40), crop=40).val_dataloader()))
    expected = Image.open(module(images).val_records[0].path).resize((40, 40), Image.Resampling.BILINEAR)
    assert np.array_equal(pixels[0].permute(1, 2, 0).numpy(), np.asarray(expected))


def test_augmentation_keeps_pixels(images: Images) -> None:
    loader = module(images, augment=True).train_dataloader()
    corners, flipped = set(), 0
    for epoch in range(40):
        loader.sampler.set_epoch(epoch)
        for pixels, _ in loader:
            for image in pixels:
                columns, rows = image[0, 0].tolist(), image[1, :, 0].tolist()
                flipped += columns[0] > columns[-1]
                assert sorted(columns) == list(range(min(columns), min(columns) + 16))
                assert rows == list(range(rows[0], rows[0] + 16))
                corners.add((min(columns), rows[0]))
    assert {x for x, _ in corners} == set(range(15)) and {y for _, y in corners} == set(range(5))
    assert 90 <= flipped <= 150  # of 240


@pytest.mark.parametrize("num_workers", [0, 2])
def test_order_and_augmentation_are_seed_and_epoch(images: Images, num_workers: int) -> None:
    def epoch(number: int, seed: int = 0, workers: int = 0) -> list[torch.Tensor]:
        loader = module(images, augment=True, seed=seed, num_workers=workers).train_dataloader()
        loader.sampler.set_epoch(number)
        return [part for batch in loader for part in batch]

    def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
        return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    expected = epoch(3)
    torch.rand(7)  # the global generator plays no part
    assert same(expected, epoch(3, workers=num_workers))
    assert not same(expected, epoch(4)) and not same(expected, epoch(3, seed=1))


def test_two_ranks_share_the_images_without_padding_a_score(images: Images) -> None:
    val = [list(_EpochSampler(range(7), num_replicas=2, rank=rank, shuffle=False)) for rank in (0, 1)]  # type: ignore[arg-type]
    assert val == [[0, 2, 4, 6], [1, 3, 5]]
    assert [len(_EpochSampler(range(7), num_replicas=2, rank=rank, shuffle=False)) for rank in (0, 1)] == [4, 3]  # type: ignore[arg-type]
    train = [_EpochSampler(range(7), num_replicas=2, rank=rank, shuffle=True) for rank in (0, 1)]  # type: ignore[arg-type]
    assert [len(list(sampler)) for sampler in train] == [4, 4]
    assert {i for sampler in train for i in sampler} == set(range(7))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_crop_larger_than_the_image(images: Images, num_workers: int) -> None:
    with pytest.raises(ConfigError) as caught:
        module(images, resize=(16, 32), crop=17)
    assert str(caught.value) == "a crop of 17 does not fit into images resized to 16x32"
    built = module(images, crop=24, num_workers=num_workers)
    with pytest.raises(ConfigError) as caught:
        next(iter(built.val_dataloader()))
    assert str(caught.value) == (
        f"a crop of 24 does not fit into {built.val_records[0].path} of 30x20 pixels. "
        "Try: a smaller training.crop, or training.resize"
    )


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("content", [b"BM and nothing else", b"P6 4x 4 255\n"])
def test_a_damaged_image_is_named(images: Images, content: bytes, num_workers: int) -> None:
    built = module(images, num_workers=num_workers)
    path = built.val_records[0].path
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"^the image {path} cannot be read .*Try: a fresh copy of it$"):
        next(iter(built.val_dataloader()))


def test_a_folder_is_tid2013(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        TID2013DataModule(tmp_path / "gone").setup()
