"""Promotion: from a run's best candidate to the champion's alias."""
