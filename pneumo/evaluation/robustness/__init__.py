"""Robustness: simulated shift, shift audits, shortcuts, slices."""
