"""What a decision costs: the shipped agreement filled up to 200 rules, beside one signature check, in interleaved rounds.

    python benchmarks/decide.py [--rounds 30] [--json FILE]

The message is an early warning of about 2 KB with three disclosable fields, two of them withheld; what its schema lets stand
where is known, as in the gateway. Beside it every valid example of the catalogue under its rule, all that is sensitive
disclosable: the one in the middle and the dearest. The aim is a decision under 100 µs. Other programs on the machine slow
all of it down alike: the ratio to a signature check is what travels.
"""

import argparse
import copy
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.table import Table

from gateway.agreement.document import Agreement, agreement_from_json, parse_agreement
from gateway.decision.decide import Facts, decide
from gateway.jose import public_key
from gateway.message.envelope import Case, Claims, VerifiedMessage, issue, parse, release, verify
from gateway.message_types import catalogue
from gateway.message_types.catalogue import Catalogue
from gateway.resources import agreements_dir, schemas_dir

RULES = 200
CALLS = 200
AIM_MICROSECONDS = 100.0
NOW = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)
WARNING = "early-warning.report/1"
DISCLOSABLE = ("/body/reporter", "/body/narrative", "/body/indicators")


class Key:
    """A throwaway Ed25519 key behind the Signer protocol."""

    alg = "EdDSA"

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.public = public_key(self.private.public_key())
        self.kid = self.public.kid

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


def shipped() -> Agreement:
    return parse_agreement((agreements_dir() / "pks-banten-2025.yaml").read_text(encoding="utf-8"))


def filled(agreement: Agreement, count: int) -> Agreement:
    """The agreement with rules for further types, until there are `count`."""
    document: dict[str, Any] = json.loads(agreement.canonical())
    rules = document["rules"]
    for number in range(count - len(rules)):
        rule = copy.deepcopy(rules[number % len(agreement.rules)])
        rule["id"] = f"further-{number}"
        rule["type"] = f"further.type-{number}/1"
        rules.append(rule)
    return agreement_from_json(rfc8785.dumps(document))


def warning(key: Key) -> VerifiedMessage:
    """The valid example from Pulo Panjang, its recruiter unknown and its narrative long; reporter and narrative stay behind."""
    example = schemas_dir() / "early-warning.report" / "1" / "examples" / "valid-pulo-panjang.json"
    body = json.loads(example.read_text(encoding="utf-8"))
    body["narrative"] = (body["narrative"] + " Keterangan warga lain sedang dikumpulkan.").ljust(900, ".")
    del body["recruiter"]
    issued = int(NOW.timestamp())
    claims = Claims(
        iss="imigrasi-banten",
        aud="polda-banten",
        iat=issued,
        exp=issued + 3600,
        jti="benchmark-0001",
        type=WARNING,
        agreement="pks-banten-2025",
        purpose="EARLY_WARNING",
        classification="T",
    )
    return verify(parse(issue(claims, body, DISCLOSABLE, key).encode()), key.public)


def every_example(key: Key, agreement: Agreement, types: Catalogue) -> Iterator[tuple[str, VerifiedMessage, Facts]]:
    """Each valid example as its rule has it sent; its case, where one is asked for, is an invented one."""
    rules = {rule.type: rule for rule in reversed(agreement.rules)}
    issued = int(NOW.timestamp())
    for type_, bodies in catalogue.examples(schemas_dir()).items():
        kind, rule = types.get(type_), rules[type_]
        assert kind is not None
        sender, recipient = next(iter(rule.routes()))
        for number, body in enumerate(bodies):
            claims = Claims(
                iss=sender,
                aud=recipient,
                iat=issued,
                exp=issued + 3600,
                jti=f"benchmark-{number:04}",
                type=type_,
                agreement=agreement.id,
                purpose=rule.purposes[0],
                classification="T",
                case=Case(rule.requires.case[0], "LP/B/17/XI/2026/SPKT")
                if rule.requires and rule.requires.case
                else None,
            )
            message = verify(parse(issue(claims, body, sorted(kind.sensitive), key).encode()), key.public)
            yield f"{type_} {number + 1}", message, Facts(may_be_absent=kind.may_be_absent, places=kind.places)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        work()
    return (time.perf_counter() - started) / CALLS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()

    key = Key()
    message = warning(key)
    few, many = shipped(), filled(shipped(), RULES)
    types = catalogue.load(schemas_dir())
    kind = types.get(WARNING)
    assert kind is not None
    facts = Facts(may_be_absent=kind.may_be_absent, places=kind.places)
    decision = decide(many, message, facts, NOW)
    assert decision.permitted, decision.reasons
    assert len(decision.withheld) == 2, decision.withheld
    signed = message.jwt.rpartition(".")[0].encode()
    signature = key.sign(signed)
    public = key.private.public_key()
    arms: dict[str, Callable[[], object]] = {
        "Ed25519 signature check": lambda: public.verify(signature, signed),
        f"decision, {len(few.rules)} rules": lambda: decide(few, message, facts, NOW),
        f"decision, {RULES} rules": lambda: decide(many, message, facts, NOW),
        "schema of the type": lambda: types.violations(WARNING, message.body),
        "release of the rest": lambda: release(message, decision.withheld),
    }
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(asked.rounds):
        for name, work in arms.items():
            taken[name].append(seconds(work) * 1e6)

    dear: dict[str, float] = {}
    for name, example, known in every_example(key, few, types):
        dear[name] = min(seconds(lambda e=example, k=known: decide(many, e, k, NOW)) for _ in range(3)) * 1e6  # type: ignore[misc]
    in_order = sorted(dear, key=lambda name: dear[name])
    above = sum(value > AIM_MICROSECONDS for value in dear.values())
    for what, name in (("in the middle", in_order[len(in_order) // 2]), ("the dearest", in_order[-1])):
        taken[f"of {len(dear)} examples, {what}: {name}"] = [dear[name]]

    floor = statistics.median(taken["Ed25519 signature check"])
    table = Table(title=f"{message_size(message)} bytes, {asked.rounds} rounds of {CALLS} calls; {machine()}")
    for heading in ("", "median µs", "min", "max", "× signature check"):
        table.add_column(heading, justify="right" if heading else "left")
    result: dict[str, Any] = {
        "machine": machine(),
        "rounds": asked.rounds,
        "aim_us": AIM_MICROSECONDS,
        "above_aim": above,
        "arms": {},
    }
    for name, values in taken.items():
        median = statistics.median(values)
        result["arms"][name] = {
            "median_us": median,
            "min_us": min(values),
            "max_us": max(values),
            "ratio": median / floor,
        }
        table.add_row(name, f"{median:.1f}", f"{min(values):.1f}", f"{max(values):.1f}", f"{median / floor:.2f}")
    Console().print(table, f"{above} of {len(dear)} examples take more than {AIM_MICROSECONDS:.0f} µs")
    if asked.json is not None:
        asked.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def message_size(message: VerifiedMessage) -> int:
    return len(message.text())


def machine() -> str:
    return f"Python {platform.python_version()}, {platform.machine()}"


if __name__ == "__main__":
    main()
