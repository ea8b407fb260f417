"""Thin Prefect tasks, one stage or subject in a file; without the decorator they still work."""
