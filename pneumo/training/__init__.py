"""Training: backbones, weights, augmentation, frozen features, fine-tuning, candidates."""
