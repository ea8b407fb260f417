"""Thin Prefect tasks, one stage or wing in a file; without the decorator they still work."""
