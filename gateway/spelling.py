"""What a reader takes for the same words, however they are written.

Decides which spellings are one: case, width, accents, marks without a width, letters of another alphabet that look alike,
digits of another script, punctuation and spacing. Leaves to `lost.py` what is looked for, and where. Not folded, so
taken for different words: abbreviations, translations, transliterations by sound, digits for letters (`S1ti`).
"""

import re
from typing import Final
from unicodedata import decimal, normalize

from gateway.lookalikes import LOOKALIKES

# Marks without a width: they part a word for a program and for no reader.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e01ef]"
)
# Accents and other marks above, below and through a letter: what NFKD parts from it.
_ACCENTS: Final = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
_APOSTROPHES: Final = "'\u2018\u2019\u201a\u201b\u2032\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u00b4`\u055a\ua78c\uff07"
# Letters that are drawn like a Latin one, or are one with a stroke, which NFKD leaves as they are. After case folding, so
# small letters only; those that are alike as capitals alone (Cyrillic В, Н, Р, С) are here by their small form as well.
_ALIKE: Final = {
    # Cyrillic
    "а": "a", "в": "b", "е": "e", "з": "3", "к": "k", "м": "m", "н": "h", "о": "o", "р": "p", "с": "c", "т": "t",
    "у": "y", "х": "x", "ѕ": "s", "і": "i", "ј": "j", "ԁ": "d", "ԛ": "q", "ԝ": "w", "һ": "h", "ӏ": "l", "ү": "y",
    "ѵ": "v", "г": "r", "п": "n", "ь": "b",
    # Greek
    "α": "a", "β": "b", "γ": "y", "ε": "e", "ζ": "z", "η": "n", "ι": "i", "κ": "k", "μ": "u", "ν": "v", "ο": "o",
    "ρ": "p", "σ": "o", "τ": "t", "υ": "u", "χ": "x", "ϳ": "j",
    # Armenian and others
    "օ": "o", "ս": "u", "ո": "n", "հ": "h", "ց": "g", "զ": "q",
    # Latin letters with a stroke, without a dot, of phonetic alphabets, and small capitals
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ƀ": "b", "ɨ": "i", "ı": "i", "ȷ": "j", "ɑ": "a",
    "ɡ": "g", "ɩ": "i", "ɪ": "i", "ʏ": "y", "ɴ": "n", "ʀ": "r", "ʟ": "l", "ʜ": "h", "ɢ": "g", "ʙ": "b", "ᴀ": "a",
    "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ᴊ": "j", "ᴋ": "k", "ᴍ": "m", "ᴏ": "o", "ᴘ": "p", "ᴛ": "t", "ᴜ": "u", "ᴠ": "v",
    "ᴡ": "w", "ᴢ": "z", "ꜱ": "s", "ꞓ": "c", "ɵ": "o", "ƙ": "k", "ɓ": "b", "ɗ": "d", "ƴ": "y",
    "æ": "ae", "œ": "oe", "þ": "th",
}  # fmt: skip
# Of whatever script: all of them count in tens.
_DIGIT: Final = re.compile(r"(?![0-9])\d")
_TO_LATIN: Final = str.maketrans({**LOOKALIKES, **_ALIKE})
# Greek capitals that look like another letter than their small form: read as Latin only among Latin letters.
_CAPITALS: Final = {"Η": "H", "Μ": "M", "Ν": "N", "Υ": "Y"}
_AMONG_LATIN: Final = re.compile("(?<=[A-Za-z])[ΗΜΝΥ]|[ΗΜΝΥ](?=[A-Za-z])")
# The lunate sigma is a C to a reader, and a sigma to NFKD.
_HYPHENS: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_BEFORE: Final = str.maketrans(
    {**dict.fromkeys(_APOSTROPHES), **dict.fromkeys(_HYPHENS, "-"), "\u03f2": "c", "\u03f9": "C"}
)
_PARTING: Final = bytes(code for code in range(128) if not chr(code).isalnum())
_PARTS: Final = re.compile(r"[\W_]+")
_WORD: Final = re.compile(r"[^\W_]+")


def plain(text: str) -> str:
    """Without case, width, accents and look-alikes. Punctuation and spacing are as they were."""
    if text.isascii():
        return text.casefold()
    text = normalize("NFKD", _INVISIBLE.sub("", text).translate(_BEFORE))
    text = _AMONG_LATIN.sub(lambda letter: _CAPITALS[letter.group()], text)
    text = _ACCENTS.sub("", normalize("NFKD", text.casefold())).translate(_TO_LATIN)
    return _DIGIT.sub(lambda digit: str(decimal(digit.group())), text)


def bare(plain_text: str) -> str:
    """Its letters and digits alone, in a row."""
    if plain_text.isascii():
        return plain_text.encode("ascii").translate(None, _PARTING).decode("ascii")
    return _PARTS.sub("", plain_text)


def words(plain_text: str) -> list[str]:
    """In their order; an apostrophe parts no word."""
    return _WORD.findall(plain_text.replace("'", "") if "'" in plain_text else plain_text)
