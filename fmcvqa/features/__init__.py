"""From feature maps to one vector per video (paper, III.B and III.C)."""
