"""Letters of little used alphabets that are drawn like a Latin letter or a digit.

Out of `confusables.txt` of Unicode (UTS #39), as far as it maps one letter to one or two of a-z and 0-9, in the form that case
folding leaves. Leaves to `spelling.py` the alphabets that people here write: those it reads by hand.
"""

from typing import Final

_BY_LETTER: Final = {
    "2": "\u01a8\u03e9\u14bf\ua645\ua6ef\ua75b",
    "3": "\u021d\u025c\u0292\u04e1\u2ccd\ua76b\U000118ca\U00016f3b",
    "4": "\u13ce\U000118cf",
    "5": "\u01bd\U000118db",
    "6": "\u0431\u13ee\u2cd3\U000118d5",
    "7": "\U000104fa\U000118c6",
    "8": "\u0223\U0001031a",
    "9": "\u2ccb\ua76f\U000118cc\U000118d6",
    "a": "\u13aa\u15c5\ua4ee\U000102a0\U00016f40",
    "aa": "\ua733",
    "ae": "\u04d5",
    "ao": "\ua735",
    "au": "\ua737",
    "av": "\ua739\ua73b",
    "ay": "\ua73d",
    "b": "\u0185\u13cf\u13f4\u1472\u15af\u15f7\ua4d0\ua7b5\U00010282\U000102a1\U00010301",
    "bl": "\u044b",
    "c": "\u13df\u2ca5\ua4da\U000102a2\U00010302\U0001043d\U0001051c\U000118f2",
    "d": "\u13a0\u13e7\u146f\u15de\u15ea\ua4d2\ua4d3",
    "dz": "\u02a3",
    "e": "\u04bd\u13ac\u2d39\ua4f0\uab32\U00010286\U000118ce",
    "f": "\u03dd\u0584\u15b4\u1e9d\ua4dd\ua799\uab35\U00010287\U000102a5\U00010525\U000118c2",
    "g": "\u018d\u050d\u13c0\u13f3\u1d83\ua4d6",
    "h": "\u13bb\u13c2\u157c\u2c8f\ua4e7\U000102cf",
    "i": "\u01c0\u13a5\u16c1\u2c93\u2d4f\ua4f2\ua647\U0001028a\U00010309\U00010320\U000118c3\U00016f28",
    "j": "\u029d\u13ab\u148d\ua4d9",
    "k": "\u13e6\u16d5\u2c95\ua4d7\U00010518",
    "l": "\u13de\u14aa\u2cd1\ua4e1\U00010443\U00010526\U000118d2\U00016f16",
    "ll": "\u01c1",
    "lo": "\u044e",
    "ls": "\u02aa",
    "lz": "\u02ab",
    "m": "\u03fb\u13b7\u15f0\u16d6\u2c99\ua4df\U000102b0\U00010311",
    "n": "\u057c\u2c9b\ua4e0\U00010513",
    "o": (
        "\u0b20\u0d20\u101d\u10ff\u12d0\u1d11\u2c9f\u2d54\u3007\ua4f3\uab3d\U00010292\U000102ab\U0001042c\U000104ea"
        "\U00010516\U000118c8\U000118d7"
    ),
    "oo": "\ua699\ua74f",
    "p": "\u13e2\u146d\u2ca3\ua4d1\U00010295",
    "q": "\u0563\u2d55",
    "r": "\u13a1\u13b1\u13d2\u1587\u1d26\u2c85\ua4e3\uab47\uab48\U000104dc\U00016f35",
    "rn": "\U00011700",
    "s": "\u057f\u13d5\u13da\ua4e2\U00010296\U00010448\U000118c1\U00016f3a",
    "t": "\u13a2\u2ca7\ua4d4\U00010297\U000102b1\U00010315\U000118dc\U00016f0a",
    "t3": "\ua729",
    "tf": "\ua777",
    "ts": "\u02a6",
    "u": "\u028b\u1200\u144c\ua4f4\ua79f\uab4e\uab52\U000104f6\U000118d8\U00016f42",
    "ue": "\u1d6b",
    "uo": "\uab63",
    "v": "\u13d9\u142f\u2d38\ua4e6\ua6df\U0001051d\U00011706\U000118c0\U00016f08",
    "w": "\u026f\u0461\u0561\u13b3\u13d4\ua4ea\U0001170a\U0001170e\U0001170f\U000118ef",
    "x": "\u1541\u157d\u16b7\u2cad\u2d5d\ua4eb\uab53\U00010290\U000102b4\U00010317\U00010322\U00010527\U000118ec",
    "y": "\u0263\u10e7\u13a9\u13bd\u1d8c\u1eff\u2ca9\ua4ec\uab5a\U000102b2\U000118c4\U00016f43",
    "z": "\u13c3\ua4dc\U000102f5\U000118c9",
}

LOOKALIKES: Final = {one: letter for letter, alike in _BY_LETTER.items() for one in alike}
