"""Operations: local servers, the Prefect API, checks, recovery, house-keeping."""
