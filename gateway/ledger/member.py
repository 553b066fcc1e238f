"""What each member of a ledger entry may hold. One name means one thing in every kind of entry.

Every form is bounded, and none takes free text, because an entry is public and can never be erased: names are codes of
agreements and catalogues, accounts are opaque ids, keys are thumbprints, digests are of things that cannot be guessed.
Where a caller's own word could slip in, sixteen digits in a row, the shape of a NIK, are refused.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from gateway.errors import LedgerInvalidError

REASONS_LIMIT: Final = 64
FILTERS_LIMIT: Final = 32
POINTERS_LIMIT: Final = 256
POINTER_LIMIT: Final = 512
CLAUSE_LIMIT: Final = 200
APPROVALS_LIMIT: Final = 16
ACKNOWLEDGED: Final = frozenset({"delivered", "processed", "rejected"})
REPLIES: Final = frozenset({"answers", "ends", "amends", "refers"})
ERASED_FOR: Final = frozenset({"retention", "data-subject", "request"})

Form = Callable[[Any], bool]


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with six digits and `Z`, so that the order of strings is the order of time.

    Raises LedgerInvalidError for a naive datetime: an entry's time never depends on a machine's time zone.
    """
    if moment.utcoffset() is None:
        raise LedgerInvalidError("a datetime without a time zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def instant(text: str) -> datetime:
    """The moment of what `timestamp` wrote; its exact inverse. Raises LedgerInvalidError."""
    if not _is_time(text):
        raise LedgerInvalidError("a time is not RFC 3339 in UTC with microseconds")
    return datetime.fromisoformat(text)


def recordable(value: str) -> str | None:
    """`value` if it may stand in an entry as a code, else None: how an auditor's filter becomes a recorded one."""
    return value if _is_code(value) else None


_NIK: Final = re.compile(r"\d{16}")


def _matching(pattern: str) -> Form:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


# Possessive: behind each of them stands what is none of its characters, and an audit matches millions.
NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}+"
WORD: Final = r"[A-Za-z0-9][A-Za-z0-9._:/+#-]{0,127}+"
TRANSFER: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}+"
THUMBPRINT: Final = r"[A-Za-z0-9_-]{43}"  # RFC 7638, SHA-256
SHA256: Final = r"[0-9a-f]{64}"
# Of Ed25519: a name, a key id, 33 bytes; and a signature of 64 bytes.
# Ed25519's, or ML-DSA-44's.
VKEY: Final = r"[!#-*,-\[\]-~]{1,255}\+[0-9a-f]{8}\+(?:[A-Za-z0-9+/]{44}|[A-Za-z0-9+/]{1751}=)"
SIGNATURE: Final = r"(?:[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{3227}=)"
_CLOCK: Final = r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z"
_is_name: Final = _matching(NAME)
_is_word: Final = _matching(WORD)
_is_transfer: Final = _matching(TRANSFER)
_is_thumbprint: Final = _matching(THUMBPRINT)
_is_sha256: Final = _matching(SHA256)
_is_vkey: Final = _matching(VKEY)
_is_signature: Final = _matching(SIGNATURE)
_is_pointer: Final = _matching(r"(?:/(?:[!-.0-}]|~[01])*){0,64}")  # RFC 6901, printable ASCII
_has_time_form: Final = _matching(r"\d{4}-\d\d-\d\d" + _CLOCK)
_has_date_form: Final = _matching(r"\d{4}-\d\d-\d\d")


def _is_code(value: object) -> bool:
    return _is_word(value) and _NIK.search(str(value)) is None


def _is_subject(value: object) -> bool:
    """A code, or a digest: one in a hundred of these has sixteen digits in a row."""
    return _is_code(value) or _is_sha256(value)


def _is_clause(value: object) -> bool:
    """The agreement's own reference, as in `Pasal 5 ayat (2) huruf a`."""
    return isinstance(value, str) and 0 < len(value) <= CLAUSE_LIMIT and value.isprintable()


def _is_time(value: object) -> bool:
    if not isinstance(value, str) or not _has_time_form(value):
        return False
    try:
        return datetime.fromisoformat(value).utcoffset() == timedelta(0)
    except ValueError:
        return False


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or not _has_date_form(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_version(value: object) -> bool:
    return _is_count(value) or _is_name(value)


def _is_short_pointer(value: object) -> bool:
    return _is_pointer(value) and len(str(value)) <= POINTER_LIMIT


def _is_pointers(value: object) -> bool:
    return isinstance(value, list) and len(value) <= POINTERS_LIMIT and all(map(_is_short_pointer, value))


def _is_reason(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= _REASON.keys()
        and "code" in value
        and all(_REASON[name](held) for name, held in value.items())
    )


def _is_reasons(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= REASONS_LIMIT and all(map(_is_reason, value))


def _is_names(value: object) -> bool:
    return isinstance(value, list) and len(value) == len(set(map(str, value))) and all(map(_is_name, value))


def _is_thumbprints(value: object) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= APPROVALS_LIMIT
        and all(map(_is_thumbprint, value))
        and len(set(value)) == len(value)
    )


def _is_filters(value: object) -> bool:
    """Names of filters and, where it is a code, what was asked for; `null` where it may not be told."""
    return (
        isinstance(value, dict)
        and len(value) <= FILTERS_LIMIT
        and all(_is_name(name) and (held is None or _is_code(held)) for name, held in value.items())
    )


_REASON: Final[Mapping[str, Form]] = {"code": _is_name, "clause": _is_clause, "pointer": _is_short_pointer}

FORMS: Final[Mapping[str, Form]] = MappingProxyType(
    {
        "about": _is_subject,
        "acknowledge_by": _is_time,
        "agency": _is_name,
        "agreement": _is_name,
        "agreement_version": _is_version,
        "alert": _is_transfer,
        "approvals": _is_thumbprints,
        "attempts": _is_count,
        "auditor": _is_code,
        "certificate": _is_sha256,
        "classification": _is_name,
        "clause": _is_clause,
        "commitment": _is_sha256,
        "digest": _is_sha256,
        "due_at": _is_time,
        "ended_by": _is_transfer,
        "erased": _is_count,
        "erased_for": lambda value: isinstance(value, str) and value in ERASED_FOR,
        "event": lambda value: isinstance(value, str) and value in ACKNOWLEDGED,
        "exp": _is_count,
        "filters": _is_filters,
        "flags": _is_reasons,
        "gateway": _is_name,
        "hold": _is_transfer,
        "in_reply_to": _is_transfer,
        "key": _is_thumbprint,
        "kind": _is_name,
        "new_signature": _is_signature,
        "not_after": _is_time,
        "not_before": _is_time,
        "notice": _is_transfer,
        "old_signature": _is_signature,
        "old_vkey": _is_vkey,
        "operator": _is_code,
        "purpose": _is_name,
        "reasons": _is_reasons,
        "receipt_digest": _is_sha256,
        "recipient": _is_name,
        "reply_as": lambda value: isinstance(value, str) and value in REPLIES,
        "results": _is_count,
        "retain_until": _is_date,
        "role": _is_name,
        "request": _is_transfer,
        "rule": _is_name,
        "scope": _is_name,
        "sender": _is_name,
        "signers": _is_names,
        "status": _is_name,
        "time": _is_time,
        "transfer": _is_transfer,
        "type": _is_name,
        "use": _is_name,
        "v": lambda value: type(value) is int and value == 1,
        "version": _is_version,
        "vkey": _is_vkey,
        "what": _is_code,
        "who": _is_code,
        "why": _is_code,
        "withheld": _is_pointers,
    }
)

_DAY: Final = (
    r"(?!0000)\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    r"|02-(?:0[1-9]|1\d|2[0-8]))"
)
_COUNT: Final = r"(?:0|[1-9][0-9]{0,14})"
_CLAUSE: Final = r'"[ !#-[\]-~]{1,200}+"'
_CODE: Final = rf'"(?![^"]*[0-9]{{16}}){WORD}"'
_POINTER: Final = r'"(?=[^"]{0,512}+")(?:/(?:[!#-.0-[\]-}]++|~[01])*+){0,64}+"'
_MOMENT: Final = f'"{_DAY}{_CLOCK}"'
_REASONS: Final = rf'\{{(?:"clause":{_CLAUSE},)?"code":"{NAME}"(?:,"pointer":{_POINTER})?\}}'
_SPELLINGS: Final[Mapping[Form, str]] = {
    _is_code: _CODE,
    _is_subject: f'(?:"{SHA256}"|{_CODE})',
    _is_name: f'"{NAME}"',
    _is_transfer: f'"{TRANSFER}"',
    _is_thumbprint: f'"{THUMBPRINT}"',
    _is_sha256: f'"{SHA256}"',
    _is_vkey: f'"{VKEY}"',
    _is_signature: f'"{SIGNATURE}"',
    _is_time: _MOMENT,
    _is_date: f'"{_DAY}"',
    _is_count: _COUNT,
    _is_version: rf'(?:{_COUNT}|"{NAME}")',
    _is_clause: _CLAUSE,
    _is_pointers: rf"\[(?:{_POINTER}(?:,{_POINTER}){{0,{POINTERS_LIMIT - 1}}})?\]",
    _is_reasons: rf"\[{_REASONS}(?:,{_REASONS}){{0,{REASONS_LIMIT - 1}}}\]",
    _is_thumbprints: rf'\["{THUMBPRINT}"\]',
    _is_filters: rf'\{{(?:"{NAME}":(?:null|{_CODE}))?\}}',
    FORMS["erased_for"]: f'"(?:{"|".join(sorted(ERASED_FOR))})"',
    FORMS["event"]: f'"(?:{"|".join(sorted(ACKNOWLEDGED))})"',
    FORMS["reply_as"]: f'"(?:{"|".join(sorted(REPLIES))})"',
    FORMS["v"]: "1",
}


def spelling(name: str) -> str | None:
    """A regular expression of ASCII bytes that are canonical JSON of a value which the member's form takes.

    It takes no other bytes, but not all of those: other lengths, 29 February, letters beyond ASCII. None without one.
    """
    return _SPELLINGS.get(FORMS[name])
