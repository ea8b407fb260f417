"""The exploration report."""
