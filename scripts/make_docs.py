"""Writes the reference pages that follow from the code: errors, settings, commands, message types.

    python scripts/make_docs.py            rewrite docs/reference/{errors,settings,cli,roles}.md and docs/reference/catalogue/
    python scripts/make_docs.py --check    change nothing; exit 1 if a page is not what the code says

What most of the pages say is in `scripts/docs/`, one module a kind of page.
"""  # noqa: INP001 - a program, not a package

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gateway.settings import CONFIG_VARIABLE, Settings  # noqa: E402
from scripts.docs.catalogue import FOLDER, Reference  # noqa: E402
from scripts.docs.commands import cli_page  # noqa: E402
from scripts.docs.errors import errors_page  # noqa: E402
from scripts.docs.markdown import MADE, table  # noqa: E402
from scripts.docs.roles import roles_page  # noqa: E402

REFERENCE: Final = ROOT / "docs" / "reference"


def settings_page() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield MADE
    yield ""
    yield (
        f"One TOML file, found by `--config`, else `{CONFIG_VARIABLE}`, else `var/sinergi.toml`, else"
        " `/etc/sinergi/sinergi.toml`. `sinergi init` writes it. An environment variable stands over the file."
        " A name that is not on this page is refused in the file, and in the environment after the name of a table"
        " (as `SINERGI_SERVER__` and a misspelt name). Other variables are not looked at: mind the name of the table."
    )
    yield ""
    yield (
        "Secrets are never settings: they are in files that only their owner may read (mode 0600), and settings name the"
        " files. The one exception is the key passphrase, which `SINERGI_KEY_PASSPHRASE` gives where"
        " `keys.passphrase_file` is not set."
    )
    for group, field in Settings.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        yield ""
        yield f"## [{group}]"
        yield ""
        yield from table(
            ("setting", "environment variable", "default", "meaning"),
            [
                (f"`{group}.{name}`", f"`SINERGI_{group.upper()}__{name.upper()}`", default(one), described(one))
                for name, one in section.model_fields.items()
            ],
        )


def default(field: FieldInfo) -> str:
    if field.default is None:
        return "–"
    # As TOML spells it.
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def described(field: FieldInfo) -> str:
    assert field.description, "a setting without a description"
    bounds = [
        f"{sign} {value}"
        for item in field.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if (value := getattr(item, name, None)) is not None
    ]
    choices = getattr(field.annotation, "__args__", ())
    words = [choice for choice in choices if isinstance(choice, str)]
    limits = ", ".join([*bounds, *([" or ".join(f"`{word}`" for word in words)] if words else [])])
    return f"{field.description} ({limits})" if limits else field.description


PAGES: Final = {"errors.md": errors_page, "settings.md": settings_page, "cli.md": cli_page, "roles.md": roles_page}


def leftovers(made: Iterable[str]) -> Iterator[Path]:
    """Pages of message types that are no longer there."""
    for file in sorted((REFERENCE / FOLDER).glob("*.md")):
        if f"{FOLDER}/{file.name}" not in made:
            yield file


def main(arguments: Sequence[str]) -> int:
    check = list(arguments) == ["--check"]
    if arguments and not check:
        sys.stderr.write("usage: python scripts/make_docs.py [--check]\n")
        return 2
    made = {**PAGES, **Reference(ROOT).pages()}
    stale = [f"{FOLDER}/{file.name}" for file in leftovers(made)]
    for name, page in made.items():
        text = "\n".join(line.rstrip() for part in page() for line in part.split("\n")) + "\n"
        file = REFERENCE / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8")
    if not check:
        for file in leftovers(made):
            file.unlink()
    if check and stale:
        sys.stderr.write(f"not what the code says: {', '.join(stale)}; run scripts/make_docs.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
