"""Data sets from Kaggle through kagglehub, anonymously or with the token in kagglehub's environment variables."""

import os
from pathlib import Path

from pneumo.errors import DataError


def download(handle: str, home: Path) -> Path:
    """Folder of a data set such as "paultimothymooney/chest-xray-pneumonia"; it is downloaded once.

    Raises:
        DataError: no such data set, no network, or no access; the message says how to do it by hand.
    """
    if handle.count("/") != 1 or not all(handle.split("/")):
        raise DataError(f"Expected kaggle:<owner>/<name>, but got kaggle:{handle}: correct it.")
    os.environ.setdefault("KAGGLEHUB_CACHE", str(home / "cache" / "kagglehub"))
    import kagglehub
    from kagglehub import exceptions

    # All HTTP and connection errors of Kaggle's are OSErrors (requests.RequestException).
    failures = (
        OSError,
        ValueError,
        exceptions.DataCorruptionError,
        exceptions.CredentialError,
        exceptions.BackendError,
    )
    try:
        return Path(kagglehub.dataset_download(handle))
    except (*failures, exceptions.UnauthenticatedError, exceptions.NotFoundError) as error:
        raise DataError(
            f"Expected to download {handle} from Kaggle, but it gives: {str(error).strip().splitlines()[0][:200]}."
            " Download the archive in a browser and give its path as the source."
        ) from error
