"""Models in MLflow: the registry, their bundles of weights and code, and their files."""
