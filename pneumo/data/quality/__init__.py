"""Data quality: what is expected of a data set, and what stops it."""
