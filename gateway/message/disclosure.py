"""Selective disclosure (RFC 9901): which part of a payload stands behind which digest.

Decides how a payload is opened, closed and thinned out. Leaves signatures and claims to `envelope.py`, and which fields
to withhold to `decide.py`. Pointers are RFC 6901 and start at the payload, for instance `/reporter`; patterns may use
`*` for "every element of this array".
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import MalformedError, TooLargeError
from gateway.jose import b64decode, b64encode, compact_json, strict_json

SD: Final = "_sd"
SD_ALG: Final = "_sd_alg"
ELEMENT: Final = "..."
# `_sd_alg` belongs to the top of the payload alone (RFC 9901 §4.1.1), which is not part of the body. Verifiers drop it at any
# depth, so a recipient's would see another body than the gateway decided about.
_RESERVED: Final = frozenset({SD, SD_ALG, ELEMENT})
# 128 bits in base64url (RFC 9901 §9.3): with less, a recipient could guess what was withheld.
SALT_LENGTH: Final = 22
SALT_LIMIT: Final = 128
_DIGEST_LENGTH: Final = 43


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One disclosure. `name` is None for an array element (RFC 9901 §4.2.2)."""

    encoded: str
    digest: str
    salt: str
    name: str | None
    value: Any


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a disclosure belongs in the reconstructed payload; `within` is the disclosure that carries its digest."""

    pointer: str
    disclosure: Disclosure
    within: Disclosure | None


@dataclass(frozen=True, slots=True)
class Opened:
    """The reconstructed payload, without a digest left, and the place of each disclosure."""

    payload: dict[str, Any]
    placed: tuple[Placed, ...]


def digest_of(encoded: str) -> str:
    """SHA-256 over the ASCII of the encoded disclosure (RFC 9901 §4.2.3)."""
    return b64encode(hashlib.sha256(encoded.encode("ascii")).digest())


def parse_disclosure(encoded: str, depth: int = 32) -> Disclosure:
    """Reads one disclosure; refuses a wrong element count, a reserved name and a guessable salt (RFC 9901 §7.1 step 3.c)."""
    content = strict_json(b64decode(encoded, "a disclosure"), "a disclosure", depth)
    if not isinstance(content, list) or len(content) not in (2, 3):
        raise MalformedError("a disclosure must be an array of two or three elements")
    salt, name = content[0], content[1] if len(content) == 3 else None  # noqa: PLR2004 - salt, name, value
    if not isinstance(salt, str) or not SALT_LENGTH <= len(salt) <= SALT_LIMIT:
        raise MalformedError("a disclosure's salt must be a string of 22 to 128 characters")
    if len(content) == 3 and (not isinstance(name, str) or name in _RESERVED):  # noqa: PLR2004
        raise MalformedError("a disclosure's claim name is missing or reserved")
    return Disclosure(encoded, digest_of(encoded), salt, name, content[-1])


def open_payload(
    payload: Mapping[str, Any], disclosures: Sequence[Disclosure], *, complete: bool, depth: int
) -> Opened:
    """Puts every disclosure where its digest stands (RFC 9901 §7.1 step 3).

    With `complete`, as at submission, a digest that nothing opens is refused; without it, as at the recipient, the claim
    or array element behind it is absent. Raises MalformedError for a repeated digest or salt, a disclosure that no digest
    names, one of the wrong kind and a name that is already there.
    """
    if not disclosures and complete and not _mentions_reserved(payload):
        return Opened(dict(payload), ())
    opening = _Opening(disclosures, complete=complete, depth=depth)
    result = opening.object(payload, "", None, 0)
    opening.finish()
    return Opened(result, tuple(opening.placed))


def _mentions_reserved(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not _RESERVED.isdisjoint(value) or any(_mentions_reserved(item) for item in value.values())
    return isinstance(value, list) and any(_mentions_reserved(item) for item in value)


class _Opening:
    """One pass over one payload; every digest and every disclosure is accounted for exactly once."""

    def __init__(self, disclosures: Sequence[Disclosure], *, complete: bool, depth: int) -> None:
        self.by_digest = {disclosure.digest: disclosure for disclosure in disclosures}
        if len(self.by_digest) != len(disclosures):
            raise MalformedError("a disclosure is given twice")
        if len({disclosure.salt for disclosure in disclosures}) != len(disclosures):
            raise MalformedError("two disclosures share a salt")
        self.complete = complete
        self.depth = depth
        self.seen: set[str] = set()
        self.placed: list[Placed] = []

    def take(self, digest: Any) -> Disclosure | None:
        if not isinstance(digest, str) or len(digest) != _DIGEST_LENGTH:
            raise MalformedError("a digest is not a SHA-256 digest in base64url")
        if digest in self.seen:
            raise MalformedError("a digest is there twice")
        self.seen.add(digest)
        disclosure = self.by_digest.get(digest)
        if disclosure is None and self.complete:
            raise MalformedError("a digest is not opened by any disclosure")
        return disclosure

    def finish(self) -> None:
        if len(self.placed) != len(self.by_digest):
            raise MalformedError("a disclosure is not named by any digest")

    def value(self, value: Any, pointer: str, within: Disclosure | None, level: int) -> Any:
        # Disclosures nest inside disclosures: the payload's own depth says nothing of the reconstructed one.
        if level > self.depth:
            raise TooLargeError(f"the reconstructed payload nests deeper than {self.depth}")
        if isinstance(value, dict):
            return self.object(value, pointer, within, level)
        if isinstance(value, list):
            return self.array(value, pointer, within, level)
        return value

    def object(self, members: Mapping[str, Any], pointer: str, within: Disclosure | None, level: int) -> dict[str, Any]:
        if ELEMENT in members:
            raise MalformedError("the reserved name ... stands outside an array")
        if SD_ALG in members:
            raise MalformedError("the reserved name _sd_alg stands inside the payload")
        result = {
            name: self.value(value, f"{pointer}/{escape(name)}", within, level + 1)
            for name, value in members.items()
            if name != SD
        }
        digests = members.get(SD, [])
        if not isinstance(digests, list):
            raise MalformedError("_sd must be an array")
        for digest in digests:
            disclosure = self.take(digest)
            if disclosure is None:
                continue
            if disclosure.name is None:
                raise MalformedError("an array element's disclosure stands among an object's claims")
            if disclosure.name in members or disclosure.name in result:
                raise MalformedError("a disclosed claim is already there")
            place = f"{pointer}/{escape(disclosure.name)}"
            self.placed.append(Placed(place, disclosure, within))
            result[disclosure.name] = self.value(disclosure.value, place, disclosure, level + 1)
        return result

    def array(self, items: list[Any], pointer: str, within: Disclosure | None, level: int) -> list[Any]:
        result: list[Any] = []
        for item in items:
            place = f"{pointer}/{len(result)}"
            if not (isinstance(item, dict) and ELEMENT in item):
                result.append(self.value(item, place, within, level + 1))
                continue
            if len(item) != 1:
                raise MalformedError("an array digest has other members beside ...")
            disclosure = self.take(item[ELEMENT])
            if disclosure is None:
                continue
            if disclosure.name is not None:
                raise MalformedError("a claim's disclosure stands among array elements")
            self.placed.append(Placed(place, disclosure, within))
            result.append(self.value(disclosure.value, place, disclosure, level + 1))
        return result


def keep(placed: Iterable[Placed], withheld: Iterable[str]) -> frozenset[str]:
    """The digests of the disclosures that remain when those at the `withheld` pointers go.

    A disclosure inside a withheld one goes with it: without its parent no digest names it (RFC 9901 §4.2.6).
    """
    gone = set(withheld)
    dropped: set[str] = set()
    kept: set[str] = set()
    # `open_payload` places a parent before its children.
    for place in placed:
        inside = place.within is not None and place.within.digest in dropped
        (dropped if inside or place.pointer in gone else kept).add(place.disclosure.digest)
    return frozenset(kept)


def close_payload(
    payload: Mapping[str, Any], patterns: Iterable[str], salt: Callable[[], str] = lambda: secrets.token_urlsafe(16)
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """For a sender: the payload with digests for whatever the patterns name, and the encoded disclosures.

    A pattern that names nothing in this payload is ignored: the field is optional and absent. Digests are sorted, so that
    their order says nothing of the order of the claims (RFC 9901 §4.2.4.1). Raises MalformedError for a payload that has
    names of RFC 9901 itself: its `_sd` would be overwritten, and what it says would be lost.
    """
    if _mentions_reserved(payload):
        raise MalformedError("a payload may not have members named _sd, _sd_alg or ...")
    disclosures: list[str] = []
    wanted = [tuple(unescape(part) for part in pattern.split("/")[1:]) for pattern in patterns]
    closed = _close(payload, wanted, salt, disclosures)
    return closed, tuple(disclosures)


def _close(value: Any, wanted: list[tuple[str, ...]], salt: Callable[[], str], out: list[str]) -> Any:
    def below(name: str) -> list[tuple[str, ...]]:
        return [path[1:] for path in wanted if len(path) > 1 and path[0] == name]

    def hide(content: list[Any]) -> str:
        encoded = b64encode(compact_json(content))
        out.append(encoded)
        return digest_of(encoded)

    here = {path[0] for path in wanted if len(path) == 1}
    if isinstance(value, Mapping):
        result: dict[str, Any] = {}
        digests: list[str] = []
        for name, item in value.items():
            closed = _close(item, below(name), salt, out)
            if name in here:
                digests.append(hide([salt(), name, closed]))
            else:
                result[name] = closed
        if digests:
            result[SD] = sorted(digests)
        return result
    if isinstance(value, list):
        items: list[Any] = []
        for number, item in enumerate(value):
            closed = _close(item, below("*") + below(str(number)), salt, out)
            items.append({ELEMENT: hide([salt(), closed])} if here & {"*", str(number)} else closed)
        return items
    return value


def escape(name: str) -> str:
    """One reference token of a JSON Pointer (RFC 6901 §3)."""
    return name.replace("~", "~0").replace("/", "~1") if "~" in name or "/" in name else name


def unescape(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def pointers_matching(payload: Any, pattern: str) -> list[str]:
    """Every pointer in `payload` that `pattern` names, `*` standing for any index of an array."""
    found: list[tuple[str, Any]] = [("", payload)]
    for step_name in pattern.split("/")[1:]:
        step: list[tuple[str, Any]] = []
        for pointer, value in found:
            if isinstance(value, Mapping):
                name = unescape(step_name)
                if name in value:
                    # Escaped anew: `~` may stand for itself in a pattern, and what is withheld is found by its pointer.
                    step.append((f"{pointer}/{escape(name)}", value[name]))
            elif isinstance(value, list) and step_name == "*":
                step.extend((f"{pointer}/{index}", item) for index, item in enumerate(value))
        found = step
    return [pointer for pointer, _ in found]
