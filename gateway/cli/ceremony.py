"""`sinergi keys ceremony`: two operators make the gateway's keys, or rebuild the storage key from shares.

Decides what is asked and shown. Nothing is asked where `--script` gives the answers, and a share is printed nowhere but once on a
terminal, when its holder asked for that instead of a file.
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.context import command, group, invocation
from gateway.cli.given import read_object, read_text, write_new
from gateway.cli.output import as_json, line, message, table
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.key_management.ceremony import Present, Record

app = group(
    "ceremony",
    "Two operators make the gateway's keys together, or rebuild the storage key from shares. Needs no network.",
    commands="sinergi keys ceremony create --script ceremony.json --out ceremony.record.json\n"
    "sinergi init /etc/sinergi --ceremony ceremony.record.json\n"
    "sinergi keys ceremony recover --script recovery.json --out recovery.record.json",
)
TERMINAL: Final = "terminal"
ScriptOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The answers as JSON [default: ask for each, on a terminal].")
]
OutOption = Annotated[Path, typer.Option(metavar="FILE", help="The signed record's new file; it holds no secret.")]


class Answers:
    """What is answered: by the script, or by whoever sits at the terminal."""

    def __init__(self, script: Path | None) -> None:
        self._given: Mapping[str, Any] | None = None if script is None else read_object(script)
        if self._given is None and not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise OperatorError("there is no terminal to ask on: give the answers with --script FILE")

    def text(self, name: str, question: str, default: str | None = None) -> str:
        found = self._of(name, default) if self._given is not None else typer.prompt(question, default, err=True)
        if not isinstance(found, str) or not found:
            raise OperatorError(f"the script must say {name} as a text")
        return found

    def number(self, name: str, question: str, default: int) -> int:
        found = (
            self._of(name, default) if self._given is not None else typer.prompt(question, default, err=True, type=int)
        )
        if type(found) is not int:
            raise OperatorError(f"the script must say {name} as a number")
        return found

    def file(self, name: str, question: str) -> Path | None:
        """None where the answer is left empty."""
        found = (
            self._of(name, "") if self._given is not None else typer.prompt(question, "", err=True, show_default=False)
        )
        if not isinstance(found, str):
            raise OperatorError(f"the script must say {name} as the name of a file")
        return Path(found) if found else None

    def texts(self, name: str, question: str, count: int | None) -> list[str]:
        if self._given is None:
            asked: list[str] = []
            while count is None or len(asked) < count:
                answer = typer.prompt(question.format(number=len(asked) + 1), "", err=True, show_default=False)
                if not answer:
                    break
                asked.append(answer)
            return asked
        found = self._of(name, [])
        if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
            raise OperatorError(f"the script must say {name} as a list of texts")
        return found

    def members(self, name: str) -> dict[str, str]:
        found = {} if self._given is None else self._of(name, {})
        if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
            raise OperatorError(f"the script must say {name} as an object of texts")
        return found

    def _of(self, name: str, default: Any) -> Any:
        assert self._given is not None
        at: Any = self._given
        for part in name.split("."):
            at = at.get(part) if isinstance(at, dict) else None
        return default if at is None else at


def _present(answers: Answers) -> tuple["Present", "Present"]:
    """Two operators, each with a key of their own."""
    from gateway.cli.acting import open_key
    from gateway.key_management.ceremony import Present

    def one(name: str, which: str) -> Present:
        id_ = answers.text(f"{name}.id", f"The {which} operator's code")
        key = answers.text(f"{name}.key", f"The URI of {id_}'s own key")
        return Present(
            id_, open_key(key, answers.file(f"{name}.passphrase_file", "The file with its passphrase, if any"))
        )

    return one("first", "first"), one("second", "second")


@command(
    app,
    "create",
    example="sinergi keys ceremony create --out ceremony.record.json\n"
    "sinergi keys ceremony create --script ceremony.json --out ceremony.record.json",
)
def create(context: typer.Context, *, script: ScriptOption = None, out: OutOption) -> None:
    """Make the gateway's keys, split the storage key's recovery secret, and sign a record of it, both of you.

    On a machine without a network, if you like. Then `sinergi init --ceremony` founds the gateway with these keys and both
    operators, within 7 days. The script has: gateway, directory, first and second {id, key, passphrase_file}, threshold,
    shares (files), and where wanted given {role: URI}, passphrase_file, ml_dsa ("yes").
    """
    from gateway.key_management.ceremony import Plan, read_record
    from gateway.key_management.ceremony import create as make

    if out.exists():
        raise OperatorError(f"{out} exists already")
    answers = Answers(script)
    gateway = answers.text("gateway", "The gateway's id")
    directory = Path(answers.text("directory", "The folder for the key files, for instance on a stick"))
    operators = _present(answers)
    threshold = answers.number("threshold", "How many shares shall rebuild the storage key", 2)
    if script is None:
        count = answers.number("count", "How many shares shall there be", 3)
        places = [answers.text("", f"The new file of share {one + 1}, or {TERMINAL}", TERMINAL) for one in range(count)]
    else:
        places = answers.texts("shares", "", None)
    if script is not None and TERMINAL in places:
        raise OperatorError("with a script, each share needs a file")
    plan = Plan(
        gateway,
        directory,
        operators,
        threshold,
        len(places),
        answers.members("given"),
        answers.file("passphrase_file", "An existing file with the passphrase for the keys [a random one is made]"),
        ml_dsa=answers.text("ml_dsa", "Sign checkpoints with ML-DSA-44 as well", "no") == "yes",
    )
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"{directory} cannot be made: {error.strerror}") from error
    handed: list[Path] = []

    def keep(words: Sequence[str]) -> list[str]:
        kept = _hand_out(words, places)
        handed.extend(Path(place) for place in kept if place != TERMINAL)
        return kept

    try:
        text = make(plan, datetime.now(UTC), keep, lambda record: write_new(out, record.encode() + b"\n"))
    except BaseException:
        for share in handed:  # of a key that is gone
            share.unlink(missing_ok=True)
        raise
    _tell(context, read_record(text), out)


def _hand_out(words: Sequence[str], places: Sequence[str]) -> list[str]:
    """Each share to its holder: into a file for that one alone, or once onto the terminal."""
    from gateway.keyring import write_private

    made: list[Path] = []
    try:
        for number, (share, place) in enumerate(zip(words, places, strict=True), 1):
            if place == TERMINAL:
                _show_once(number, share)
                continue
            write_private(Path(place), share.encode() + b"\n")
            made.append(Path(place))
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return [place if place == TERMINAL else str(Path(place).absolute()) for place in places]


def _show_once(number: int, share: str) -> None:
    """On the terminal's other screen, which leaves nothing to scroll back to."""
    typer.prompt(f"Share {number}: its holder alone looks at the screen. Enter", "", err=True, show_default=False)
    sys.stderr.write(f"\x1b[?1049h\x1b[H{share}\n\n")
    typer.prompt("Written down? Enter", "", err=True, show_default=False)
    sys.stderr.write("\x1b[2J\x1b[?1049l")
    sys.stderr.flush()


@command(
    app,
    "recover",
    example="sinergi keys ceremony recover --out recovery.record.json\n"
    "sinergi keys ceremony recover --script recovery.json --out recovery.record.json",
)
def recover(context: typer.Context, *, script: ScriptOption = None, out: OutOption) -> None:
    """Rebuild the storage key's file from shares, and sign a record of it, both of you. Needs no gateway.

    The script has: gateway, key (the new file), passphrase_file, shares (files), why, first and second {id, key,
    passphrase_file}, and, if you have it, record (the first ceremony's): then only that key and those operators are accepted.
    operators_changed ("yes") says that the operators changed since. A copy of the new record stays beside the key's file: the
    next command or start records it in the ledger.
    """
    from gateway.key_management.ceremony import read_record
    from gateway.key_management.ceremony import recover as rebuild
    from gateway.keyring import read_private

    if out.exists():
        raise OperatorError(f"{out} exists already")
    answers = Answers(script)
    gateway = answers.text("gateway", "The gateway's id")
    path = Path(answers.text("key", "The storage key's new file"))
    passphrase_file = Path(answers.text("passphrase_file", "The file with the passphrase of the keys"))
    first = answers.file("record", "The first ceremony's record, if it is at hand")
    made = None if first is None else read_record(read_text(first))
    operators = _present(answers)
    changed = (
        made is not None
        and answers.text(
            "operators_changed",
            f"Have the operators or their keys changed since this record ({' and '.join(made.members['operators'])})",
            "no",
        )
        == "yes"
    )
    why = answers.text("why", "The reason: a ticket's number, or a code")
    files = answers.texts("shares", "The file of share {number} (empty: no more)", None)
    words = [read_private(Path(file)).decode("utf-8", "replace") for file in files]
    text = rebuild(
        gateway, path, words, passphrase_file, operators, now=datetime.now(UTC), why=why, first=made, changed=changed,
        publish=lambda record: write_new(out, record.encode() + b"\n"),
    )  # fmt: skip
    _tell(context, read_record(text), out)


@command(
    app,
    "split",
    example="sinergi keys ceremony split --key file:storage-2.pem --passphrase-file keys.pass --threshold 2"
    " --share a.share --share b.share --share c.share",
)
def split(
    context: typer.Context,
    *,
    key: Annotated[str, typer.Option(metavar="URI", help="A storage key in a file, for instance after its rotation.")],
    passphrase_file: Annotated[Path, typer.Option(metavar="FILE", help="The passphrase of its file.")],
    threshold: Annotated[int, typer.Option(metavar="M", help="How many shares shall rebuild it.")],
    share: Annotated[list[Path], typer.Option(metavar="FILE", help="A share's new file (mode 0600); once for each.")],
) -> None:
    """Split a storage key again (SLIP-39): after a rotation, or when a share was lost. Older shares still give the key."""
    from gateway.keyring import read_passphrase
    from gateway.keyring.shares import split as make

    words = make(key, read_passphrase(passphrase_file), threshold, len(share))
    places = _hand_out(words, [str(file) for file in share])
    if invocation(context).json:
        as_json({"threshold": threshold, "shares": places})
    else:
        for place in places:
            line(place)
        message(
            f"Any {threshold} of these {len(places)} shares give the key. Each to another person, in another place."
        )


@command(
    app,
    "verify",
    example="sinergi keys ceremony verify ceremony.record.json\n"
    "sinergi keys ceremony verify ceremony.record.json --keys",
)
def verify(
    context: typer.Context,
    record: Annotated[Path, typer.Argument(metavar="FILE", help="What `create` or `recover` wrote.")],
    *,
    keys: Annotated[
        bool, typer.Option("--keys", help="Open the keys as well, and compare them with the record.")
    ] = False,
) -> None:
    """Check a record: its form, and both operators' signatures."""
    from gateway.key_management.ceremony import read_record, require_keys

    found = read_record(read_text(record))
    if keys:
        require_keys(found)
    _tell(context, found, record)


@command(app, "record", example="sinergi keys ceremony record recovery.record.json --operator-key file:sari.pem")
def record_(
    context: typer.Context,
    record: Annotated[Path, typer.Argument(metavar="FILE", help="What `recover` wrote.")],
) -> None:
    """Record in the ledger a recovery that was done on another machine. A second time it says so and changes nothing."""
    from gateway.key_management.ceremony import read_record
    from gateway.key_management.recovery import record_recovery

    found = read_record(read_text(record))
    with invocation(context).store() as store:
        new = record_recovery(store, found)
    _tell(context, found, record)
    if not new:
        message("The ledger has it already.")


def _tell(context: typer.Context, record: "Record", file: Path) -> None:
    if invocation(context).json:
        as_json({"file": str(file), **record.members})
        return
    rows = [(role, key["hash"], key["uri"]) for role, key in record.members["keys"].items()]
    table(("role", "hash", "uri"), rows)
    split = record.members["shares"]
    if split is not None:
        message(f"Any {split['threshold']} of {split['count']} shares rebuild the storage key.")
    message(f"Signed by {' and '.join(one.operator for one in record.operators)}: {file}.")
