"""The label files of TID2013, KoNViD-1k, LIVE-VQC and plain CSV, and the files they rate."""

from fmcvqa.data.labels.csv import CSVVideos
from fmcvqa.data.labels.konvid1k import KoNViD1k
from fmcvqa.data.labels.livevqc import LIVEVQC
from fmcvqa.data.labels.tid2013 import TID2013

__all__ = ["LIVEVQC", "TID2013", "CSVVideos", "KoNViD1k"]
