"""Measurements: `make bench`, or one of them with `make bench ARGS=data`."""
