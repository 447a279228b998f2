"""Experiment tracking behind one small protocol; it can never stop, prompt or noticeably slow a run.

Numbers live in ``result.json``; what is tracked is a view of them.
"""

from fmcvqa.tracking.base import NoTracker, Tracker
from fmcvqa.tracking.wandb_tracker import WandbTracker

__all__ = ["NoTracker", "Tracker", "WandbTracker"]
