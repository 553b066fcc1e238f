"""What a rule may rest on beside the message: each fact through the real flow, on both databases, and in a race."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import Reason
from gateway.keyring import KeyringSigner, Secret, signer_for
from gateway.message.envelope import Case
from gateway.store.checkpoint_keys import CheckpointKeys
from gateway.store.search import Search, matching
from gateway.store.session import Database, open_database
from gateway.transfer import Outcome
from tests.functional.flow import IMIGRASI, POLDA, Clock, Flow, Secrets, found, node

UNKNOWN = "01960000-0000-7000-8000-000000000001"
LP = Case("LP", "LP/A/12/III/2026/SPKT")
PERSON, OTHER = {"nik": "3604081503900001"}, {"nik": "3604081503900002"}


@pytest.fixture
def shared(checkpoint_keys: CheckpointKeys, signer: KeyringSigner) -> Secrets:
    return Secrets(checkpoint_keys, signer, Secret("storage", os.urandom(32)), Secret("index", os.urandom(32)))


@pytest.fixture
def flow(database: Database, shared: Secrets) -> Iterator[Flow]:
    keys = found(database, shared.checkpoint)
    with node(database, shared, Clock(), keys) as opened:
        yield opened


@pytest.fixture
def second(flow: Flow, database_url: str, shared: Secrets) -> Iterator[Flow]:
    """Another process, as far as the database can tell."""
    database = open_database(database_url)
    with node(database, shared, flow.clock, flow.keys) as opened:
        yield opened
    database.close()


def codes(outcome: Outcome) -> list[str]:
    return [reason.code for reason in outcome.reasons]


def names(outcome: Outcome) -> list[str | None]:
    return [reason.detail for reason in outcome.reasons]


def decisions(outcomes: list[Outcome]) -> list[str]:
    return sorted(outcome.decision for outcome in outcomes)


def test_an_answer_closes_the_query_it_names(flow: Flow) -> None:
    """Only the asked agency's answer answers, once; the row and the ledger say what it was."""
    asked = flow.accepted("query", {"subject": PERSON}).transfer
    answer = flow.accepted("answer", in_reply_to=asked)
    assert flow.row(answer.transfer).reply_as == "answers"
    entry = flow.entries()[answer.index]
    assert (entry["in_reply_to"], entry["reply_as"]) == (asked, "answers")
    assert names(flow.post("answer", in_reply_to=asked)) == ["open-query"]
    assert names(flow.post("answer", in_reply_to=UNKNOWN)) == ["open-query"]


def test_what_no_rule_asks_about_is_not_a_reply(flow: Flow) -> None:
    """A message under a rule without relations closes nothing, whatever it names, and the ledger does not repeat it."""
    asked = flow.accepted("query", {"subject": PERSON}).transfer
    named = flow.accepted("plain", in_reply_to=asked)
    assert flow.row(named.transfer).reply_as is None
    assert "in_reply_to" not in flow.entries()[named.index]
    flow.accepted("answer", in_reply_to=asked)


def test_a_cancelled_notice_stands_no_longer(flow: Flow) -> None:
    """A hit refers to a standing notice; after its cancellation neither a hit nor a second cancellation passes."""
    notice = flow.notice().transfer
    assert flow.row(flow.accepted("hit", in_reply_to=notice).transfer).reply_as == "refers"
    cancel = flow.accepted("cancel", in_reply_to=notice)
    assert flow.row(cancel.transfer).reply_as == "ends"
    assert names(flow.post("hit", in_reply_to=notice)) == ["of-a-notice"]
    assert names(flow.post("cancel", in_reply_to=notice)) == ["own-notice"]


def test_a_notice_stands_until_its_day_is_over(flow: Flow) -> None:
    """`stands_until` is kept with the transfer: on the day after, nobody can refer to the notice."""
    until = (flow.clock() + timedelta(days=2)).date().isoformat()
    notice = flow.accepted("notice", {"until": until}).transfer
    flow.accepted("hit", in_reply_to=notice)
    flow.clock.advance(days=4)
    assert names(flow.post("hit", in_reply_to=notice)) == ["of-a-notice"]
    assert names(flow.post("notice", {})) == ["stands-until"]


def test_an_earlier_message_is_read_as_it_was_sent(flow: Flow) -> None:
    """`earlier` and `same` see the stored message, fields behind digests included; a wrong value or a missing one fails."""
    until = (flow.clock() + timedelta(days=90)).date().isoformat()
    body = {"until": until, "extendable": True, "name": "X"}
    notice = flow.accepted("notice", body, disclosable=["/body/name", "/body/extendable"]).transfer
    wrong = flow.post("extend", {"name": "Y"}, in_reply_to=notice)
    assert [(reason.detail, reason.pointer) for reason in wrong.reasons] == [("same-person", "/body/name")]
    assert flow.row(flow.accepted("extend", {"name": "X"}, in_reply_to=notice).transfer).reply_as == "amends"
    closed = flow.notice(extendable=False).transfer
    assert names(flow.post("extend", {"name": "X"}, in_reply_to=closed)) == ["extendable"]


def test_a_message_that_does_not_open_permits_nothing(flow: Flow) -> None:
    """Where the stored message was altered or erased, what a rule asks of it is missing, and the reply is refused."""
    notice = flow.notice().transfer
    with flow.database.write.begin() as connection:
        connection.exec_driver_sql("UPDATE transfer SET storage_key = 'another'")
    refused = flow.post("extend", {"name": "X"}, in_reply_to=notice)
    assert names(refused) == ["extendable", "same-person"]


def test_a_notice_is_extended_once(flow: Flow) -> None:
    """`at_most` counts the accepted replies of one type to one transfer."""
    notice, other = flow.notice().transfer, flow.notice().transfer
    assert names(flow.post("extend", {"name": "Y"}, in_reply_to=notice)) == ["same-person"]
    flow.accepted("extend", {"name": "X"}, in_reply_to=notice)
    assert names(flow.post("extend", {"name": "X"}, in_reply_to=notice)) == ["once"]
    flow.accepted("extend", {"name": "X"}, in_reply_to=other)


def test_a_link_names_an_accepted_transfer(flow: Flow) -> None:
    """A duplicate is linked to what was accepted; an unknown or a refused id does not count."""
    first = flow.accepted("report").transfer
    flow.accepted("report", {"duplicate_of": first})
    refused = flow.post("report", {"duplicate_of": UNKNOWN})
    assert [(reason.detail, reason.pointer) for reason in refused.reasons] == [("double", "/body/duplicate_of")]
    assert names(flow.post("report", {"duplicate_of": refused.transfer})) == ["double"]


def test_a_quota_slides_with_the_hour_and_the_day(flow: Flow) -> None:
    """Two an hour, three a day: refusals do not count, and time gives back what it took."""
    flow.accepted("count")
    flow.accepted("count")
    assert [codes(flow.post("count")) for _ in range(2)] == [["rule.quota"]] * 2
    flow.clock.advance(minutes=61)
    flow.accepted("count")
    assert names(flow.post("count")) == ["at most 3 in 24 hours"]
    flow.clock.advance(hours=24)
    flow.accepted("count")


def test_the_fishing_guard_counts_by_person(flow: Flow) -> None:
    """Two questions about one person in thirty days; another person is another count, refused questions are none."""
    flow.accepted("query", {"subject": PERSON})
    flow.accepted("query", {"subject": PERSON | {"phone": "+6281200000001"}})
    assert codes(flow.post("query", {"subject": PERSON})) == ["rule.repeated-subject"]
    flow.accepted("query", {"subject": OTHER})
    flow.accepted("query", {"subject": {"phone": "+6281200000001"}})
    assert codes(flow.post("query", {"subject": {"phone": "+62 812 0000 0001"}})) == ["rule.repeated-subject"]
    flow.clock.advance(days=31)
    flow.accepted("query", {"subject": PERSON})


def test_a_named_person_s_company_is_counted(flow: Flow) -> None:
    """A case that names a suspect's passport does not lift the guard for a NIK that is asked about beside it."""
    suspect = {"issuing_state": "IDN", "number": "X0000001"}
    flow.accepted("case", {"suspect": suspect}, case=LP)
    asked = {"subject": {"nik": "3604081503900001", "travel_documents": [suspect]}}
    decisions = [flow.post("query", asked, case=LP).decision for _ in range(4)]
    assert decisions == ["accepted", "accepted", "refused", "refused"]


def test_what_is_written_beside_a_number_makes_no_other_person(flow: Flow) -> None:
    """Another state, kind, last day or spelling, or a second document in company: the number was asked about twice already."""
    number = {"type": "ORDINARY_PASSPORT", "issuing_state": "IDN", "number": "X0000001"}
    flow.accepted("query", {"subject": {"travel_documents": [number]}})
    flow.accepted(
        "query", {"subject": {"travel_documents": [number | {"issuing_state": "MYS", "expiry_date": "2030-01-01"}]}}
    )
    company = {"issuing_state": "SGP", "number": "E9999999"}
    invented = (f"360408150390000{digit}" for digit in range(10))
    for other in (
        [number],
        [number | {"issuing_state": "XXA"}],
        [number | {"type": "OTHER", "mrz_number": "X0000001<5"}],
        [number | {"number": "x000 0001", "issuing_state": "THA"}],
        [company, number | {"issuing_state": "VNM"}],
    ):
        refused = flow.post(
            "query", {"subject": {"full_name": "Somebody Else", "nik": next(invented), "travel_documents": other}}
        )
        assert codes(refused) == ["rule.repeated-subject"]
    flow.accepted("query", {"subject": {"travel_documents": [company]}})


def test_questions_of_one_moment_are_counted_together(flow: Flow) -> None:
    """Five at once about one number under five states: two pass, on whichever node they were judged."""
    asked = [{"issuing_state": state, "number": "X0000001"} for state in ("IDN", "MYS", "SGP", "THA", "VNM")]
    outcomes = flow.race(*(flow.message("query", {"subject": document}) for document in asked))
    assert decisions(outcomes) == ["accepted"] * 2 + ["refused"] * 3
    assert {code for outcome in outcomes for code in codes(outcome)} == {"rule.repeated-subject"}


def test_a_paper_about_the_same_number_of_another_state_names_nobody(flow: Flow) -> None:
    """Counted by the number alone, but named by state and number: two states may have given one number to two persons."""
    asked = {"issuing_state": "IDN", "number": "X0000001"}
    flow.accepted("case", {"suspects": [asked | {"issuing_state": "MYS"}]}, case=LP)
    outcomes = [flow.post("query", {"subject": asked}, case=LP).decision for _ in range(3)]
    assert outcomes == ["accepted", "accepted", "refused"]
    flow.accepted("case", {"suspects": [asked]}, case=LP)
    flow.accepted("query", {"subject": asked}, case=LP)


def test_a_case_that_names_the_person_lifts_the_guard(flow: Flow) -> None:
    """The same case number with somebody else's name lifts nothing, nor does the person under another case."""
    for _ in range(2):
        flow.accepted("query", {"subject": PERSON}, case=LP)
    flow.accepted("case", {"suspects": [OTHER]}, case=LP)
    flow.accepted("case", {"suspects": [PERSON]}, case=replace(LP, number="LP/B/1"))
    flow.accepted("case", {"suspects": [PERSON]}, case=replace(LP, type="LI"))
    assert codes(flow.post("query", {"subject": PERSON}, case=LP)) == ["rule.repeated-subject"]
    flow.accepted("case", {"suspects": [OTHER, PERSON]}, case=LP)
    for _ in range(3):
        flow.accepted("query", {"subject": PERSON}, case=LP)
    assert codes(flow.post("query", {"subject": PERSON})) == ["rule.repeated-subject"]


@pytest.mark.parametrize("order", [("cancel", "query"), ("query", "cancel")])
def test_a_recalled_paper_names_nobody(flow: Flow, order: tuple[str, str]) -> None:
    """A paper that is written to lift the guard, and taken back, lifts it no longer, not even in the same batch."""
    flow.accepted("query", {"subject": PERSON}, case=LP)
    flow.accepted("query", {"subject": PERSON}, case=LP)
    paper = flow.accepted("case", {"suspects": [PERSON]}, case=LP).transfer
    flow.accepted("query", {"subject": PERSON}, case=LP)
    messages = {
        "cancel": flow.message("cancel", in_reply_to=paper),
        "query": flow.message("query", {"subject": PERSON}, case=LP),
    }
    outcomes = dict(zip(order, flow.race(*(messages[name] for name in order)), strict=True))
    cancel, query = outcomes["cancel"], outcomes["query"]
    assert cancel.decision == "accepted"
    assert (query.decision == "accepted") == (query.index < cancel.index)
    assert codes(flow.post("query", {"subject": PERSON}, case=LP)) == ["rule.repeated-subject"]


def test_a_paper_that_has_lapsed_names_nobody(flow: Flow) -> None:
    """A notice names its person until it lapses, and not a moment longer."""
    until = (flow.clock() + timedelta(days=90)).date().isoformat()
    flow.accepted("notice", {"until": until, "subject": PERSON}, case=LP)
    for _ in range(3):
        flow.accepted("query", {"subject": PERSON}, case=LP)
    flow.clock.advance(days=95)
    for _ in range(2):
        flow.accepted("query", {"subject": PERSON}, case=LP)
    assert codes(flow.post("query", {"subject": PERSON}, case=LP)) == ["rule.repeated-subject"]


def test_an_agency_s_own_paper_is_its_bare_word(flow: Flow) -> None:
    """Whom only the asker's papers name is refused, or flagged where the rule says so; a paper of the other one ends both."""
    flow.accepted("paper", {"suspects": [PERSON]}, case=LP)
    for name in ("query", "query", "asked", "asked"):
        assert flow.row(flow.accepted(name, {"subject": PERSON}, case=LP).transfer).flags == "[]"
    refused = flow.post("query", {"subject": PERSON}, case=LP)
    assert names(refused) == [
        "at most 2 about one person in P30D, unless the case names the person in more than the sender's own papers"
    ]
    flagged = flow.accepted("asked", {"subject": PERSON}, case=LP)
    assert "rule.repeated-subject" in flow.row(flagged.transfer).flags
    flow.accepted("case", {"suspects": [PERSON]}, case=LP)
    flow.accepted("query", {"subject": PERSON}, case=LP)
    assert flow.row(flow.accepted("asked", {"subject": PERSON}, case=LP).transfer).flags == "[]"


def test_a_flag_is_recorded_and_found(flow: Flow) -> None:
    """Where the rule says flag, the message passes; row, ledger and the index of codes say what was wrong with it."""
    for _ in range(2):
        assert flow.row(flow.accepted("asked", {"subject": PERSON}).transfer).flags == "[]"
    flagged = flow.accepted("asked", {"subject": PERSON})
    (flag,) = json.loads(flow.row(flagged.transfer).flags)
    assert (flag["code"], flag["pointer"]) == ("rule.repeated-subject", "/body/subject")
    assert flow.entries()[flagged.index]["flags"] == [
        {"code": "rule.repeated-subject", "clause": "1", "pointer": "/body/subject"}
    ]
    with flow.database.reading() as session:
        found = matching(session, Search(code="rule.repeated-subject"))
    assert [row.id for row in found] == [flagged.transfer]


def test_two_officers_and_an_acknowledged_notice_release_a_field(flow: Flow) -> None:
    """Approvals are verified against the officers' keys; row and ledger name the keys and the notice, and no person."""
    notice = flow.accepted("hit", {"about": "X"}, in_reply_to=flow.notice().transfer).transfer
    officers = [signer_for(Ed25519PrivateKey.generate()) for _ in range(2)]
    flow.add_officer(IMIGRASI, officers[0])
    stranger = flow.send(flow.approved("secret", {"name": "X"}, officers, notice))[0]
    assert [(reason.code, reason.pointer) for reason in stranger.reasons] == [("rule.approval", "/body/approvals/1")]
    flow.add_officer(IMIGRASI, officers[1])
    (alone,) = flow.send(flow.approved("secret", {"name": "X"}, officers[:1], notice))
    (other,) = flow.send(flow.approved("secret", {"name": "Y"}, officers, notice))
    (both,) = flow.send(flow.approved("secret", {"name": "X"}, officers, notice))
    entries = flow.entries()
    for withheld in (alone, other):
        assert entries[withheld.index]["withheld"] == ["/body/name"]
        assert not {"approvals", "notice"} & entries[withheld.index].keys()
    assert "withheld" not in entries[both.index]
    assert entries[both.index]["approvals"] == sorted(officer.kid for officer in officers)
    assert entries[both.index]["notice"] == notice


def test_of_two_messages_for_the_last_place_one_passes(flow: Flow) -> None:
    """Both were judged while a place of the quota was free; under the lock there is one, and the other is told why."""
    flow.accepted("count")
    outcomes = flow.race(*(flow.message("count") for _ in range(5)))
    assert decisions(outcomes) == ["accepted"] + ["refused"] * 4
    assert {code for outcome in outcomes for code in codes(outcome)} == {"rule.quota"}


def test_of_two_questions_at_once_the_one_over_the_limit_is_refused(flow: Flow) -> None:
    """The fishing guard counts what the same batch has staged."""
    flow.accepted("query", {"subject": PERSON})
    outcomes = flow.race(*(flow.message("query", {"subject": PERSON}) for _ in range(2)))
    assert decisions(outcomes) == ["accepted", "refused"]


def test_a_flag_is_not_lost_in_a_race(flow: Flow) -> None:
    """Of two questions that were within the limit when judged, the second is flagged after all."""
    flow.accepted("asked", {"subject": PERSON})
    outcomes = flow.race(*(flow.message("asked", {"subject": PERSON}) for _ in range(2)))
    assert decisions(outcomes) == ["accepted", "accepted"]
    assert sorted(len(json.loads(flow.row(outcome.transfer).flags)) for outcome in outcomes) == [0, 1]


def test_of_two_extensions_at_once_one_passes(flow: Flow) -> None:
    """Replies are counted again under the lock."""
    notice = flow.notice().transfer
    outcomes = flow.race(*(flow.message("extend", {"name": "X"}, in_reply_to=notice) for _ in range(2)))
    assert decisions(outcomes) == ["accepted", "refused"]


@pytest.mark.parametrize("order", [("cancel", "hit"), ("hit", "cancel")])
def test_a_hit_and_a_cancellation_at_once_are_in_some_order(flow: Flow, order: tuple[str, str]) -> None:
    """The cancellation always passes; a hit that comes after it in the ledger does not."""
    notice = flow.notice().transfer
    outcomes = dict(zip(order, flow.race(*(flow.message(name, in_reply_to=notice) for name in order)), strict=True))
    assert outcomes["cancel"].decision == "accepted"
    hit = outcomes["hit"]
    assert (hit.decision == "accepted") == (hit.index < outcomes["cancel"].index)


def test_two_nodes_share_the_last_place(flow: Flow, second: Flow) -> None:
    """The same limits hold across processes: both judge on one database, one lock decides."""
    notice = flow.notice().transfer
    flow.accepted("count")
    for messages in (
        [flow.message("count") for _ in range(2)],
        [flow.message("extend", {"name": "X"}, in_reply_to=notice) for _ in range(2)],
    ):
        assert decisions(flow.race(*messages, nodes=[flow, second])) == ["accepted", "refused"]


def test_an_undelivered_message_that_is_recalled_is_never_handed_out(flow: Flow) -> None:
    """The original is withdrawn in the commit that accepts its end, and the ledger says so; the end itself is delivered."""
    notice, kept = flow.notice().transfer, flow.notice().transfer
    ended = flow.accepted("cancel", in_reply_to=notice)
    assert flow.outbox(notice).state == "withdrawn"
    page = flow.hand_out(POLDA)
    assert {item["transfer"] for item in page.items} == {kept, ended.transfer}
    flow.clock.advance(minutes=10)
    assert notice not in {item["transfer"] for item in flow.hand_out(POLDA).items}
    (entry,) = (entry for entry in flow.entries() if entry["kind"] == "transfer.withdrawn")
    assert (entry["transfer"], entry["ended_by"], entry["attempts"]) == (notice, ended.transfer, 0)
    assert flow.outbox(ended.transfer).priority == 1


def test_a_recall_of_what_was_handed_out_is_urgent(flow: Flow) -> None:
    """Whether signed for or not: what the recipient may have read is corrected and recalled before anything else."""
    corrected, recalled = flow.notice().transfer, flow.notice().transfer
    assert {item["transfer"] for item in flow.hand_out(POLDA).items} == {corrected, recalled}
    extension = flow.accepted("extend", {"name": "X"}, in_reply_to=corrected)
    recall = flow.accepted("cancel", in_reply_to=recalled)
    assert [flow.outbox(outcome.transfer).priority for outcome in (extension, recall)] == [0, 0]
    assert flow.outbox(corrected).state == "waiting"
    assert flow.outbox(recalled).state == "withdrawn"


def test_a_refused_end_withdraws_nothing(flow: Flow) -> None:
    """Only an accepted end ends: another's notice, or one that is named by no rule, stays where it is."""
    notice = flow.notice().transfer
    assert flow.post("cancel", in_reply_to=notice, purpose="OTHER").decision == "refused"
    assert codes(flow.post("cancel", in_reply_to=notice, iss=POLDA, aud=IMIGRASI)) == ["rule.none"]
    assert flow.outbox(notice).state == "waiting"


def test_a_thousand_messages_under_one_jti_cost_what_one_does(flow: Flow) -> None:
    """A sender that never changes its `jti` gets a refusal each time; how many there are costs no query more."""
    jti = "always-the-same"
    flow.accepted("plain", jti=jti)

    def refused() -> int:
        message = flow.message("plain", {"n": 0}, jti=jti)
        with flow.counting() as statements:
            (outcome,) = flow.send(message)
        assert codes(outcome) == ["envelope.replayed"]
        return len(statements)

    one = refused()
    outcomes = flow.send(*(flow.message("plain", {"n": number}, jti=jti) for number in range(998)))
    assert {reason for outcome in outcomes for reason in outcome.reasons} == {
        Reason("envelope.replayed", pointer="/jti")
    }
    assert len({outcome.transfer for outcome in outcomes}) == 998
    assert refused() == one


def test_identical_replays_at_once_share_one_receipt(flow: Flow, second: Flow) -> None:
    """The same refused bytes, judged together: one entry, one receipt, and later the same again."""
    flow.accepted("plain", jti="used-before")
    replay = flow.message("plain", {"n": 1}, jti="used-before")
    size = len(flow.entries())
    outcomes = flow.race(*[replay] * 6)
    assert len({(outcome.transfer, outcome.receipt) for outcome in outcomes}) == 1
    assert sum(outcome.again for outcome in outcomes) == 5
    assert len(flow.entries()) == size + 1
    assert second.send(replay)[0].receipt == outcomes[0].receipt
    twice = flow.message("plain", {"n": 2}, jti="used-before")
    assert len({outcome.receipt for outcome in flow.race(twice, twice, nodes=[flow, second])}) == 1


def test_a_rule_that_asks_nothing_costs_no_look_up(flow: Flow) -> None:
    """The hot path: between parsing and the commit, an ordinary message reads nothing from the database."""
    message = flow.message("plain", {"n": 1}, in_reply_to=UNKNOWN)
    with flow.counting() as statements:
        assert flow.send(message)[0].decision == "accepted"
    assert statements == []
