"""Channel statistics of ImageNet, which torchvision's weights expect their input normalised by (values in 0..1)."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
