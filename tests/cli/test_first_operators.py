"""How a gateway comes to have operators: by init, or by its founders, and never by one person who is left."""

from pathlib import Path

from gateway.cli.output import DONE, MISUSE
from tests.cli.office import entries
from tests.cli.operated import (
    GATEWAY,
    IMIGRASI,
    POLDA,
    acts,
    admitted,
    by,
    key_of,
    operated,
    proposed,
    refused,
    stated,
    statement_of,
)
from tests.cli.shell import Shell, founded


def doctor(shell: Shell) -> tuple[str, str]:
    """What it says of operators: the verdict, and the words before the colon."""
    (found,) = [one for one in shell("doctor", "--json").json["checks"] if one["check"] == "operators"]
    return found["status"], found["detail"].partition(":")[0]


def test_a_gateway_without_operators_takes_names(tmp_path: Path) -> None:
    """For trying things out. Founded later there is no way back: the same name does nothing more."""
    shell = founded(tmp_path)
    assert "no operators of its own" in shell.ok("operators", "list").err
    shell.ok("agencies", "add", "--why", "T-1", POLDA, "--name", "Polda")
    refused(shell("operators", "add", statement_of(shell, "sari"), "--why", "T-1"), "operators found")
    one, two = statement_of(shell, "sari"), statement_of(shell, "budi")
    for wrong in ((one,), (one, statement_of(shell, "sari2", operator="sari")), (one, one)):
        assert shell("operators", "found", *wrong, "--why", "SK-1").code == MISUSE
    assert doctor(shell) == ("warning", "none")
    shell.ok("operators", "found", one, two, "--why", "SK-1")
    assert doctor(shell) == ("warning", "two")
    assert [entry["kind"] for entry in entries(shell)][-3:] == ["operator.added", "operator.added", "operator.act"]
    refused(shell("operators", "found", one, two, "--why", "SK-1"), "has operators")
    assert shell("agencies", "set", "--why", "T-1", POLDA, "--name", "X").code == MISUSE
    assert shell("keys", "import", "--why", "T-1", POLDA, shell.key("polda")).code == MISUSE
    assert by(shell, "sari", "operators", "revoke", shell.kid("budi"), "--why", "INC-1").code == DONE
    assert doctor(shell) == ("failed", "1 left")


def test_one_who_is_left_does_not_choose_the_next(tmp_path: Path) -> None:
    """With fewer than two operators new ones need every agency's consent, a suspended one's too, to these very persons."""
    shell = operated(tmp_path, "sari", "budi")
    assert by(shell, "sari", "agencies", "add", "--why", "T-1", IMIGRASI, "--name", "Imigrasi").code == DONE
    assert by(shell, "sari", "agencies", "add", "--why", "T-1", "lapas-serang", "--name", "without a key").code == DONE
    for agency in (POLDA, IMIGRASI):
        assert admitted(shell, stated(shell, agency, agency=agency), agency=agency).code == DONE
    spare = stated(shell, "spare", use="recovery", endorser=IMIGRASI, agency=IMIGRASI)
    assert admitted(shell, spare, agency=IMIGRASI).code == DONE
    straw = [statement_of(shell, name) for name in ("straw", "man")]
    refused(shell("operators", "found", *straw, "--why", "SK-2"), "added by two of them")
    assert by(shell, "sari", "operators", "revoke", shell.kid("budi"), "--why", "INC-1").code == DONE
    assert by(shell, "sari", "agencies", "set", "--why", "T-1", POLDA, "--status", "suspended").code == DONE

    def consent(agency: str, key: str, statements: list[Path] = straw, gateway: str = GATEWAY) -> Path:
        out = tmp_path / f"{len(list(tmp_path.glob('*.consent')))}.consent"
        shell.ok(
            "operators",
            "consent",
            *statements,
            "--as",
            agency,
            "--gateway-id",
            gateway,
            *key_of(shell, key),
            "--out",
            out,
        )
        return out

    others = [statement_of(shell, name) for name in ("dewi", "eko")]
    polda, imigrasi = consent(POLDA, POLDA), consent(IMIGRASI, "spare")
    for given in (
        [], [polda], [imigrasi], [polda, polda], [polda, consent(IMIGRASI, POLDA)], [polda, consent(IMIGRASI, "straw")],
        [polda, consent(IMIGRASI, "spare", others)], [polda, imigrasi, consent(POLDA, "spare")],
    ):  # fmt: skip
        words = [word for file in given for word in ("--consent", file)]
        refused(shell("operators", "found", *straw, "--why", "SK-2", *words), "nothing is done")
    shell.ok("operators", "found", *others, "--why", "SK-2", "--consent", consent(POLDA, POLDA, others), "--consent",
             consent(IMIGRASI, IMIGRASI, others))  # fmt: skip
    assert acts(shell)[-1]["approvals"] == [shell.kid(POLDA), shell.kid(IMIGRASI)]
    lifted = proposed(shell, "dewi", "agencies", "set", "--why", "T-1", POLDA, "--status", "active")
    assert by(shell, "eko", "operators", "approve", lifted).code == DONE


def test_init_with_bad_statements_makes_nothing(tmp_path: Path) -> None:
    """One statement, or one for another gateway: no file is left behind."""
    shell = Shell(tmp_path, tmp_path / "gw" / "sinergi.toml")
    one, elsewhere = statement_of(shell, "sari"), statement_of(shell, "budi", gateway="gw-other")
    for given in ((one,), (one, elsewhere)):
        words = [word for file in given for word in ("--operator-statement", file)]
        assert shell("init", tmp_path / "gw", "--id", "gw-test", *words).code != DONE
        assert not (tmp_path / "gw").exists()
