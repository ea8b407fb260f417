"""The machines' side: local servers, the Prefect API, checks."""
