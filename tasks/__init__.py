"""Thin Prefect tasks, one stage or wing a file: take the decorator off and they still work."""
