"""Monitoring: how far new images are from those of the champion, and whether to train again."""
