"""A witness's file: a next key beside the one that a log has, and nothing else of the file touched."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.main import run
from gateway.errors import OperatorError
from gateway.keyring import signer_for
from gateway.ledger.note import NoteVerifier
from gateway.store.checkpoint_keys import raw
from gateway.witness.settings import add_keys, load

HEAD = '# by hand\n[witness]\nname = "w.example/w1"\nkey = "file:/w.pem"\nmemory = "/w.db"\n'


def vkey(name: str) -> str:
    return NoteVerifier(name, raw(signer_for(Ed25519PrivateKey.generate()).public)).vkey


ONE, OTHER = (vkey(f"gw.example/ledger/{name}") for name in ("one", "other"))
NEXT = vkey("gw.example/ledger/one")
ORIGIN = "gw.example/ledger/one"
SHAPES = {
    "as written": f'vkeys = ["{ONE}"]',
    "by hand": f'vkeys=[ # the first ] one\n  "{ONE}",\n]  # end',
    "literal": f"  vkeys = ['{ONE}']",
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_next_key_is_added_beside_the_one_that_counts(tmp_path: Path, shape: str) -> None:
    """For the overlap of a rotation, whatever the list looks like; comments, other logs and everything else stay."""
    file = tmp_path / "witness.toml"
    other = f'\n[[log]]\n# theirs\norigin = "gw.example/ledger/other"\nvkeys = ["{OTHER}"]\n'
    third = other.replace('other"\nv', 'third"\nv')
    file.write_text(f'{HEAD}{other}\n[[log]]\norigin = "{ORIGIN}"\n{SHAPES[shape]}\n{third}')
    assert run(["witness", "add-log", NEXT, "--beside", "--config", str(file)]) == 0
    text = file.read_text()
    assert [log.vkeys for log in load(file).log] == [(OTHER,), (ONE, NEXT), (OTHER,)]
    assert (text.startswith(HEAD), text.count("# theirs"), other in text) == (True, 2, True)
    # Twice is once.
    assert add_keys(file, ORIGIN, (NEXT, NEXT)) == (ONE, NEXT)
    assert [log.vkeys for log in load(file).log] == [(OTHER,), (ONE, NEXT), (OTHER,)]


def test_a_log_that_is_not_known_gets_no_key_beside(tmp_path: Path) -> None:
    """A misspelt origin is an error, and so is a list that cannot be found; the file stays as it is."""
    file = tmp_path / "witness.toml"
    for log in (
        f'[[log]]\norigin = "{ORIGIN}x"\nvkeys = ["{ONE}"]\n',
        f'log = [{{origin = "{ORIGIN}", vkeys = ["{ONE}"]}}]\n',
    ):
        file.write_text(log + HEAD if log.startswith("log") else HEAD + log)
        before = file.read_bytes()
        with pytest.raises(OperatorError):
            add_keys(file, ORIGIN, (NEXT,))
        assert file.read_bytes() == before
