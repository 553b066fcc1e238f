"""What an evidence report tells, in one language, before it has a form.

Decides what is said and in what order: only what a check proved, names and places of withheld fields but never a value of
the message. Leaves the sentences to `report_wording.py`, HTML to `report.py` and PDF to `report_pdf.py`.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal

from gateway.errors import CODES
from gateway.evidence.bundle import Bundle
from gateway.evidence.checks import Check, Report
from gateway.evidence.court import AGREEMENT, SCHEMA, Proven, Trust
from gateway.evidence.findings import shown as utc
from gateway.evidence.report_wording import CHECKS, LIMITS, PURPOSES, WORDS
from gateway.ledger.note import ML_DSA_44, NoteVerifier
from gateway.review.words import Words

Language = Literal["en", "id"]
Author = Literal["gateway", "verifier"]
_TYPED, _AGREED = 7, 8
_LONGEST: Final = 600
_MOST: Final = 200
# The clock on the wall of who reads it: western Indonesian time, without summer time.
_WIB: Final = timezone(timedelta(hours=7))


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, then whatever there is of: paragraphs, facts (a name and its values), one table with a header row."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """All that a report says; every text is safe to show as text, none of it is markup.

    `footer` stands on every page of a printed one: which transfer it is about. `page` is how a page's number is said.
    """

    language: Language
    title: str
    verdict: str
    ok: bool
    footer: str
    page: str
    sections: tuple[Section, ...]


def account(bundle: Bundle, results: Report, trust: Trust, language: Language, author: Author) -> Account:
    """Never raises for what a bundle says: what cannot be read is left out."""
    told = _Telling(bundle, results, trust, language)
    return Account(
        language,
        told.say("title"),
        told.say("verified" if results.ok else "failed"),
        results.ok,
        f"{told.say('transfer')}: {shown(results.transfer)}" if results.transfer else told.say("title"),
        told.say("page"),
        (told.about(author), told.happened(), told.withheld(), told.checks(), told.limits(), told.trusted()),
    )


def shown(value: object) -> str:
    """A text from a bundle: what is invisible or turns the direction of writing stands as its number, and it ends."""
    text = str(value)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} […]"
    return "".join(f"[U+{ord(one):04X}]" if unicodedata.category(one)[0] == "C" else one for one in text)


class _Telling:
    def __init__(self, bundle: Bundle, results: Report, trust: Trust, language: Language) -> None:
        self.results, self.trust, self.language = results, trust, language
        passed = {one.number for one in results.checks if one.ok}
        # A title is quoted only from a document that its check proved.
        self.agreement = _document(bundle, AGREEMENT) if _AGREED in passed else {}
        self.schema = _document(bundle, SCHEMA) if _TYPED in passed else {}
        self.subject: Proven | None = results.subject

    def say(self, word: str) -> str:
        return self.words(WORDS[word])

    def words(self, words: Words) -> str:
        return words.en if self.language == "en" else words.id

    def about(self, author: Author) -> Section:
        by = self.say("by-gateway" if author == "gateway" else "by-verifier")
        return Section(self.say("about"), (by, self.say("no-proof"), self.say("hidden")))

    def happened(self) -> Section:
        if self.subject is None:
            return Section(self.say("what"), (self.say("unproven"),))
        return Section(self.say("what"), (self.say("unnamed"),), tuple(self.facts(self.subject)))

    def facts(self, subject: Proven) -> Iterator[tuple[str, tuple[str, ...]]]:
        entry = subject.entry

        def fact(word: str, *values: object) -> tuple[str, tuple[str, ...]]:
            return self.say(word), tuple(shown(value) for value in values[:_MOST]) or (self.say("none"),)

        yield fact("transfer", entry.get("transfer", ""))
        yield fact("decision", self.say(str(entry["kind"]).removeprefix("transfer.")))
        yield fact("sender", self.party(entry.get("sender", "")))
        yield fact("recipient", self.party(entry.get("recipient", "")))
        yield fact("received", moment(subject.time))
        yield from self.stated()
        yield fact("type", self.named(self.schema_title(self.schema), entry.get("type", "")))
        purpose = str(entry.get("purpose", ""))
        yield fact("purpose", self.named(self.words(PURPOSES[purpose]) if purpose in PURPOSES else "", purpose))
        version = entry.get("agreement_version")
        yield fact("agreement", self.numbered(entry.get("agreement", ""), version))
        clause, rule = entry.get("clause"), entry.get("rule")
        clauses = self.agreement.get("clauses", {})
        yield fact("clause", *([] if clause is None else [self.named(self.title(clauses.get(clause)), clause)]))
        yield fact("rule", *([] if rule is None else [self.named(self.title(self.rule()), rule)]))
        if entry["kind"] == "transfer.refused":
            yield fact("reasons", *(self.reason(one) for one in entry.get("reasons", ())))
        yield fact(
            "signed-for",
            *(f"{self.event(str(one.entry.get('event')))}: {moment(one.time)}" for one in self.results.acknowledged),
        )

    def stated(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What the sender itself put to the message, in clear, once its signature and the ledger both fit."""
        claims = self.results.claims
        if claims is None:
            return
        yield self.say("sent-at"), (moment(datetime.fromtimestamp(claims.iat, UTC)),)
        yield self.say("until"), (moment(datetime.fromtimestamp(claims.exp, UTC)),)
        bases = tuple(shown(one) for one in claims.legal_basis)
        yield self.say("legal-basis"), bases or (self.say("none"),)

    def numbered(self, agreement: object, version: object) -> str:
        return str(agreement) if version is None else f"{agreement}, {self.say('version')} {version}"

    def event(self, name: str) -> str:
        return self.say(name) if name in WORDS else name

    def reason(self, reason: Mapping[str, Any]) -> str:
        code = CODES.get(str(reason.get("code")))
        title = "" if code is None else (code.en if self.language == "en" else code.id)
        place = f" {reason['pointer']}" if reason.get("pointer") else ""
        return f"{self.named(title, reason.get('code', ''))}{place}"

    def withheld(self) -> Section:
        heading = self.say("withheld")
        if self.subject is None:
            return Section(heading, (self.say("unproven"),))
        if self.subject.entry["kind"] == "transfer.refused":
            return Section(heading, (self.say("nothing-released"),))
        pointers = [str(one) for one in self.subject.entry.get("withheld", ())][:_MOST]
        if not pointers:
            return Section(heading, (self.say("nothing-withheld"),))
        rules = {one["field"]: one for one in self.rule().get("withhold", ())}
        return Section(heading, facts=tuple((self.field(one), self.why(rules.get(one))) for one in pointers))

    def why(self, term: Mapping[str, Any] | None) -> tuple[str, ...]:
        if term is None:
            return (self.say("other"),)
        because = self.say("unless" if term.get("unless") else "always")
        own = term.get("citation_id") if self.language == "id" else None
        said = own or term.get("citation")
        return (because, shown(said)) if said else (because,)

    def field(self, pointer: str) -> str:
        """The title that the published schema gives the place, and the place."""
        node: Any = self.schema
        for step in pointer.split("/")[2:]:
            node = self._entered(node).get("properties", {}).get(step, {})
        return shown(self.named(self.schema_title(node) or self.schema_title(self._entered(node)), pointer))

    def _entered(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        found: Mapping[str, Any] = self.schema.get("$defs", {}).get(name, node) if name else node
        return found

    def checks(self) -> Section:
        head = (self.say("check"), self.say("result"), self.say("meaning"), self.say("detail"))
        return Section(self.say("checks"), table=(head, *(self.check(one) for one in self.results.checks)))

    def check(self, one: Check) -> tuple[str, ...]:
        result, before = {True: ("ok", None), False: ("bad", "bad-means"), None: ("open", "open-means")}[one.ok]
        meaning = self.words(CHECKS[one.number])
        detail = shown(self.words(one.detail))
        return str(one.number), self.say(result), (self.say(before) if before else "") + meaning, detail

    def limits(self) -> Section:
        return Section(self.say("limits"), tuple(self.words(one) for one in LIMITS))

    def trusted(self) -> Section:
        def fact(word: str, values: Sequence[str]) -> tuple[str, tuple[str, ...]]:
            return self.say(word), tuple(shown(value) for value in values) or (self.say("none"),)

        ledgers = list(self.trust.ledgers.values())
        quorums = [
            self.say("quorum").format(count=one.quorum.count, known=len({known.name for known in one.quorum.witnesses}))
            + f" ({one.origin})"
            for one in ledgers
            if one.quorum.witnesses
        ]
        witnesses = sorted({_vkey(witness) for one in ledgers for witness in one.quorum.witnesses})
        stamped = [self.say("authority-yes")] if self.trust.stamped is not None else []
        facts = (
            fact("gateway-keys", sorted(self.trust.gateway)),
            fact("ledger-keys", [_vkey(key) for one in ledgers for key in one.keys]),
            fact("witness-keys", witnesses + quorums),
            fact("authority", stamped),
        )
        return Section(self.say("trust"), (self.say("trust-says"),), facts)

    def party(self, agency: str) -> str:
        party = self.agreement.get("parties", {}).get(agency, {})
        return self.named(self._in(party.get("name")), agency)

    def rule(self) -> Mapping[str, Any]:
        named = None if self.subject is None else self.subject.entry.get("rule")
        found: Iterator[Mapping[str, Any]] = (one for one in self.agreement.get("rules", ()) if one["id"] == named)
        return next(found, {})

    def title(self, titled: Mapping[str, Any] | None) -> str:
        return self._in((titled or {}).get("title"))

    def _in(self, texts: Any) -> str:
        return str(texts.get(self.language, "")) if isinstance(texts, Mapping) else ""

    def schema_title(self, node: Mapping[str, Any]) -> str:
        return str(node.get("title" if self.language == "en" else "x-title-id", ""))

    def named(self, title: str, code: object) -> str:
        return f"{title} ({code})" if title else str(code)


def _document(bundle: Bundle, name: str) -> Mapping[str, Any]:
    found = json.loads(bundle.read(name))
    return found if isinstance(found, dict) else {}


def moment(at: datetime) -> str:
    """In UTC, and as a clock in Banten showed it."""
    return f"{utc(at)} ({at.astimezone(_WIB):%H:%M:%S} WIB)" if at.tzinfo else str(at)


def _vkey(key: NoteVerifier) -> str:
    """A key of ML-DSA-44 has 1,800 characters: by name and key id, which its holder compares with what it was given."""
    return f"{key.name}+{key.key_id.hex()} (ML-DSA-44)" if key.type == ML_DSA_44 else key.vkey
