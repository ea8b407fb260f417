"""What watching notes in a tag of its run, to compare with the next time."""

from typing import Self

from pydantic import ValidationError

from pneumo.errors import TrackingError
from pneumo.records.base import Record


class Noted(Record):
    """A record that is kept as JSON in a tag."""

    @classmethod
    def read(cls, tag: str, text: str) -> Self:
        """What `model_dump_json` wrote into a tag of this name.

        Raises:
            TrackingError: it is of another form.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            raise TrackingError(
                f"Expected the note of `watch` in the tag {tag} of its run, but it has another form: a newer pneumo may"
                " have written it; install that one, or delete the tag."
            ) from None
