"""Batch scoring: images found, scored, written."""
