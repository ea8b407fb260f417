"""The store: decoded pixels on this machine, dataset versions here and on S3."""
