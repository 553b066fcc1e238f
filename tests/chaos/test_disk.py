"""A disk that fails: EIO from the very system call that makes a commit durable, in the real process."""

import shutil
from pathlib import Path

import pytest

from tests.province import Province
from tests.published import entries, require_verified

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace injects the fault")


@pytest.mark.parametrize("when", [6, 7, 9])
def test_a_commit_that_meets_eio_gets_no_receipt_and_harms_no_other(tmp_path: Path, when: int) -> None:
    """SQLite's `fdatasync` fails once: that caller gets 503, nobody's receipt is lost, and retries settle the rest."""
    province = Province(tmp_path / "gateway").found()
    inject = f"inject=fdatasync,fsync:error=EIO:when={when}"
    under = ("strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fdatasync,fsync", "-e", inject)
    try:
        province.start(under=under)
        sent = [province.imigrasi.message() for _ in range(12)]
        answers = [province.imigrasi.post(message) for message in sent]
        statuses = {answer.status_code for answer in answers}
        assert statuses <= {202, 503}
        receipts = {
            message: answer.json()["receipt"]
            for message, answer in zip(sent, answers, strict=True)
            if answer.status_code == 202
        }
        assert len(receipts) >= 10
        assert "store_unavailable" in province.log(), "the fault did not strike"
        province.kill()
        province.start()
        for message in sent:
            again = province.imigrasi.post(message)
            assert again.status_code in (200, 202)
            if message in receipts:
                assert (again.status_code, again.json()["receipt"]) == (200, receipts[message])
        require_verified(province)
        kinds = [entry["kind"] for entry in entries(province)]
        assert kinds.count("transfer.accepted") == len(sent)
    finally:
        province.kill()
