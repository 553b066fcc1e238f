"""The peer: PyPI `as4` takes the same bytes as an AS4 payload, verifies, and signs its non-repudiation receipt.

`python as4_peer.py SECONDS < message`, with an interpreter that has `as4`: its dependencies do not go together with the
gateway's, so `make bench` gives it an environment of its own. In this process, one core, no HTTP, nothing stored, no
duplicate check: what is left out would only cost it more.
"""

import datetime as dt
import json
import sys
import time

from as4 import AS4LocalPrivateKey, SecurityPolicy, pinned_certificates
from as4.peppol import (
    build_peppol_message,
    create_peppol_external_party,
    create_peppol_internal_party,
    parse_peppol_message,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


def party(name: str) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def main() -> None:
    seconds = float(sys.argv[1])
    text = sys.stdin.read()
    sender_certificate, sender_key = party("PTE000001")
    recipient_certificate, recipient_key = party("PTE000002")
    sender = create_peppol_internal_party("PTE000001", sender_certificate, AS4LocalPrivateKey(sender_key))
    recipient = create_peppol_internal_party("PTE000002", recipient_certificate, AS4LocalPrivateKey(recipient_key))
    message = build_peppol_message(
        payload=f"<Invoice xmlns='urn:oasis:names:specification:ubl:schema:xsd:Invoice-2'>{text}</Invoice>".encode(),
        local_party=sender,
        remote_party=create_peppol_external_party("PTE000002", recipient_certificate),
        sender="9932:9999999999",
        recipient="9932:1111111111",
        sender_country_id="ID",
        document_type_identifier_scheme="busdox-docid-qns",
        document_type_identifier_value="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2::Invoice##bench::2.1",
        process_identifier="urn:fdc:peppol.eu:2017:poacc:billing:01:1.0",
    )
    body, boundary = message.get_request_data()
    headers = message.get_http_headers(boundary)
    policy = SecurityPolicy(signer_resolver=pinned_certificates(sender_certificate))
    taken: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        started = time.perf_counter()
        receiving = parse_peppol_message(headers, body, recipient, security_policy=policy)
        if not receiving.successful:
            sys.exit(f"as4 refused its own message: {receiving}")
        receiving.build_signal()
        taken.append(time.perf_counter() - started)
    json.dump(
        {"elapsed": time.perf_counter() - began, "latencies": taken, "cpu": time.process_time() - cpu}, sys.stdout
    )


if __name__ == "__main__":
    main()
