"""The beginning of a gateway: its folder, settings, keys, database, and the file of its newest checkpoint.

Decides in which order, and what a failure takes back. Only this creates keys and databases; everything else refuses to
start without them. The folder `keys` is made first and exclusively, so of two foundings at once one wins; the settings
file is put in place last, so where it stands the founding is complete.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway import keyring
from gateway.errors import OperatorError, StoreUnavailableError
from gateway.founding import RefusedError, require_code, require_own_keys
from gateway.founding.charter import Charter
from gateway.founding.database import found_database
from gateway.founding.first_entries import Founders
from gateway.keys.keychain import CHECKPOINT, REQUEST, SIGN
from gateway.settings import Settings, load_settings
from gateway.statements.appointment import verify_founders
from gateway.store.append import Memory
from gateway.store.checkpoint_files import CheckpointFiles
from gateway.wiring import Keys, load_keys, now


def initialise(directory: Path, charter: Charter, *, who: str) -> Settings:
    """Makes a gateway in `directory` and returns the settings it wrote to `directory/sinergi.toml`.

    Raises RefusedError when any of it exists. What a failure leaves is removed, but for the tables in a database server,
    which a second attempt uses. From the database's commit on nothing is removed: its ledger is signed by these keys.
    """
    require_code(who, "the operator")
    operators = verify_founders(charter.operators, charter.gateway_id, now()) if charter.operators else ()
    home = directory.absolute()
    final = home / "sinergi.toml"
    taken = [path for path in (final, home / "checkpoints") if path.exists()]
    if taken:
        raise RefusedError(f"{taken[0]} exists already: a gateway is initialised once")
    charter.existing()
    with _claimed(home) as made:
        draft = _write_settings(charter, home, made)
        # Read back as every later command will: the environment stands over the file already now.
        settings = load_settings(draft)
        keys = _make_keys(charter, settings, home / "keys", made)
        signers = {SIGN: keys.sign.kid, REQUEST: keys.request.kid, CHECKPOINT: keys.checkpoint.signer.public.kid}
        require_own_keys(signers, (one.key.kid for one in operators))
        memory = found_database(settings, keys, Founders(who, operators, charter.ceremony), made)
        _put_in_place(draft, final)
        _save_checkpoint(settings, keys, memory)
    return settings


def _write_settings(charter: Charter, home: Path, made: list[Path]) -> Path:
    """The settings under a name of their own, and the passphrase that they name where none was given."""
    passphrase_file = charter.passphrase_file
    if passphrase_file is None and charter.existing().keys() != charter.algorithms().keys():
        passphrase_file = home / "keys" / "passphrase"
        made.append(passphrase_file)
        keyring.write_private(passphrase_file, secrets.token_urlsafe(32).encode() + b"\n")
    draft = home / "keys" / "sinergi.toml.new"
    made.append(draft)
    keyring.write_private(draft, charter.settings(home, passphrase_file))
    return draft


def _make_keys(charter: Charter, settings: Settings, folder: Path, made: list[Path]) -> Keys:
    passphrase = keyring.read_passphrase(settings.keys.passphrase_file)
    for role, algorithm in charter.algorithms().items():
        if role not in charter.existing():
            made.append(folder / f"{role}.pem")
            keyring.generate(made[-1], algorithm, passphrase)
    return load_keys(settings)


def _put_in_place(draft: Path, final: Path) -> None:
    """By a second name, which replaces nothing; where a file system has none, by its one name: the claimed folder is ours."""
    try:
        try:
            os.link(draft, final)
        except FileExistsError:
            raise
        except OSError:
            if final.exists():
                raise
            draft.rename(final)
        else:
            draft.unlink()
    except OSError as error:
        raise OperatorError(
            f"the gateway is founded, and its keys stay, but {final} cannot be written ({error.strerror}): move {draft} there"
        ) from error


@contextmanager
def _claimed(home: Path) -> Iterator[list[Path]]:
    """Makes `home/keys`, which only one process can, and on failure removes what was listed as made since."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"{home} cannot be made: {error.strerror}") from error
    try:
        (home / "keys").mkdir(mode=0o700)
    except FileExistsError as error:
        raise RefusedError(
            f"{home / 'keys'} exists already: a gateway was initialised here, or an attempt was killed half-way"
        ) from error
    except OSError as error:
        raise OperatorError(f"{home} cannot be written: {error.strerror}") from error
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(OSError):
            (home / "keys").rmdir()
        raise


def _save_checkpoint(settings: Settings, keys: Keys, memory: Memory) -> None:
    try:
        CheckpointFiles(settings.gateway.state_dir / "checkpoints", keys.checkpoint).save(memory)
    except OSError as error:
        raise StoreUnavailableError(
            f"the gateway is founded; its newest checkpoint could not be written ({error.strerror}): the next command writes it"
        ) from error
