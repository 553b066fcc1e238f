"""The page of errors: every code in its group and in words, what bad messages and requests get, how commands end.

The words about each code are here, because a reader of `gateway/errors.py` does not need them; a code without words, and
words without a code, end the program.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.cli.output import EXIT_CODES
from gateway.errors import CODES
from scripts.docs.markdown import MADE, table
from tests.functional.bad_messages import BAD_MESSAGES

GROUPS: Final[Sequence[tuple[str, str, Sequence[str]]]] = (
    (
        "The sender is not proven",
        "Nobody knows who sent this, so nothing is written into the ledger. It is answered, counted and logged.",
        (
            "envelope.malformed",
            "envelope.too-large",
            "envelope.signature-invalid",
            "key.unknown",
            "key.not-valid",
            "key.revoked",
            "key.unconfirmed",
        ),
    ),
    (
        "The sender is proven, the message is refused",
        (
            "The refusal is a ledger entry, uses up the message's `jti`, and is answered with a signed receipt that names"
            " every reason. Sending the same bytes again gives the same answer; a corrected message needs a new `jti`."
        ),
        (
            "envelope.expired",
            "envelope.not-yet-valid",
            "envelope.validity-too-long",
            "envelope.wrong-audience",
            "envelope.replayed",
            "schema.unknown",
            "schema.violated",
            "agreement.unknown",
            "agreement.inactive",
            "rule.none",
            "rule.purpose",
            "rule.condition",
            "rule.case-required",
            "rule.field-not-disclosable",
            "rule.out-of-jurisdiction",
            "rule.approval",
            "rule.quota",
            "rule.repeated-subject",
        ),
    ),
    (
        "Calls of agencies and auditors",
        "About the HTTP request, not about a message.",
        (
            "token.missing",
            "token.invalid",
            "token.expired",
            "token.replayed",
            "token.wrong-request",
            "access.denied",
            "request.malformed",
            "request.media-type",
            "request.not-found",
            "request.method",
            "request.timeout",
        ),
    ),
    (
        "Receipts of recipients",
        (
            "The `code` of one result of `POST /v1/acknowledgements`. The call itself is answered with 200: each receipt is"
            " judged alone, and only a true one is recorded. `key.*`, `envelope.signature-invalid`,"
            " `envelope.not-yet-valid` and `gateway.internal` can stand there as well."
        ),
        ("receipt.malformed", "receipt.mismatch", "transfer.erased"),
    ),
    (
        "The gateway and its operator",
        (
            "Over HTTP `store.unavailable`, `gateway.busy`, `keyring.away`, `ledger.unwitnessed` and"
            " `gateway.internal` are seen, and `keyring.refused` where a stored message does not open; the others end a command."
        ),
        (
            "store.unavailable",
            "gateway.busy",
            "ledger.unwitnessed",
            "gateway.internal",
            "config.invalid",
            "keyring.refused",
            "keyring.away",
            "certificate.invalid",
            "agreement.invalid",
            "schema.invalid",
            "ledger.invalid",
            "ledger.forked",
            "clock.wrong",
            "evidence.invalid",
            "endpoint.forbidden",
        ),
    ),
)

WORDS: Final = {
    "envelope.malformed": "Not exactly the form of [the protocol](protocol.md): RFC 9901, the exact header and claims.",
    "envelope.too-large": "Over a limit of size, disclosures or depth. The limits are published at"
    " `/.well-known/sinergi-gateway`.",
    "envelope.signature-invalid": "The signature does not verify under the key that `kid` names. In an acknowledgement: the"
    " same of the receipt.",
    "key.unknown": "`kid` is not a key of the agency in `iss`, or there is no such agency. The two look the same from outside.",
    "key.not-valid": "The key is before or after its validity, or retired; or the agency is suspended.",
    "key.revoked": "The key was revoked. Nothing that it signs is accepted, whenever it was signed.",
    "key.unconfirmed": "The key has a certificate, and for too long no authority has said that it is still valid"
    " (`certificates.budget_seconds`). Nothing is wrong with the message: send the same bytes again.",
    "envelope.expired": "`exp` has passed.",
    "envelope.not-yet-valid": "`iat` is in the future by more than the leeway. Check the clock.",
    "envelope.validity-too-long": "`exp` - `iat` is over the limit, 7 days by default.",
    "envelope.wrong-audience": "`aud` is no agency of this gateway, or is the sender itself.",
    "envelope.replayed": "The `jti` was used for other bytes. Make a new one for each message, and keep it for each retry.",
    "schema.unknown": "No message type of this name and major version. `GET /v1/message-types` lists them.",
    "schema.violated": "The reconstructed `body` violates the schema. `errors` has every place; a pointer ends at the parent"
    " of an unknown member, whose name could be an identifier.",
    "agreement.unknown": "`agreement` names none that is active here. Recorded in the gateway's own ledger.",
    "agreement.inactive": "Today is outside the agreement's validity.",
    "rule.none": "No rule that is valid today allows this type from this sender to this recipient.",
    "rule.purpose": "There is a rule, but not for this `purpose`.",
    "rule.condition": "A condition or relation of the rule does not hold; `detail` is its name. Also when judging it failed.",
    "rule.case-required": "The rule wants a case reference, of one of the kinds that `detail` lists.",
    "rule.field-not-disclosable": "The rule may withhold this field, so it must be a disclosure of its own: not in clear, not"
    " only its parent or its children.",
    "rule.out-of-jurisdiction": "A region or checkpoint lies outside the territory that the rule names.",
    "rule.approval": "An approval in `/body/approvals` does not count: for another message, by a key that is not an officer's of"
    " the sender, or too old. `pointer` says which.",
    "rule.quota": "The rule accepts no more messages of this sender in an hour or in 24 hours. `detail`"
    " says how many; the rule counts again from the first one that is an hour or a day old.",
    "rule.repeated-subject": "This sender asked about the same person as often as the rule allows, and no case that names the"
    " person comes with the message, or only papers of its own name the person: `detail` says which. `pointer` says where the"
    " person stands.",
    "token.missing": "No `Authorization: Bearer …`.",
    "token.invalid": "Not a token of the right form, signature, audience or date; or an auditor's token that is unknown or"
    " revoked; or, for `/metrics`, not the token of `server.metrics_token_file`.",
    "token.expired": "A request token is valid for at most 60 s; an auditor's for the days it was issued for.",
    "token.replayed": "A request token is good for one request, on all nodes together.",
    "token.wrong-request": "`htm` or `htu` name another request. `htu` is compared with `gateway.public_url`.",
    "access.denied": "The caller is known and may not do this: ask about another agency's message, or search by a person's"
    " identifier or fetch evidence without the role `dpo`.",
    "request.malformed": "A parameter or the JSON body is wrong.",
    "request.media-type": "Messages are `application/sd-jwt`, JSON bodies `application/json`.",
    "request.not-found": "No such thing, or not for this caller.",
    "request.method": "The path knows other methods.",
    "request.timeout": "The body did not arrive within `server.body_timeout`.",
    "receipt.malformed": "Not exactly the members of a receipt.",
    "receipt.mismatch": "Another agency's receipt, for another gateway, about no transfer of this agency, or with an `sd_hash`"
    " of other bytes than were released.",
    "transfer.erased": "The gateway keeps neither the message nor the receipt any more. Also the answer where somebody asks for"
    " them; `GET /v1/transfers/{id}` still says that it was, and when and why it was erased.",
    "store.unavailable": "Nothing is acknowledged. Send the same bytes again after `Retry-After` seconds: if they were"
    " recorded after all, the answer is the original receipt.",
    "ledger.unwitnessed": "Too few witnesses have cosigned what the ledger already holds, or a timestamp is overdue, and the"
    " policy of the ledger is not to go on (`witness.when_missing`, `timestamp.when_missing`). Send the same bytes again after"
    " `Retry-After` seconds: a message that was recorded gets its receipt once it is witnessed.",
    "gateway.busy": "More messages, bytes or connections at once than `server.messages_at_once`, `server.bytes_at_once` or"
    " `server.connections` leave room for, or a wait longer than `server.longest_wait`. Nothing was done."
    " Send the same bytes again after `Retry-After` seconds.",
    "gateway.internal": "A fault in the program. The caller is told nothing more; the log has it.",
    "config.invalid": "A setting or an argument is wrong. Every bad setting is named.",
    "keyring.away": "A token or a key service does not answer, or this node does not have the file of the key in use yet. Nothing"
    " was accepted; other nodes may answer.",
    "keyring.refused": "A private key file has a wrong mode, passphrase or kind; or a stored message does not open.",
    "certificate.invalid": "A chain does not lead to a trusted authority, is for another agency or use, or was revoked.",
    "agreement.invalid": "The agreement document or one of its signatures. Every fault is named, with its line.",
    "schema.invalid": "A schema file is not valid, or is not the one that `schemas/digests.json` names.",
    "ledger.invalid": "A checkpoint, tile, entry or proof does not verify.",
    "ledger.forked": "The database contradicts what was signed before. The gateway signs nothing more until an operator has"
    " looked; callers get `store.unavailable`.",
    "clock.wrong": "The newest entry is dated more than 60 s after this machine's time, or the database's clock differs by so"
    " much. `serve` does not start; a running node accepts nothing until the clock is right.",
    "evidence.invalid": "The file is not a bundle of evidence, or a file in it proves something else than it should. The detail"
    " names the file.",
    "endpoint.forbidden": "The endpoint's name resolves to an address outside its allow-list. Nothing is sent.",
}

REQUESTS: Final[Sequence[tuple[str, str, str]]] = (
    ("every call but `POST /v1/messages` and the public ones, without a token", "any", "token.missing"),
    ("a token whose signature, audience or form is wrong", "any", "token.invalid"),
    ("a token signed with an unknown, ended or revoked key", "any", "key.unknown"),
    ("a token older than its 60 seconds", "any", "token.expired"),
    ("the same token a second time, on any node", "any", "token.replayed"),
    ("a token for another method or URL", "any", "token.wrong-request"),
    ("a body that is not `application/sd-jwt`", "`POST /v1/messages`, `POST /v1/decisions`", "request.media-type"),
    ("a body that arrives too slowly", "every `POST`", "request.timeout"),
    ("another agency's message", "`POST /v1/decisions`", "access.denied"),
    ("`limit` over 100, `wait` over 60", "`GET /v1/inbox`", "request.malformed"),
    ("more than 100 receipts, or none", "`POST /v1/acknowledgements`", "request.malformed"),
    ("a body that is not a JSON object", "`POST` with JSON", "request.malformed"),
    ("a `cursor` that is no transfer id, a time without offset", "`GET /v1/transfers`", "request.malformed"),
    ("an unknown, revoked or misspelt auditor's token", "`/v1/transfers`", "token.invalid"),
    ("`subject` without the role `dpo`", "`POST /v1/transfers/search`", "access.denied"),
    ("another agency's transfer, a refused one for its recipient", "`GET /v1/transfers/{id}`", "request.not-found"),
    ("an unknown agency, type, agreement or ledger, a tile beyond the end", "the public calls", "request.not-found"),
    ("a path with another method", "any", "request.method"),
    ("more at once than there is room for", "any but `/healthz`, `/readyz`, `/metrics`", "gateway.busy"),
    ("a private key that is needed does not answer", "any that is answered with a signature", "keyring.away"),
    ("the ledger cannot be written, too much is waiting, or the gateway is stopping", "any", "store.unavailable"),
)

ATTEMPTS: Final[Sequence[tuple[str, str]]] = (
    ("`timeout`", "no whole answer within `delivery.timeout`"),
    ("`dns`", "the endpoint's name does not resolve"),
    ("`connection`", "no address of it accepted the connection"),
    ("`tls`", "certificate or handshake"),
    ("`broken-off`", "the connection ended in the middle"),
    ("`status-404`, `status-503`, …", "any answer but 2xx; `Retry-After` of a 429 or 503 is honoured, up to an hour"),
    ("`status-410`", "the endpoint is paused until `sinergi agencies set AGENCY --resume --why CODE`"),
    ("`answer-too-large`, `answer-encoded`, `answer-malformed`", "a 2xx answer that is not a list of receipts"),
    ("`not-acknowledged`", "a 2xx answer without a receipt for this message"),
    ("`receipt.mismatch` and other codes", "the answer's receipt for this message is not true: it is not recorded"),
    ("`endpoint.forbidden`", "an address outside the allow-list: nothing was sent"),
    ("`keyring.refused`", "the stored message does not open: the operator must act"),
)


def errors_page() -> Iterator[str]:
    yield "# Errors"
    yield ""
    yield MADE
    yield ""
    yield (
        "Every error over HTTP is a problem document (RFC 9457, `application/problem+json`) with a stable `code`. `errors` has"
        " every reason, each with `code` and, where they apply, `clause`, `pointer` (a JSON Pointer into the message) and"
        " `detail`. No member ever holds a value from a payload. `title` is in English, or Indonesian where"
        " `Accept-Language` prefers `id`."
    )
    yield ""
    yield "A refusal of a proven message also carries `transfer`, `decision`, the signed `receipt` and its place in the `ledger`."
    every = [code for _, _, codes in GROUPS for code in codes]
    if sorted(every) != sorted(CODES) or sorted(WORDS) != sorted(CODES):
        wrong = set(every) ^ set(CODES) | set(WORDS) ^ set(CODES)
        raise SystemExit(f"scripts/docs/errors.py and gateway/errors.py disagree about {', '.join(sorted(wrong))}")
    yield ""
    yield "## Codes"
    for title, words, codes in GROUPS:
        yield ""
        yield f"### {title}"
        yield ""
        yield words
        yield ""
        yield from table(
            ("code", "status", "title", "Indonesian", "meaning"),
            [(f"`{code}`", CODES[code].status, CODES[code].en, CODES[code].id, WORDS[code]) for code in codes],
        )
    yield from _what_bad_ones_get()
    yield ""
    yield "## How commands end"
    yield ""
    yield from table(("exit code", "meaning"), list(EXIT_CODES.items()))


def _what_bad_ones_get() -> Iterator[str]:
    yield ""
    yield "## What bad messages get"
    yield ""
    yield (
        "`POST /v1/messages` is given each of these by the tests (`tests/functional/bad_messages.py`). *Recorded* means: the"
        " refusal is a ledger entry, and the answer has a signed receipt."
    )
    yield ""
    yield from table(
        ("what is sent", "status", "code", "recorded"),
        [(case.name, case.status, f"`{case.code}`", "yes" if case.recorded else "no") for case in BAD_MESSAGES],
    )
    yield ""
    yield "## What bad requests get"
    yield ""
    yield "None of these is recorded; a used token stays used."
    yield ""
    yield from table(
        ("what", "where", "status", "code"),
        [(what, where, CODES[code].status, f"`{code}`") for what, where, code in REQUESTS],
    )
    yield ""
    yield "## What a push that failed leaves"
    yield ""
    yield (
        "`GET /v1/transfers/{id}` shows the last one as `last_error` under `delivery` while the message waits. After"
        " `delivery.retry_limit` attempts the message is `dead`, which is a ledger entry; `sinergi transfers redeliver` starts"
        " it again. When its `exp` passes first, it is `expired`, which is a ledger entry as well."
    )
    yield ""
    yield from table(("last_error", "meaning"), ATTEMPTS)
