"""Data: sources, manifest, decoding, splits, the gate, the exploration report and the image store."""
