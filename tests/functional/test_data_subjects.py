"""What a person asks for, while the gateway goes on: an operator's command and a process that serves write to one store."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.data_protection.data_subjects import Request, Subject, correct, find, trail
from gateway.data_protection.subject_erasure import early_erasure, erase
from gateway.keyring import signer_for
from gateway.operations.officers import add_officer
from gateway.record import OWN_LEDGER
from gateway.retention import Retention
from gateway.statements.enrolment import Person, sign_enrolment
from gateway.statements.two_officers import sign_statement
from gateway.store.fsck import examine
from gateway.wiring import Store, now, open_store
from tests.province import AGREEMENT, GATEWAY, POLDA, QUERY, Province, example

GROUND = "UU27-2022-43-1-d"


def once_it_expired() -> datetime:
    """Until then the query could be sent again, and is kept."""
    return now() + timedelta(hours=1, minutes=1)


@contextmanager
def traffic(province: Province) -> Iterator[list[int]]:
    """Messages that arrive all the while; the statuses that they were answered with."""
    answers: list[int] = []
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            answers.append(province.imigrasi.post(province.imigrasi.message()).status_code)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield answers
    finally:
        over.set()
        sender.join()


def signed_by_two(store: Store, request: Request) -> list[str]:
    """Two officers of the police say that it need not wait for its day."""
    matter, statements = early_erasure(store, request, GROUND), []
    for name in ("sari", "budi"):
        key = signer_for(Ed25519PrivateKey.generate())
        person = Person(id=f"NIP-{secrets.token_hex(4)}", name=name.title(), role="SUPERVISOR", unit="Subdit IV")
        enrolled = sign_enrolment(person, POLDA, GATEWAY, key=key.public, signer=key, now=now())
        add_officer(store, enrolled, why="T-1", who="tester")
        statements.append(sign_statement(matter, POLDA, key, now()))
    return statements


def test_a_persons_requests_are_answered_beside_a_running_gateway(province: Province) -> None:
    """Found, told who looked, to be corrected, erased: no message fails for it, and the process that serves knows at once."""
    province.drain()
    body = example(QUERY, "valid-by-passport")
    number = f"X{secrets.randbelow(10**7):07}"
    body["subject"]["travel_documents"][0]["number"] = number
    transfer = province.polda.post(province.polda.query(body=body)).json()["transfer"]
    (item,) = province.imigrasi.inbox()
    province.imigrasi.acknowledge(province.imigrasi.acknowledgement(item))
    answer = province.imigrasi.message(
        "border-crossing.response/1",
        {"match_status": "NO_CROSSINGS"},
        disclosable=(),
        purpose="INVESTIGATION",
        in_reply_to=transfer,
    )
    assert province.imigrasi.post(answer).status_code == 202
    path, asked = f"/v1/transfers/{transfer}", {"subject": {"kind": "document-number", "value": number}}
    assert province.audit(path, dpo=True).json()["transfer"] == transfer
    request = Request(Subject("document-number", number), "DSR-31", "tester", now())
    with traffic(province) as answers, open_store(province.settings) as store:
        retention = Retention.of(store.settings.retention, store.database, store.recorder, OWN_LEDGER, once_it_expired)
        assert [row.id for row in find(store, request.subject, "tester")] == [transfer]
        (told,) = trail(store, request)["transfers"]
        assert [(read["who"], read["role"]) for read in told["reads"]] == [("dpo", "dpo")]
        assert told["delivery"]["receipts"][0]["event"] == "delivered"
        assert [task["transfer"] for task in correct(store, request)["senders"][POLDA]] == [transfer]
        statements = signed_by_two(store, request)
        outcome = erase(store, retention, request, before_retention=GROUND, statements=statements)
        assert (outcome["erased"], outcome["kept"]) == ([transfer], {})
        # The very next question, to the other process.
        assert province.audit(path, dpo=True).json()["erased"]["for"] == "data-subject"
        assert province.audit("/v1/transfers/search", dpo=True, json_body=asked).json()["items"] == []
        assert find(store, request.subject, "tester") == []
    assert len(answers) > 1
    assert set(answers) == {202}
    with open_store(province.settings) as store:
        for ledger in (OWN_LEDGER, AGREEMENT):
            assert examine(store.database, store.keys.checkpoint, ledger, None, now=now()).report.ok
    assert number not in province.log()
    province.drain()
