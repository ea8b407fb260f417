"""Find paths that identify the patient, by comparing them with what the file's own header says."""

import re
import unicodedata
from collections.abc import Iterator

from pneumo.data.sources.names import split_of
from pneumo.records.base import LABELS

RANDOM = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")  # a UUID is a pseudonym, as in public data sets
SHORT = 5  # a shorter identifier counts only as a whole word
APART = r"[\W_]"
DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})


def names_patient(path: str, person: str, identifier: str, birth: str) -> bool:
    """Whether a relative path holds a part of the patient's name, the identifier or the date of birth.

    All is compared without case, in one Unicode form (macOS writes another one), without accents, and with umlauts as
    two letters; identifiers also without what separates their parts. Folders of splits and classes do not count. Parts
    of a name of two letters, and identifiers of three or four, count only as a whole word.

    Args:
        path: relative to the source's folder, posix.
        person: the name as in a DICOM header, family^given^middle, in up to three alphabets with "=" between them.
        identifier: the patient's, of any kind.
        birth: the date of birth, YYYYMMDD; anything else is ignored.
    """
    told = "/".join(part for part in path.split("/") if not (split_of(part) or part.upper() in LABELS))
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", told)
    texts, words = _spellings(told), {word for text in _spellings(apart) for word in re.split(r"[\W_]+", text)}
    number = _folded(identifier)
    names = () if RANDOM.fullmatch(_folded(person)) else _spellings(person)
    parts = {part for name in names for part in _parts(name)}
    return (
        any(part in words or (len(part) > 2 and any(part in text for text in texts)) for part in parts)
        or (not RANDOM.fullmatch(number) and any(_holds(text, number) for text in texts))
        or any(re.search(rf"(?<!\d){date}(?!\d)", text) for date in _dates(birth) for text in texts)
    )


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _spellings(text: str) -> set[str]:
    """Spellings of a text: without accents, and with umlauts as two letters: müller gives muller and mueller."""
    folded = _folded(text)
    apart = (unicodedata.normalize("NFKD", form) for form in (folded, folded.translate(DIGRAPHS)))
    return {"".join(sign for sign in form if not unicodedata.combining(sign)) for form in apart}


def _holds(text: str, number: str) -> bool:
    parts = re.findall(r"[^\W_]+", number)
    word, letters = rf"{APART}*".join(parts), sum(map(len, parts))
    if letters < 3:
        return False
    return bool(re.search(word if letters >= SHORT else rf"(?<![^\W_]){word}(?![^\W_])", text))


def _parts(person: str) -> Iterator[str]:
    """Parts of the name without titles, and family and given name joined, in either order."""
    for alphabet in person.split("="):
        names = [re.findall(r"[^\W_]+", name) for name in alphabet.split("^")[:3]]
        yield from (part for name in names for part in name if len(part) > 1 and part.isalpha())
        family, given = ["".join(name) for name in (*names, [], [])][:2]
        if family and given and (family + given).isalpha() and (len(family + given) > 3 or not family.isascii()):
            yield from (family + given, given + family)


def _dates(birth: str) -> Iterator[str]:
    """Patterns of a date's usual spellings: year, month and day in three orders, with or without separators."""
    if not re.fullmatch(r"\d{8}", birth):
        return
    year, month, day = birth[:4], birth[4:6], birth[6:]
    for order in ((year, month, day), (day, month, year), (month, day, year)):
        yield "".join(order)
        yield APART.join(number if number == year else f"0?{int(number)}" for number in order)
        yield APART.join(number[-2:] for number in order)
