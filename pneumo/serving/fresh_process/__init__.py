"""Scoring in a fresh process, which runs a model's own code and knows no secret."""
