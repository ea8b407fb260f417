"""Candidates: what is trained, with which settings, and what is kept."""
