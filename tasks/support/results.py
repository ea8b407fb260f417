"""Prefect's result storage: `python -m tasks.support.results NAME BUCKET FOLDER` makes its block."""

import sys


def save_block(name: str, bucket: str, folder: str) -> None:
    """Make or update a block; it holds no credentials, so its users need them in their environment."""
    from prefect_aws import S3Bucket

    S3Bucket(bucket_name=bucket, bucket_folder=folder).save(name, overwrite=True)


if __name__ == "__main__":
    save_block(*sys.argv[1:])
