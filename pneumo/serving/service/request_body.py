"""What a request brings: the bytes of one image, or JSON with several images or with what readers said of them."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pneumo.records.base import ALONE
from pneumo.serving.feedback import Feedback
from pneumo.serving.fresh_process.client import Answer
from pneumo.settings.servers import Serve

JSON = "application/json"
ONE_IMAGE = ("image/", "application/dicom", "application/octet-stream")  # what the body of one image may be called
LONGEST_WORDS = 200  # of what is told about JSON of another form, which may quote it
NO_BASE64 = f"Expected an image as base64 text, but {ALONE} is another text: encode the bytes of the file."


class Body(BaseModel):
    """The JSON of a request: a list called `ITEMS`, each item with at most so many `COMMAS` of its own."""

    model_config = ConfigDict(extra="forbid")
    ITEMS: ClassVar[str]
    COMMAS: ClassVar[int]
    EXAMPLE: ClassVar[str]


class Images(Body):
    """Images to score."""

    ITEMS, COMMAS, EXAMPLE = "images", 1, '{"images": ["<base64>", ...]}'  # a comma in "data:...;base64,"
    images: list[str] = Field(min_length=1, description="JPEG, PNG or DICOM files as base64 text")
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class Labels(Body):
    """What readers said."""

    ITEMS, COMMAS, EXAMPLE = "feedback", 7, '{"feedback": [{"image": "<hash>", "label": "NORMAL"}, ...]}'
    feedback: list[Feedback] = Field(min_length=1)


Form = TypeVar("Form", bound=Body)


@dataclass(frozen=True)
class Ask:
    """A request: images as they came (bytes or base64 text) and the threshold of the label; None is the model's own.

    They are `listed` if they came in JSON.
    """

    images: list[bytes] | list[str]
    threshold: float | None
    listed: bool = False

    @classmethod
    def of(cls, body: bytes, content_type: str, threshold: float | None, limits: Serve) -> "Ask":
        """Of a body and its Content-Type.

        Raises:
            HTTPException: 415 for another type, 422 for JSON of another form, 413 for too many images.
        """
        kind = content_type.partition(";")[0].strip().lower()
        if kind.startswith(ONE_IMAGE):
            return cls([body], threshold)
        if kind != JSON:
            raise HTTPException(
                415, f"Expected an image (Content-Type image/... or application/dicom) or {JSON}, got {kind[:50]!r}."
            )
        given = _in_json(Images, body, limits)
        return cls(given.images, threshold if given.threshold is None else given.threshold, listed=True)

    def name(self, place: int) -> str:
        """What errors call an image, by which its sender finds it."""
        return f"{Images.ITEMS}.{place}" if self.listed else ALONE


def images_of(ask: Ask) -> list[bytes | Answer]:
    """The bytes of every image; for a text that is no base64 the answer that says so."""
    return [_image(image) if isinstance(image, str) else image for image in ask.images]


def body_schema(limits: Serve) -> dict[str, Any]:
    """What OpenAPI says of the body."""
    one = {"schema": {"type": "string", "format": "binary"}}
    many = {"schema": Images.model_json_schema()}
    words = f"One image as it is, or up to {limits.images} in JSON; {limits.request_mb} MiB at most."
    content = {"image/jpeg": one, "image/png": one, "application/dicom": one, "application/octet-stream": one}
    return {"requestBody": {"required": True, "description": words, "content": {**content, JSON: many}}}


def labels_of(body: bytes, content_type: str, limits: Serve) -> list[Feedback]:
    """The feedback that a request brings; only JSON, which no other site's page can send without asking.

    Raises:
        HTTPException: 415 for another type, 422 for JSON of another form, 413 for too many.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind != JSON:
        raise HTTPException(415, f"Expected {JSON}, got {kind[:50]!r}.")
    return _in_json(Labels, body, limits).feedback


def labels_schema(limits: Serve) -> dict[str, Any]:
    """What OpenAPI says of the body of feedback."""
    words = f"What readers said of up to {limits.images} images."
    # Two levels: a definition inside the schema of a body would be looked for at the root of the page.
    schema = {"type": "object", "properties": {Labels.ITEMS: {"type": "array", "items": Feedback.model_json_schema()}}}
    return {"requestBody": {"required": True, "description": words, "content": {JSON: {"schema": schema}}}}


def _in_json(form: type[Form], body: bytes, limits: Serve) -> Form:
    """Of JSON, counted before it is parsed: a wrong item of two bytes costs 500 in memory, and all are collected."""
    too_many = f"Expected at most {limits.images} {form.ITEMS}, got %s: send several requests."
    most = (form.COMMAS + 1) * limits.images + 2  # commas: in items, between them, around the threshold
    if body.count(b",") > most:
        raise HTTPException(413, too_many % f"JSON with more than {most} commas")
    try:
        given = form.model_validate_json(body)
    except ValidationError as error:
        wrong = "; ".join(map(_wrong, error.errors(include_input=False, include_url=False)[:3]))
        raise HTTPException(422, f"Expected {form.EXAMPLE}, but {wrong[:LONGEST_WORDS]}.") from None
    count = len(getattr(given, form.ITEMS))
    if count > limits.images:
        raise HTTPException(413, too_many % count)
    return given


def _wrong(item: Mapping[str, Any]) -> str:
    """What is wrong, and where: JSON that breaks off has no place."""
    place = ".".join(map(str, item["loc"]))
    return f"{place}: " * bool(place) + str(item["msg"]).removeprefix("Value error, ")


def _image(text: str) -> bytes | Answer:
    data = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return Answer(probability=None, label=None, error=NO_BASE64, out_of_distribution=False)
