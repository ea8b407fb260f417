"""Monitoring: how different new images are from the champion's, and whether to train again."""
