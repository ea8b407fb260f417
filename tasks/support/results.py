"""Where Prefect keeps results: `python -m tasks.support.results NAME BUCKET FOLDER` makes the block that says so."""

import sys


def save_block(name: str, bucket: str, folder: str) -> None:
    """Make or renew a block; it holds no credentials, so whoever uses it has those of its environment."""
    from prefect_aws import S3Bucket

    S3Bucket(bucket_name=bucket, bucket_folder=folder).save(name, overwrite=True)


if __name__ == "__main__":
    save_block(*sys.argv[1:])
