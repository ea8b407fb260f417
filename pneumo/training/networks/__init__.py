"""Networks: backbones, their weights, heads and ensembles."""
