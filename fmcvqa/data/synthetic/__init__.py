"""Generated stand-ins for the three datasets, made on first use from a seed.

They are not the datasets: no camera filmed these scenes and no person rated them, so a number measured on them says
that the software works and nothing about how well the method predicts what people see.
"""

from fmcvqa.data.synthetic.tid2013 import SyntheticTID2013
from fmcvqa.data.synthetic.videos import SyntheticKoNViD1k, SyntheticLIVEVQC

__all__ = ["SyntheticKoNViD1k", "SyntheticLIVEVQC", "SyntheticTID2013"]
