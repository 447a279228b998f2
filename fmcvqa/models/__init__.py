"""Networks: the backbones with their taps and weights, and the image-quality regressor they are fine-tuned as."""
