"""How good a model is, how certain that is, and what in an image it looks at."""
