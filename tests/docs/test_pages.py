"""The pages say what the program is: links, commands, settings, codes, files and make targets exist."""

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import gateway
from gateway.errors import CODES
from gateway.ledger.entry import KINDS
from gateway.settings import Settings
from tests.docs.pages import (
    PAGES,
    ROOT,
    WRITTEN,
    anchors,
    blocks,
    links,
    name,
    options,
    parse,
    resolve,
    sinergi_words,
    spans,
    steps,
)

SETTINGS = {
    f"{group}.{setting}"
    for group, field in Settings.model_fields.items()
    for setting in field.annotation.model_fields  # type: ignore[union-attr]
}
PREFIXES = {code.partition(".")[0] for code in CODES} | set(Settings.model_fields)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_resolves(page: Path) -> None:
    """A link leads to a file that is there, and its fragment to a heading of that file."""
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, fragment = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert not broken


def test_generated_pages_are_what_the_code_says() -> None:
    """`scripts/make_docs.py --check` finds nothing to do."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "scripts/make_docs.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_every_page_can_be_reached_from_the_readme() -> None:
    """Whoever starts at README.md finds each page by links."""
    reached, open_ = set[Path](), [ROOT / "README.md"]
    while open_:
        page = open_.pop()
        if page not in reached:
            reached.add(page)
            open_ += [
                found for link in links(page) if (found := (page.parent / link.partition("#")[0]).resolve()) in PAGES
            ]
    assert not set(PAGES) - reached


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_command_line_parses(page: Path) -> None:
    """Each `$ sinergi …` is a whole command line that the program would accept."""
    for line, _ in steps(page):
        words = sinergi_words(line)
        if words is not None:
            try:
                parse(words)
            except Exception as error:
                raise AssertionError(f"{line}: {error}") from error


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_command_in_a_sentence_exists(page: Path) -> None:
    """A `sinergi …` in running text names a command and options that are there."""
    for span in spans(page):
        if not span.startswith("sinergi "):
            continue
        command, rest = resolve(span.split()[1:])
        assert not hasattr(command, "commands") or not rest or rest[0].startswith("-") or rest[0].isupper(), span
        known = set(options(command))
        assert not [word for word in rest if word.startswith("--") and word not in known], span


MODULES = {found.name.rpartition(".")[2]: found.name for found in pkgutil.walk_packages(gateway.__path__, "gateway.")}


def is_known(word: str) -> bool:
    """Whether a dotted word is a code, setting, kind of entry, module, member of a module or file of ours."""
    if word in CODES or word in SETTINGS or word in KINDS:
        return True
    prefix, _, rest = word.partition(".")
    if rest in {"py", "md", "yaml", "json", "toml", "pem", "jwk", "jws", "pass"}:
        return True
    for module in (MODULES.get(prefix, word), word):
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        if module == word or hasattr(found, rest):
            return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_code_and_setting_exists(page: Path) -> None:
    """A word of the form of a code or setting is one."""
    words = [span for span in spans(page) if re.fullmatch(r"[a-z_]+\.[a-z_-]+", span)]
    unknown = [word for word in words if word.partition(".")[0] in PREFIXES and not is_known(word)]
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_environment_variable_exists(page: Path) -> None:
    """A `SINERGI_…` is a setting, or is read by the program, the tests or the deployment files."""
    settings = {f"SINERGI_{setting.replace('.', '__').upper()}" for setting in SETTINGS}
    readers = [
        *ROOT.glob("gateway/**/*.py"),
        *ROOT.glob("deploy/**/*.s*"),
        ROOT / "compose.yaml",
        ROOT / "tests/conftest.py",
    ]
    read = "".join(file.read_text(encoding="utf-8") for file in readers)
    named = set(re.findall(r"\bSINERGI_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))
    assert not {variable for variable in named - settings if variable not in read}


def test_settings_files_in_the_pages_are_valid() -> None:
    """Each TOML block holds tables and names that the program knows."""
    for page in WRITTEN:
        for block in blocks(page, "toml"):
            named = {f"{table}.{key}" for table, values in tomllib.loads(block).items() for key in values}
            assert named <= SETTINGS, name(page)


def test_every_code_is_explained() -> None:
    """The page of errors has a row for each code, with its status and both titles."""
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    for code in CODES.values():
        assert f"| `{code.code}` | {code.status} | {code.en} | {code.id} | " in page


def test_every_message_on_a_page_is_one_that_the_program_has() -> None:
    """What a page quotes behind a code stands in the program, with … for what differs each time."""
    program = "\n".join(file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("gateway/**/*.py")))
    program = re.sub(r'"\s*\n\s*f?"', "", program)  # one text over several lines
    quoted = {span for page in WRITTEN for span in spans(page) if span.partition(": ")[0] in CODES and ": " in span}
    assert quoted
    for message in quoted:
        words = message.partition(": ")[2].split("…")
        assert re.search(".*".join(map(re.escape, words)), program), message


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_named_file_exists(page: Path) -> None:
    """A path of this repository that a page names is there."""
    tops = ("gateway", "tests", "scripts", "deploy", "docs", "schemas", "agreements", "locks")
    named = [span for span in spans(page) if re.fullmatch(rf"({'|'.join(tops)})/[\w./-]+", span)]
    assert not [path for path in named if not (ROOT / path).exists() and not path.startswith("deploy/secrets")]


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_make_target_exists(page: Path) -> None:
    """`make …` is a target of the Makefile."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    named = [found for text in [*spans(page), *lines] if (found := re.match(r"make ([a-z-]+)", text))]
    assert not [found.group(1) for found in named if not re.search(rf"^{found.group(1)}:", MAKEFILE, re.MULTILINE)]


def test_the_two_commands_of_the_readme() -> None:
    """`make demo` and `make test` are what the README begins with, and each prepares everything by itself."""
    first = blocks(ROOT / "README.md", "sh")[0]
    assert re.findall(r"^make (\w+)", first, re.MULTILINE) == ["demo", "test"]
    for target in ("demo", "test"):
        assert re.search(rf"^{target}: \$\(INSTALLED\)", MAKEFILE, re.MULTILINE)


def test_the_house_is_drawn_as_it_is_checked() -> None:
    """The plan on the page of a message's life has the layers of the import contract, in their order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    page = (ROOT / "docs/explanation/message-flow.md").read_text(encoding="utf-8")
    plan = page.partition("## The house\n")[2]
    drawn = [re.split(r" {2,}", line.strip())[0] for line in plan.splitlines() if line.startswith("    ")]
    assert drawn == contract["layers"]


def test_metrics_in_the_pages_and_alerts_exist() -> None:
    """A metric that is watched is one that the program has."""
    from gateway.telemetry import Metrics

    samples = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    known = samples | {family.name for family in Metrics().registry.collect()}
    # A metric with labels that was never counted has no sample yet.
    known |= {f"{family.name}_total" for family in Metrics().registry.collect() if family.type == "counter"}
    known |= {f"{family.name}_bucket" for family in Metrics().registry.collect() if family.type == "histogram"}
    texts = [page.read_text(encoding="utf-8") for page in WRITTEN]
    texts.append((ROOT / "deploy/prometheus-alerts.yaml").read_text(encoding="utf-8"))
    named = set(re.findall(r"\bsinergi_[a-z_]+", "\n".join(texts))) - {"sinergi_owner"}
    assert named
    assert named <= known


def test_no_page_names_an_index() -> None:
    """Where packages come from is pip's configuration: no page and no deployment file says it."""
    files = [*PAGES, ROOT / "Dockerfile", ROOT / "compose.yaml", *(ROOT / "deploy").rglob("*.*")]
    for file in files:
        if "secrets" not in file.parts:
            assert not re.search(r"pypi\.org|index-url|files\.pythonhosted", file.read_text(encoding="utf-8")), file
