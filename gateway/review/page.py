"""The page that a legal officer reads and signs: the whole agreement in plain words, in one self-contained HTML file.

Decides order and layout: parties and validity, clause by clause every rule, then what awaits confirmation and the
signatures. Leaves the sentences to `wording`. Every text is escaped where it enters the page; the page loads nothing.
"""

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from gateway.agreement.document import Agreement
from gateway.agreement.terms import Confidential, Rule, Withholding
from gateway.message_types.catalogue import Catalogue
from gateway.review.findings import unconfirmed
from gateway.review.markup import Html, document, element, items, lines
from gateway.review.matrix import matrix
from gateway.review.wording import Language, Speech
from gateway.review.words import Words

_PRIORITIES: Final = {
    "urgent": Words("urgent: before everything else", "segera: mendahului yang lain"),
    "normal": Words("normal", "biasa"),
    "bulk": Words("bulk: after everything else", "massal: setelah yang lain"),
}


def render(agreement: Agreement, catalogue: Catalogue, language: Language) -> str:
    """The page in one language. It says everything that the document says about who may do what."""
    page = _Page(agreement, catalogue, language)
    return document(page.speech.pick(agreement.title), language, *page.parts())


class _Page:
    def __init__(self, agreement: Agreement, catalogue: Catalogue, language: Language) -> None:
        self.agreement = agreement
        self.catalogue = catalogue
        self.speech = Speech(language, catalogue)

    def say(self, en: str, id_: str) -> str:
        return self.speech.say(en, id_)

    def party(self, agency: str) -> str:
        return f"{self.speech.pick(self.agreement.parties[agency].name)} ({agency})"

    def parts(self) -> Iterator[Html]:
        yield from self.head()
        yield from self.parties()
        yield from self.territories()
        yield from self.working_days()
        yield self.overview()
        for number in self.agreement.clauses:
            yield from self.clause(number)
        yield from self.open_points()
        yield from self.signatures()

    def head(self) -> Iterator[Html]:
        agreement = self.agreement
        yield element("h1", self.speech.pick(agreement.title))
        yield element("p", self.speech.pick(agreement.description))
        onward = (
            self.say("permitted", "diizinkan")
            if agreement.onward_transfer
            else self.say(
                "forbidden: what is received goes to nobody else",
                "dilarang: yang diterima tidak diteruskan kepada siapa pun",
            )
        )
        yield self.list(
            (self.say("Agreement", "Perjanjian"), agreement.id),
            (self.say("Version", "Versi"), agreement.version),
            (self.say("First day", "Hari pertama"), self.limit("valid_from")),
            (self.say("Last day, included", "Hari terakhir, termasuk"), self.limit("valid_until")),
            (self.say("Time zone of all days", "Zona waktu semua tanggal"), str(agreement.timezone)),
            (self.say("Onward transfer", "Penerusan kepada pihak lain"), onward),
            (
                self.say(
                    "Digest (SHA-256), which the signatures are over", "Sidik digital (SHA-256) yang ditandatangani"
                ),
                element("code", agreement.digest, class_="digest"),
            ),
        )
        rule = self.say(
            "Only what a rule below permits may be sent. Whatever no rule names is refused, and so is whatever cannot be"
            " judged. Every message, permitted or refused, is recorded.",
            "Hanya yang diizinkan aturan di bawah ini boleh dikirim. Yang tidak disebut aturan mana pun ditolak, demikian pula"
            " yang tidak dapat dinilai. Setiap pesan, diizinkan atau ditolak, dicatat.",
        )
        yield element("p", rule)

    def limit(self, name: str) -> Html:
        """The agreement keeps the day alone; its source stands in the document."""
        stated = json.loads(self.agreement.canonical())[name]
        return Html(escape(stated["date"]) + self.cited(stated["provenance"], stated["citation"]))

    def parties(self) -> Iterator[Html]:
        yield element("h2", self.say("Parties", "Para pihak"))
        for agency, party in self.agreement.parties.items():
            yield element("h3", self.party(agency))
            liaisons = [f"{self.speech.pick(liaison.title)} ({liaison.role})" for liaison in party.liaisons]
            yield self.list((self.say("Liaison officers", "Pejabat penghubung"), items(liaisons)))

    def territories(self) -> Iterator[Html]:
        if not self.agreement.jurisdictions:
            return
        yield element("h2", self.say("Territories", "Wilayah hukum"))
        for unit, territory in self.agreement.jurisdictions.items():
            yield element("h3", f"{self.speech.pick(territory.name)} ({unit})")
            rows: list[tuple[str, object]] = [
                (
                    self.say(
                        "Regions, each with everything below it", "Daerah, masing-masing dengan seluruh bawahannya"
                    ),
                    Html(
                        element("p", ", ".join(self.speech.code("region", code) for code in territory.regions.codes))
                        + self.source(territory.regions)
                    ),
                )
            ]
            if territory.checkpoints is not None:
                codes = ", ".join(self.speech.code("checkpoint", code) for code in territory.checkpoints.codes)
                name = self.say("Immigration checkpoints", "Tempat pemeriksaan imigrasi")
                rows.append((name, Html(element("p", codes) + self.source(territory.checkpoints))))
            yield self.list(*rows)

    def working_days(self) -> Iterator[Html]:
        calendar = self.agreement.working_days
        if calendar is None:
            return
        yield element("h2", self.say("Working days", "Hari kerja"))
        yield Html(items(self.speech.working_days(calendar)) + self.source(calendar))

    def overview(self) -> Html:
        table = matrix(self.agreement)
        head = [element("th", self.say("Message type", "Jenis pesan"), scope="col")]
        head += [element("th", f"{one} → {other}", scope="col") for one, other in table.routes]
        rows = [
            element(
                "tr",
                element("th", self.speech.type(type_), scope="row"),
                *(
                    element(
                        "td",
                        lines(f"{cell.rule}: {', '.join(cell.purposes)}" for cell in table.cells.get((type_, way), ())),
                    )
                    for way in table.routes
                ),
            )
            for type_ in table.types
        ]
        caption = self.say("Who may send what to whom, for what", "Siapa boleh mengirim apa kepada siapa, untuk apa")
        return Html(
            element("h2", caption)
            + element(
                "table", element("caption", caption), element("thead", element("tr", *head)), element("tbody", *rows)
            )
        )

    def clause(self, number: str) -> Iterator[Html]:
        clause = self.agreement.clauses[number]
        yield element("h2", f"{self.say('Clause', 'Klausul')} {number}: {self.speech.pick(clause.title)}")
        yield self.source(clause)
        rules = [rule for rule in self.agreement.rules if rule.clause == number]
        for rule in rules:
            yield element("section", *self.rule(rule), class_="rule")
        if not rules:
            yield element("p", self.say("No rule stands under this clause.", "Tidak ada aturan di bawah klausul ini."))

    def rule(self, rule: Rule) -> Iterator[Html]:
        yield element("h3", f"{self.speech.pick(rule.title)} ({rule.id})")
        yield self.list(*self.facts(rule))
        yield self.source(rule)

    def facts(self, rule: Rule) -> Iterator[tuple[str, object]]:
        speech = self.speech
        yield self.say("What", "Apa"), speech.type(rule.type)
        ways = [f"{self.party(one)} → {self.party(other)}" for one, other in rule.routes()]
        yield self.say("From whom to whom", "Dari siapa kepada siapa"), items(ways)
        yield self.say("For what", "Untuk apa"), speech.listed([speech.code("purpose", one) for one in rule.purposes])
        if rule.valid_from or rule.valid_until:
            first, last = rule.valid_from or self.agreement.valid_from, rule.valid_until or self.agreement.valid_until
            yield self.say("In force", "Berlaku"), f"{first} – {last}"
        if rule.requires is not None:
            kinds = speech.listed([speech.code("case-type", one) for one in rule.requires.case])
            yield self.say("Case reference needed", "Wajib merujuk perkara"), self.sourced(kinds, rule.requires)
        conditions = [*self.conditions(rule)]
        if conditions:
            yield self.say("Only if", "Hanya apabila"), items(conditions)
        withheld = [self.withheld(entry, rule) for entry in rule.withhold]
        if withheld:
            yield (
                self.say("What the recipient does not see", "Yang tidak diperlihatkan kepada penerima"),
                items(withheld),
            )
        yield from self.figures(rule)

    def conditions(self, rule: Rule) -> Iterator[Html]:
        speech = self.speech
        for condition in rule.where:
            asked = speech.demand(condition.field, condition.must.schema, rule.type, optional=condition.optional)
            yield self.sourced(speech.conditional(condition, asked, rule.type), condition)
        for relation in rule.relations:
            yield self.sourced(speech.relation(relation, rule), relation)
        for within in rule.jurisdiction:
            unit = {
                "sender": self.say("the sender", "pengirim"),
                "recipient": self.say("the recipient", "penerima"),
            }.get(within.of, within.of)
            given = self.say(", where it is given,", ", bila diisi,") if within.optional else ""
            words = f"{speech.field(within.field, rule.type)}{given} " + self.say(
                f"lies in the territory of {unit}.", f"terletak di wilayah hukum {unit}."
            )
            yield self.sourced(words, within)

    def withheld(self, entry: Withholding, rule: Rule) -> Html:
        field = self.speech.field(entry.field, rule.type)
        situations = [self.speech.situation(one, rule.type) for one in entry.unless]
        if not situations:
            words = self.say(f"{field}: always withheld.", f"{field}: selalu ditahan.")
        else:
            when = f"; {self.say('or', 'atau')} ".join(situations)
            words = self.say(f"{field}: withheld, unless {when}.", f"{field}: ditahan, kecuali bila {when}.")
        parts = [Html(escape(words))]
        if entry.confidential is not None:
            parts.append(self.confidential(entry.confidential, rule))
        return Html("".join(parts) + self.source(entry))

    def confidential(self, term: Confidential, rule: Rule) -> Html:
        speech = self.speech
        roles = speech.listed([speech.code("officer-role", role) for role in term.roles])
        when = (
            ""
            if term.when is None
            else self.say(" This is asked only where ", " Ini hanya disyaratkan bila ")
            + speech.situation(term.when, rule.type)
            + "."
        )
        same = [
            self.say(f"{speech.field(here, rule.type)} is the same as {there.text} of it",
                     f"{speech.field(here, rule.type)} sama dengan {there.text} padanya")
            for here, there in term.matching.items()
        ]  # fmt: skip
        matched = f" ({speech.listed(same, last=('and', 'dan'))})" if same else ""
        words = self.say(
            f"Even then it is shown only if {term.approvals} different officers of the sending agency have signed their approval"
            f" of this message ({roles}), and the message replies to the recipient's acknowledgement of secrecy:"
            f" {speech.types(term.notice)}{matched}.{when}",
            f"Itu pun hanya diperlihatkan bila {term.approvals} pejabat yang berbeda pada instansi pengirim telah menandatangani"
            f" persetujuan atas pesan ini ({roles}), dan pesan ini membalas pernyataan kerahasiaan penerima:"
            f" {speech.types(term.notice)}{matched}.{when}",
        )
        return Html(element("p", words) + (self.source(term) if term.provenance else Html()))

    def figures(self, rule: Rule) -> Iterator[tuple[str, object]]:
        speech = self.speech
        if rule.quota is not None:
            limits = [
                self.say(f"at most {limit} messages in any {en}", f"paling banyak {limit} pesan dalam setiap {id_}")
                for limit, en, id_ in ((rule.quota.per_hour, "hour", "jam"), (rule.quota.per_day, "24 hours", "24 jam"))
                if limit is not None
            ]
            yield (
                self.say("Quota of one sender", "Kuota satu pengirim"),
                self.sourced(speech.listed(limits, last=("and", "dan")), rule.quota),
            )
        if rule.repeats is not None:
            yield (
                self.say("Repeated questions about one person", "Permintaan berulang tentang satu orang"),
                self.repeats(rule),
            )
        if rule.stands_until is not None:
            yield (
                self.say("The message stands until", "Pesan berlaku sampai"),
                speech.field(rule.stands_until, rule.type),
            )
        since = (
            self.say("from acceptance", "sejak diterima")
            if rule.retention.counted_from is None
            else self.say(
                f"from acceptance or from {speech.field(rule.retention.counted_from, rule.type)}, whichever is later",
                f"sejak diterima atau sejak {speech.field(rule.retention.counted_from, rule.type)}, mana yang lebih akhir",
            )
        )
        kept = f"{speech.period(rule.retention.keep)}, {since}"
        yield self.say("Kept for", "Disimpan selama"), self.sourced(kept, rule.retention)
        if rule.acknowledge_within is not None:
            yield self.say("Acknowledged within", "Dijawab dalam"), self.deadlines(rule)
        yield self.say("Handling (TLP 2.0)", "Ketentuan penanganan (TLP 2.0)"), rule.handling
        yield self.say("Delivery", "Pengiriman"), self.speech.pick(_PRIORITIES[rule.priority])

    def repeats(self, rule: Rule) -> Html:
        repeats, speech = rule.repeats, self.speech
        assert repeats is not None
        named = speech.types(repeats.named_by) if repeats.named_by else self.say("none", "tidak ada")
        beyond = (
            self.say("Beyond that it is refused.", "Selebihnya ditolak.")
            if repeats.otherwise == "refuse"
            else self.say("Beyond that it is recorded as a flag.", "Selebihnya diberi catatan.")
        )
        subject, within = speech.field(repeats.subject, rule.type), speech.period(repeats.within)
        own = (
            self.say(
                "Where only the asking agency's own messages name the person, it is refused as well.",
                "Jika hanya pesan dari instansi yang bertanya yang mencantumkannya, permintaan tetap ditolak.",
            )
            if repeats.on_own_papers == "refuse"
            else self.say(
                "Where only the asking agency's own messages name the person, it is recorded as a flag.",
                "Jika hanya pesan dari instansi yang bertanya yang mencantumkannya, permintaan diberi catatan.",
            )
        )
        words = self.say(
            f"At most {repeats.at_most} about one person ({subject}) in {within}, unless the person stands in an accepted message"
            f" of the same case ({named}). {beyond} {own}",
            f"Paling banyak {repeats.at_most} tentang satu orang ({subject}) dalam {within}, kecuali orang itu tercantum dalam"
            f" pesan yang telah diterima untuk perkara yang sama ({named}). {beyond} {own}",
        )
        return self.sourced(words, repeats)

    def deadlines(self, rule: Rule) -> Html:
        assert rule.acknowledge_within is not None
        told = []
        for deadline in rule.acknowledge_within.deadlines:
            when = (
                self.say(" in every other case", " dalam hal lain")
                if deadline.when is None
                else self.say(", where ", ", bila ") + self.speech.situation(deadline.when, rule.type)
            )
            told.append(f"{self.speech.within(deadline)}{when}")
        if len(told) == 1:
            told = [self.speech.within(rule.acknowledge_within.deadlines[0])]
        return Html(items(told) + self.source(rule.acknowledge_within))

    def open_points(self) -> Iterator[Html]:
        count = len(unconfirmed(self.agreement))
        yield element("h2", self.say("Awaiting confirmation", "Menunggu konfirmasi"))
        yield element(
            "p",
            self.say(
                f"{count} terms of this document are proposals that the agencies have yet to confirm; each is marked where it"
                " stands.",
                f"{count} ketentuan dokumen ini berupa usulan yang masih harus dikonfirmasi kedua instansi; masing-masing"
                " ditandai di tempatnya.",
            ),
        )

    def signatures(self) -> Iterator[Html]:
        yield element("h2", self.say("Signatures", "Tanda tangan"))
        yield element(
            "p",
            self.say(
                "This page is a reading of the document with the digest above. What is signed electronically is that digest.",
                "Halaman ini adalah pembacaan atas dokumen dengan sidik digital di atas. Yang ditandatangani secara elektronik"
                " adalah sidik digital itu.",
            ),
        )
        rows = [
            element("tr", element("th", self.party(agency), scope="row"), element("td"))
            for agency in self.agreement.parties
        ]
        head = element(
            "tr",
            element("th", self.say("Party", "Pihak"), scope="col"),
            element("th", self.say("Name, place, date, signature", "Nama, tempat, tanggal, tanda tangan"), scope="col"),
        )
        yield element("table", element("thead", head), element("tbody", *rows), class_="sign")

    # Pieces.

    def list(self, *rows: tuple[str, object]) -> Html:
        return element("dl", *(Html(element("dt", name) + element("dd", content)) for name, content in rows))

    def sourced(self, words: str, term: Any) -> Html:
        return Html(escape(words) + (self.source(term) if term.provenance else ""))

    def source(self, term: Any) -> Html:
        own = getattr(term, "citation_id", None) if self.speech.language == "id" else None
        return self.cited(term.provenance, own or term.citation)

    def cited(self, provenance: str, citation: str) -> Html:
        mark = (
            element("span", self.say("Public source", "Sumber terbuka"))
            if provenance == "public"
            else element("span", self.say("To be confirmed", "Perlu dikonfirmasi"), class_="open")
        )
        return element("p", mark, f": {citation}", class_="source")
