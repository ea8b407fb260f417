"""An image in an archive, and its address there."""

import re
from typing import NamedTuple

from pneumo.data.dicomweb.address import UID
from pneumo.errors import DataError


class Instance(NamedTuple):
    """An image in an archive, by the UIDs of its study, its series and itself."""

    study: str
    series: str
    uid: str

    @property
    def path(self) -> str:
        """Its resource below the archive's address."""
        return f"studies/{self.study}/series/{self.series}/instances/{self.uid}"


def located(address: str) -> tuple[str, Instance]:
    """The archive's address and the image, of an image's address.

    Raises:
        DataError: it is none.
    """
    found = re.fullmatch(rf"(dicomweb.*://.+)/studies/({UID})/series/({UID})/instances/({UID})", address)
    if not found:
        raise DataError("Expected the address of an image in an archive, but a row of the table has another path.")
    return found[1], Instance(*found.groups()[1:])
