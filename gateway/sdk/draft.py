"""A draft: a message whose every word, salt and digest is fixed, and which nobody has signed yet.

Officers sit at different machines. They approve digests, so the digests must be there before the signature, and must be
the same ones afterwards: a draft is a file that goes from hand to hand. Decides its form, what an approval of it would
say, and that approvals are about it and nothing else. Leaves to the gateway who an officer is. The file holds
everything in plain: it is as confidential as the message.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Required, Self, TypedDict

from gateway.errors import MalformedError
from gateway.jose import Signer, strict_json
from gateway.message.disclosure import Opened, Placed, open_payload, parse_disclosure, pointers_matching, unescape
from gateway.message.envelope import (
    DEFAULT_LIMITS,
    Case,
    Claims,
    Limits,
    Officer,
    close_body,
    issue_closed,
    payload_of,
    read_payload,
)
from gateway.statements.approval import (
    APPROVALS,
    APPROVALS_LIMIT,
    ApprovalRequest,
    content_digest,
    digests_of,
    parse_approval,
    require_about,
)

VERSION: Final = 1
_MEMBERS: Final = frozenset({"draft", "payload", "disclosures"})


class MessageOptions(TypedDict, total=False):
    """What a message may be given besides recipient, type and body; the claims' own names.

    `disclosable` are patterns such as `/body/reporter`. `jti` is made where it is not given. `valid_for` is a day, and
    for a draft 7: officers need time.
    """

    agreement: Required[str]
    purpose: Required[str]
    classification: Required[str]
    disclosable: Iterable[str]
    case: Case | None
    officer: Officer | None
    legal_basis: Iterable[str]
    in_reply_to: str | None
    correlation_id: str | None
    handling: str | None
    valid_for: timedelta
    jti: str


@dataclass(frozen=True, slots=True)
class Draft:
    """`closed` is the body with its digests, `opened` the same with every field in plain; neither holds approvals."""

    claims: Claims
    closed: Mapping[str, Any] = field(repr=False)
    disclosures: tuple[str, ...] = field(repr=False)
    opened: Opened = field(repr=False)

    @classmethod
    def write(  # noqa: PLR0917 - the order of a letter: from, to, what, when
        cls, iss: str, aud: str, type_: str, body: Mapping[str, Any], now: datetime, options: MessageOptions
    ) -> Self:
        """From an agency, to an agency. Raises MalformedError; KeyError without a `jti`."""
        claims = Claims(
            iss=iss,
            aud=aud,
            iat=int(now.timestamp()),
            exp=int((now + options.get("valid_for", DEFAULT_LIMITS.validity)).timestamp()),
            jti=options["jti"],
            type=type_,
            agreement=options["agreement"],
            purpose=options["purpose"],
            classification=options["classification"],
            case=options.get("case"),
            officer=options.get("officer"),
            legal_basis=tuple(options.get("legal_basis", ())),
            in_reply_to=options.get("in_reply_to"),
            correlation_id=options.get("correlation_id"),
            handling=options.get("handling"),
        )
        return cls.make(claims, body, options.get("disclosable", ()))

    @classmethod
    def make(cls, claims: Claims, body: Mapping[str, Any], disclosable: Iterable[str]) -> Self:
        """New salts. Raises MalformedError for what `envelope.parse` would refuse, and for a body that has approvals."""
        closed, disclosures = close_body(body, disclosable)
        read_payload(payload_of(claims, closed, disclosed=bool(disclosures)), closed=bool(disclosures))
        return cls._checked(claims, closed, disclosures, DEFAULT_LIMITS)

    @classmethod
    def read(cls, text: str, limits: Limits = DEFAULT_LIMITS) -> Self:
        """What `text()` wrote. Raises MalformedError or TooLargeError."""
        value = strict_json(text.encode(), "the draft", limits.depth + 3)
        if not isinstance(value, dict) or value.keys() != _MEMBERS or value["draft"] != VERSION:
            raise MalformedError(f"a draft is an object of draft ({VERSION}), payload and disclosures")
        payload, disclosures = value["payload"], value["disclosures"]
        if not isinstance(disclosures, list) or not all(isinstance(encoded, str) for encoded in disclosures):
            raise MalformedError("a draft's disclosures are an array of strings")
        if not isinstance(payload, dict):
            raise MalformedError("a draft's payload is an object")
        claims, closed = read_payload(payload, closed=bool(disclosures))
        return cls._checked(claims, closed, disclosures, limits)

    @classmethod
    def _checked(cls, claims: Claims, closed: Mapping[str, Any], disclosures: Iterable[str], limits: Limits) -> Self:
        kept = tuple(disclosures)
        parsed = [parse_disclosure(encoded, limits.depth) for encoded in kept]
        opened = open_payload(closed, parsed, complete=True, depth=limits.depth)
        if APPROVALS in opened.payload:
            raise MalformedError("approvals come after the draft, when it is signed", pointer=f"/body/{APPROVALS}")
        return cls(claims, closed, kept, opened)

    @property
    def placed(self) -> tuple[Placed, ...]:
        """Where the disclosures stand, as pointers from `/body` on."""
        return tuple(Placed(f"/body{place.pointer}", place.disclosure, place.within) for place in self.opened.placed)

    @property
    def body(self) -> dict[str, Any]:
        """Every field in plain."""
        return self.opened.payload

    def text(self) -> str:
        """The file: a JSON object of `draft` (1), `payload` and `disclosures`."""
        payload = payload_of(self.claims, self.closed, disclosed=bool(self.disclosures))
        members = {"draft": VERSION, "payload": payload, "disclosures": list(self.disclosures)}
        return json.dumps(members, ensure_ascii=False, indent=1) + "\n"

    @property
    def content(self) -> str:
        """The digest of what the message will say in clear (`approval.content_digest`)."""
        return content_digest(payload_of(self.claims, self.closed, disclosed=bool(self.disclosures)))

    def approval_request(self, fields: Iterable[str] | None = None) -> ApprovalRequest:
        """What an officer would approve: these fields with all that is below them, or every disclosable one.

        `fields` are pointers or patterns such as `/body/victims/*/identity`. Raises MalformedError for one that names
        nothing, or nothing that is disclosable: nobody approves what they did not see.
        """
        whole = {"body": self.body}
        wanted = [place.pointer for place in self.placed if place.within is None] if fields is None else fields
        pointers = [pointer for pattern in wanted for pointer in self._disclosable(whole, pattern)]
        digests = frozenset().union(*(digests_of(self, pointer) for pointer in pointers))
        values = {pointer: _at(whole, pointer) for pointer in pointers}
        claims = self.claims
        return ApprovalRequest(
            claims.iss,
            claims.aud,
            claims.jti,
            claims.type,
            claims.purpose,
            self.content,
            tuple(sorted(digests)),
            values,
        )

    def _disclosable(self, whole: Mapping[str, Any], pattern: str) -> list[str]:
        named = [pattern] if digests_of(self, pattern) else pointers_matching(whole, pattern)
        if not pattern.startswith("/body/") or not named or not all(digests_of(self, pointer) for pointer in named):
            raise MalformedError("a field to approve is not there or not disclosable", pointer=pattern)
        return named

    def sign(self, signer: Signer, approvals: Iterable[str] = ()) -> str:
        """The message, with the approvals in clear at `/body/approvals`.

        Raises MalformedError for an approval of anything else, or more than 8. Whose keys signed them the gateway knows.
        """
        texts = tuple(approvals)
        if len(texts) > APPROVALS_LIMIT:
            raise MalformedError(f"a message has at most {APPROVALS_LIMIT} approvals")
        digests = frozenset(place.disclosure.digest for place in self.opened.placed)
        for text in texts:
            require_about(parse_approval(text), self.claims, digests, self.content)
        closed = dict(self.closed) | ({APPROVALS: list(texts)} if texts else {})
        return issue_closed(self.claims, closed, self.disclosures, signer)


def _at(value: Any, pointer: str) -> Any:
    # A disclosure stands there or below, so every step is there.
    for token in pointer.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else value[unescape(token)]
    return value
