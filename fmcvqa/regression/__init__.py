"""From pooled features to mean opinion scores: kernels, support vector regression, protocols, scores (paper, III.D)."""
