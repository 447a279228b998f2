import json
from dataclasses import fields, replace
from typing import Any

import pytest

from fmcvqa.errors import ConfigError
from fmcvqa.features.recipe import FeatureRecipe

BOUND = FeatureRecipe().bind(backbone="inception_v3", weights="ab12", decoder="pyav", decoder_version="18.1.0")

# Every field another way: a field that is added must be put here, and so on a side of the key.
OTHER: dict[str, Any] = {
    "taps": ("Mixed_5b",),
    "resize": None,
    "crop": 224,
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "stride": 2,
    "batchnorm": "per_frame",
    "jpeg_quality": 95,
    "precision": "bf16-mixed",
    "normalisation": "matrix_sqrt",
    "pools": ("mean", "max", "std"),
    "sketch": 512,
    "sketch_seed": 1,
    "damage": "mark",
    "backbone": "resnet50",
    "weights": "cd34",
    "decoder": "decord",
    "decoder_version": "18.2.0",
}


def test_every_field_changes_the_key() -> None:
    assert set(OTHER) == {field.name for field in fields(FeatureRecipe)}
    keys = {replace(BOUND, **{name: value}).key() for name, value in OTHER.items()} | {BOUND.key()}
    assert len(keys) == len(OTHER) + 1


def test_keys_from_before_there_were_more_settings_still_hold() -> None:
    assert BOUND.key() == "601aef41b78b827c343686e299ddd1861252f746c12294491671988f5ef9290f"
    assert replace(BOUND, resize=None, stride=2).key() == (
        "413f6dfe37afdb1d5456af2064a71591da7ec88cb9c1cc08fc6fe7e2b230472e"
    )
    later = {"pools", "normalisation", "sketch", "sketch_seed", "damage"}
    assert set(BOUND.to_dict()) == set(OTHER) - later
    assert set(replace(BOUND, pools=("std",)).to_dict()) == set(OTHER) - later | {"pools"}


def test_the_order_of_taps_and_pools_does_not_change_the_key() -> None:
    assert replace(BOUND, taps=BOUND.taps[::-1], pools=("max", "mean")).key() == BOUND.key()
    assert replace(BOUND, pools=("delta", "mean")).pools == ("mean", "delta")


def test_a_recipe_survives_json() -> None:
    for recipe in (BOUND, replace(BOUND, pools=("max", "delta"), normalisation="l2", sketch=64, damage="mark")):
        assert FeatureRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_an_unbound_recipe_has_no_key() -> None:
    with pytest.raises(
        ValueError, match=r"a recipe has a key only after bind\(\): weights and decoder change features"
    ):
        FeatureRecipe().key()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("stride", 0, "recipe.stride is 0. Try: recipe.stride = a whole number from 1"),
        ("taps", [], "recipe.taps is (). Try: recipe.taps = distinct layer names"),
        ("pools", ["p90"], "recipe.pools is ('p90',). Try: recipe.pools = some of mean, max, std, delta, each once"),
        (
            "normalisation",
            "sqrt",
            "recipe.normalisation is 'sqrt'. "
            "Try: recipe.normalisation = none or signed_sqrt or l2 or signed_sqrt_l2 or matrix_sqrt",
        ),
        ("sketch", 0, "recipe.sketch is 0. Try: recipe.sketch = numbers from 1, or null for all"),
        ("sketch_seed", -1, "recipe.sketch_seed is -1. Try: recipe.sketch_seed = 0 to 16777215"),
        ("damage", "ignore", "recipe.damage is 'ignore'. Try: recipe.damage = reject or mark"),
        ("batchnorm", "train", "recipe.batchnorm is 'train'. Try: recipe.batchnorm = eval or per_frame"),
        ("jpeg_quality", 101, "recipe.jpeg_quality is 101. Try: recipe.jpeg_quality = 1-100 or null"),
        ("crop", 0, "recipe.crop is 0. Try: recipe.crop = pixels from 1, or null for native resolution"),
        ("precision", "64", "recipe.precision is '64'. Try: recipe.precision = 32-true, bf16-mixed, 16-mixed"),
    ],
)
def test_values_out_of_range(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        FeatureRecipe(**{name: value})  # type: ignore[arg-type]
    assert str(error.value) == message


def test_a_foreign_dict_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"this is not a feature recipe: its names are size\. Found: a recipe has "):
        FeatureRecipe.from_dict({"size": 3})
