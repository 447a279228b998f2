"""Degradations of clips at five strengths, alone and in mixtures that change over time."""

from fmcvqa.data.degradations.base import STRENGTHS, Degradation, Shape
from fmcvqa.data.degradations.kinds import CLEAN, SINGLE, TYPES, Recipe, degrade, recipe
from fmcvqa.data.degradations.ladders import encoder_for

__all__ = [
    "CLEAN",
    "SINGLE",
    "STRENGTHS",
    "TYPES",
    "Degradation",
    "Recipe",
    "Shape",
    "degrade",
    "encoder_for",
    "recipe",
]
