"""Checking a bundle of evidence from a command line: what is believed, what is printed, how it ends.

One code for `sinergi evidence verify` and for the standalone verifier, of which this is the program. Imports only what
runs with Python and `cryptography`; scripts/build_verifier.py puts it and all that it imports into one file.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.output import DONE, NO, as_json, exit_code, fail, line, message
from gateway.errors import GatewayError, OperatorError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from gateway.evidence.bundle import Bundle
    from gateway.evidence.checks import Report
    from gateway.evidence.court import Stamped, Trust
    from gateway.jose import PublicKey
    from gateway.ledger.cosignature import Trust as LedgerTrust


def main(arguments: Sequence[str] | None = None) -> int:
    """The standalone program; its exit code is that of `sinergi evidence verify`."""
    parser = argparse.ArgumentParser("sinergi-verify", description="Check a bundle of evidence offline.")
    parser.add_argument("bundle", type=Path, metavar="FILE")
    parser.add_argument("--gateway-key", type=Path, action="append", required=True, metavar="FILE")
    parser.add_argument("--vkey", action="append", required=True, metavar="VKEY")
    parser.add_argument("--witness", action="append", metavar="VKEY")
    parser.add_argument("--quorum", type=int, metavar="K")
    parser.add_argument("--tsa-roots", type=Path, metavar="FILE")
    parser.add_argument("--authorities", type=Path, metavar="FILE", help="PEM roots that may certify agencies' keys")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write the report here, in both languages")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        trust = bundle_trust(
            given.gateway_key, given.vkey, given.witness, given.quorum, given.tsa_roots, authorities=given.authorities
        )
        return verdict(given.bundle, trust, json_=given.json, report_to=given.report)
    except GatewayError as error:
        fail(error, json_=given.json)
        return exit_code(error)


def verdict(bundle: Path, trust: "Trust", *, json_: bool, report_to: Path | None = None) -> int:
    """Prints what each check found. Raises OperatorError, or EvidenceInvalidError for what is no bundle."""
    from gateway.evidence.bundle import BYTES_LIMIT, unpack
    from gateway.evidence.checks import check

    try:
        with bundle.open("rb") as file:
            data = file.read(BYTES_LIMIT + 1)
    except OSError as error:
        raise OperatorError(f"{bundle} cannot be read: {error.strerror}") from error
    files = unpack(data)
    report = check(files, trust)
    if report_to is not None:
        _write_reports(report_to, files, report, trust)
    if json_:
        checks = [
            {"number": one.number, "title": one.title, "ok": one.ok, "detail": one.detail.en} for one in report.checks
        ]
        as_json({"ok": report.ok, "transfer": report.transfer, "decision": report.decision, "checks": checks})
    else:
        for one in report.checks:
            result = {True: "ok", False: "FAILED", None: "not checked"}[one.ok]
            line(f"{one.number}. {one.title}: {result} ({one.detail.en})")
        said = f"transfer {report.transfer}, {report.decision}" if report.transfer else "no transfer"
        line(f"{said}: {'verified' if report.ok else 'NOT verified'}")
    return DONE if report.ok else NO


def _write_reports(folder: Path, bundle: "Bundle", results: "Report", trust: "Trust") -> None:
    """New files in the folder, which is made where it is missing. Raises OperatorError."""
    from gateway.cli.given import write_new
    from gateway.evidence.report import reports

    files = reports(bundle, results, trust, "verifier")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"{folder} cannot be created: {error.strerror}") from error
    for name, content in files.items():
        write_new(folder / name, content)
    message(f"{folder}: {', '.join(sorted(files))}")
    if not any(name.endswith(".pdf") for name in files):
        message("No PDF was written: the library typst is missing. You can print the HTML pages.")


def read_trust(vkeys: list[str], witnesses: list[str] | None, quorum: int | None) -> "LedgerTrust":
    """What the options say is to be believed. Raises OperatorError."""
    from gateway.errors import LedgerInvalidError
    from gateway.ledger.cosignature import Quorum, Trust
    from gateway.ledger.note import NoteVerifier

    option = "--vkey"
    try:
        keys = tuple(NoteVerifier.parse(vkey.strip()) for vkey in vkeys)
        option = "--witness"
        known = tuple(NoteVerifier.parse(vkey.strip()) for vkey in witnesses or ())
        option = "--quorum"
        wanted = Quorum(known, len({one.name for one in known}) if quorum is None else quorum)
        option = "--vkey"
        return Trust(keys[0].name, keys, wanted)
    except LedgerInvalidError as error:
        raise OperatorError(f"{option}: {error.detail}") from error


def bundle_trust(
    keys: list[Path],
    vkeys: list[str],
    witness: list[str] | None,
    quorum: int | None,
    roots: Path | None,
    *,
    authorities: Path | None = None,
) -> "Trust":
    """What a verifier of a bundle believes beforehand. Raises OperatorError."""
    from gateway.errors import LedgerInvalidError
    from gateway.evidence.court import Trust
    from gateway.ledger.note import NoteVerifier

    own: dict[str, list[str]] = {}
    try:
        for text in vkeys:
            own.setdefault(NoteVerifier.parse(text.strip()).name, []).append(text)
    except LedgerInvalidError as error:
        raise OperatorError(f"--vkey: {error.detail}") from error
    ledgers = {origin: read_trust(texts, witness, quorum) for origin, texts in own.items()}
    gateway = {key.kid: key for file in keys for key in gateway_keys(file)}
    known = () if authorities is None else _authorities(authorities)
    return Trust(gateway, ledgers, None if roots is None else _stamped(roots), known)


def _authorities(file: Path) -> "tuple[Certificate, ...]":
    from gateway.keys.certificate import read_certificates

    try:
        return read_certificates(file.read_bytes(), "--authorities")
    except OSError as error:
        raise OperatorError(f"{file} cannot be read: {error.strerror}") from error


def gateway_keys(file: Path) -> "list[PublicKey]":
    """The keys of a JWK or of a set of them; members that say nothing of the key itself are passed over.

    So are, in a set, keys that sign no statement: a gateway's own set has its ML-DSA-44 checkpoint keys as well (RFC 9964).
    """
    from gateway.cli.given import read_object
    from gateway.errors import GatewayError
    from gateway.jose import public_key_from_jwk

    held = read_object(file)
    try:
        members = [one for one in held["keys"] if one.get("kty") != "AKP"] if "keys" in held else [held]
        return [
            public_key_from_jwk({name: one[name] for name in ("kty", "crv", "x", "y") if name in one})
            for one in members
        ]
    except (GatewayError, TypeError, AttributeError) as error:
        raise OperatorError(f"{file} holds no public key (JWK or JWKS)") from error


def _stamped(roots: Path) -> "Stamped":
    try:
        from gateway.ledger.timestamp import read_roots, stamped_under
    except ModuleNotFoundError as error:
        # Who asked for this check must not read "verified" without it.
        raise OperatorError("--tsa-roots needs the library rfc3161-client, which is not installed here") from error
    try:
        certificates = read_roots(roots.read_bytes())
    except OSError as error:
        raise OperatorError(f"{roots} cannot be read: {error.strerror}") from error
    return stamped_under(certificates)
