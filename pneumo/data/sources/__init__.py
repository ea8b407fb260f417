"""Sources: where images come from, and what their names and headers tell."""
