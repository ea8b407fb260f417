"""Tables that people give: CSV, Parquet, and embeddings in them."""
