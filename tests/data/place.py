"""A good set for a test to spoil."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Place:
    """A good set in `root` to spoil, below the folder `top`, and the helpers of conftest."""

    make: object
    root: Path
    top: Path

    def put(self, name: str, data: bytes) -> str:
        self.make.write(self.root / name, data)
        return str(self.root)

    def jpeg(self, **options: object) -> bytes:
        return self.make.encoded(self.make.picture(4242), **options)
