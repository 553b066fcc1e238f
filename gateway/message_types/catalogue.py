"""Message types: what the body of each must look like, and which of its fields may be withheld.

Decides whether a body conforms to its type, and answers with every violation at once; derives from each schema the
release schema, in which every sensitive field is optional; knows the code lists. Leaves to `agreement` who may send what
and what is withheld. Only `read` and `load` touch files; nothing is ever fetched.

How a schema judges and what becomes of it at release is in `schema`; what dates must fit is in `validity`.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from gateway import jcs
from gateway.errors import Reason, SchemaInvalidError
from gateway.message_types import validity
from gateway.message_types.places import Places, office_words, places_of
from gateway.message_types.schema import Judge, absent_pointers, released, self_contained, sensitive_pointers
from gateway.message_types.soundness import (
    require_pins,
    require_plain,
    require_references,
    require_schema,
    require_sound,
)

_LIMITS: Final = ("valid_from", "valid_to")
PINS: Final = "digests.json"
_PRINTED: Final = re.compile(r"urn:sinergi:schema:(?P<name>[a-z0-9.-]+):(?P<version>[1-9][0-9]{0,3})(?::release)?")
# Lists of what offices and ports are called, which no person is told by.
_OFFICES: Final = ("checkpoint", "immigration-office", "unit")


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """One code with its labels; `more` holds what its list adds (level, group, valid_from, valid_to).

    `provenance` is public, general-knowledge or proposed: the latter two are for the agencies to confirm.
    """

    code: str
    en: str
    id: str
    provenance: str
    more: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CodeList:
    """A list of codes, in the order of its file, which is an order of rank where the list has one."""

    name: str
    title_en: str
    title_id: str
    source: str
    entries: Mapping[str, CodeEntry]


@dataclass(frozen=True, slots=True)
class MessageType:
    """One major version of one message type.

    `schema` is self-contained (every `$ref` points into its own `$defs`); `digest` is over its RFC 8785 form, so it
    changes with any shared definition or code list that the type uses. `sensitive` holds pointer patterns such as
    `/body/crossings/*/document`, where `*` is any array index; `may_be_absent` those of every field that the release
    schema can do without; `places` says what a text can say at each place.
    """

    name: str
    version: int
    title_en: str
    title_id: str
    description_en: str
    description_id: str
    schema: Mapping[str, Any]
    release_schema: Mapping[str, Any]
    digest: str
    sensitive: frozenset[str]
    may_be_absent: frozenset[str]
    places: Places

    @property
    def type(self) -> str:
        """The claim: `early-warning.report/1`."""
        return f"{self.name}/{self.version}"


class _Judges:
    """One for each type, compiled when it is first asked."""

    __slots__ = ("_compiled", "_schemas")

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._schemas = schemas
        self._compiled: dict[str, Judge] = {}

    def compile(self) -> None:
        """Raises SchemaInvalidError."""
        self._compiled |= {type_: Judge(schema) for type_, schema in self._schemas.items()}

    def violations(self, type_: str, body: Any) -> tuple[Reason, ...]:
        judge = self._compiled.get(type_)
        if judge is None:
            if type_ not in self._schemas:
                return (Reason("schema.unknown", pointer="/type"),)
            # Two threads may both do it; either's will do.
            judge = self._compiled[type_] = Judge(self._schemas[type_])
        return judge.violations(body)


class Catalogue:
    """All message types and code lists of one folder; build it with `load`.

    A schema is compiled when a body of its type first comes, which most programs never see.
    """

    __slots__ = ("_code_lists", "_codes", "_dated", "_full", "_released", "_types")

    def __init__(self, documents: Mapping[str, Any], *, pinned: bool = False) -> None:
        """From documents by path inside the schemas folder; raises SchemaInvalidError. Pins are `load`'s business.

        What is not `pinned`, and so never was compiled by those who pinned it, is compiled at once.
        """
        require_sound(documents)
        by_id = {document["$id"]: document for document in documents.values()}
        if len(by_id) != len(documents):
            raise SchemaInvalidError("two documents have the same $id")
        self._code_lists = {
            path.removeprefix("codes/").removesuffix(".json"): _code_list(path, document)
            for path, document in documents.items()
            if path.startswith("codes/")
        }
        offices = office_words(
            label
            for name in _OFFICES
            if name in self._code_lists
            for entry in self._code_lists[name].entries.values()
            for label in (entry.code, entry.en, entry.id)
        )
        types = [
            _message_type(path, by_id, self._code_lists, offices)
            for path in sorted(documents)
            if path.endswith("/schema.json")
        ]
        self._types = MappingProxyType({entry.type: entry for entry in types})
        self._full = _Judges({entry.type: entry.schema for entry in types})
        self._released = _Judges({entry.type: entry.release_schema for entry in types})
        if not pinned:
            self._full.compile()
            self._released.compile()
        self._codes = {name: frozenset(entry.entries) for name, entry in self._code_lists.items()}
        days = {name: _days(entry) for name, entry in self._code_lists.items()}
        self._dated = {}
        for entry in types:
            with _in(f"{entry.type}/schema.json"):
                validity.require_listed(entry.schema, days)
                self._dated[entry.type] = validity.checks(entry.schema, days)

    def get(self, type_: str) -> MessageType | None:
        """The message type of a `type` claim such as `early-warning.report/1`."""
        return self._types.get(type_)

    def types(self) -> tuple[MessageType, ...]:
        """Every message type, by name and version."""
        return tuple(sorted(self._types.values(), key=lambda entry: (entry.name, entry.version)))

    def codes(self, name: str) -> frozenset[str]:
        """The codes of a list, for instance `purpose`; KeyError if there is no such list."""
        return self._codes[name]

    def code_list(self, name: str) -> CodeList:
        """A list with labels; KeyError if there is no such list."""
        return self._code_lists[name]

    def code_lists(self) -> tuple[CodeList, ...]:
        """Every list, by name."""
        return tuple(self._code_lists[name] for name in sorted(self._code_lists))

    def violations(self, type_: str, body: Any) -> tuple[Reason, ...]:
        """Everything wrong with a body as sent, at most 64 reasons by pointer; empty if it conforms.

        Dates are compared once the body has the form of its schema: before that there may be none.
        """
        return self._full.violations(type_, body) or validity.violations(self._dated[type_], body)

    def release_violations(self, type_: str, body: Any) -> tuple[Reason, ...]:
        """The same for a body as released: sensitive fields may be missing."""
        return self._released.violations(type_, body)


def load(directory: Path) -> Catalogue:
    """The catalogue of a folder; SchemaInvalidError if any file or type differs from its pinned digest, or has none."""
    documents = read(directory)
    catalogue = Catalogue(documents, pinned=True)
    pinned = _parse(directory / PINS)
    require_pins(PINS, pinned)
    for kind, actual in pins(documents, catalogue).items():
        wrong = sorted(set(actual.items()) ^ set(pinned.get(kind, {}).items()))
        if wrong:
            raise SchemaInvalidError(f"{kind}: {wrong[0][0]} is not what {PINS} pins")
    return catalogue


def read(directory: Path) -> dict[str, Any]:
    """Every schema, definition and code list of a folder by relative path; examples and pins are not among them.

    Raises SchemaInvalidError for what is no folder, or none of message types.
    """
    if not directory.is_dir():
        raise SchemaInvalidError(f"{directory} is no folder")
    paths = {path.relative_to(directory): path for path in directory.rglob("*.json")}
    found = {
        relative.as_posix(): _parse(path)
        for relative, path in sorted(paths.items())
        if relative.name != PINS and "examples" not in relative.parts
    }
    if not any(path.endswith("/schema.json") for path in found):
        raise SchemaInvalidError(f"{directory} holds no message type: no NAME/VERSION/schema.json")
    return found


def read_one(path: Path) -> dict[str, dict[str, Any]]:
    """The one schema that `sinergi schemas show` printed, complete in itself, by its type. Raises SchemaInvalidError."""
    schema = _parse(path)
    require_plain(path.name, schema)
    require_schema(path.name, schema)
    require_references({path.name: schema})
    found = _PRINTED.fullmatch(schema["$id"])
    if found is None or not isinstance(schema.get("$defs"), dict):
        raise SchemaInvalidError(f"{path} is neither a folder of schemas nor a schema that `show` printed")
    whole = self_contained(schema["$id"], {schema["$id"]: schema})
    if whole != schema:
        raise SchemaInvalidError(f"{path} has definitions that nothing refers to: print it with `sinergi schemas show`")
    return {f"{found['name']}/{found['version']}": schema}


def examples(directory: Path) -> dict[str, tuple[Any, ...]]:
    """The bodies of a folder's valid examples by type, each in the order of its files."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(directory.glob("*/*/examples/valid-*.json")):
        type_ = f"{path.parts[-4]}/{path.parts[-3]}"
        found[type_] = (*found.get(type_, ()), _parse(path))
    return found


def pins(documents: Mapping[str, Any], catalogue: Catalogue) -> dict[str, dict[str, str]]:
    """What `digests.json` must say: a digest a file and, as agencies see them, a digest a type."""
    return {
        "files": {path: digest(document) for path, document in sorted(documents.items())},
        "types": {entry.type: entry.digest for entry in catalogue.types()},
    }


def digest(document: Any) -> str:
    """`sha256:` and the hexadecimal SHA-256 of the RFC 8785 form: independent of layout and order of members."""
    return "sha256:" + hashlib.sha256(jcs.dumps(document)).hexdigest()


def _parse(path: Path) -> Any:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        parsed = dict(pairs)
        if len(parsed) != len(pairs):
            raise SchemaInvalidError(f"{path.name}: a member appears twice")
        return parsed

    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=members)
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaInvalidError(f"{path} cannot be read as JSON") from error


@contextmanager
def _in(path: str) -> Iterator[None]:
    """Names the file in what is raised about its schema."""
    try:
        yield
    except SchemaInvalidError as error:
        raise SchemaInvalidError(f"{path}: {error.detail}") from error


def _message_type(
    path: str, by_id: Mapping[str, Any], code_lists: Mapping[str, CodeList], offices: frozenset[str]
) -> MessageType:
    name, version, _ = path.split("/")
    identifier = f"urn:sinergi:schema:{name}:{version}"
    if identifier not in by_id:
        raise SchemaInvalidError(f"{path}: its $id must be {identifier}")
    with _in(path):
        schema = self_contained(identifier, by_id)
        dated = code_lists.get(validity.list_of(schema) or "")
    if dated is not None:
        schema = {**schema, validity.CODE_DAYS: _limited(dated)}
    release_schema = {**released(schema), "$id": f"{identifier}:release"}
    return MessageType(
        name=name,
        version=int(version),
        title_en=schema["title"],
        title_id=schema["x-title-id"],
        description_en=schema["description"],
        description_id=schema["x-description-id"],
        schema=schema,
        release_schema=release_schema,
        digest=digest(schema),
        sensitive=sensitive_pointers(schema),
        may_be_absent=absent_pointers(release_schema),
        places=Places(places_of(schema), offices),
    )


def _code_list(path: str, document: Mapping[str, Any]) -> CodeList:
    entries = {}
    for entry in document["codes"]:
        more = {key: value for key, value in entry.items() if key not in {"code", "en", "id", "provenance"}}
        provenance = entry.get("provenance", document["provenance"])
        entries[entry["code"]] = CodeEntry(entry["code"], entry["en"], entry["id"], provenance, MappingProxyType(more))
    if len(entries) != len(document["codes"]):
        raise SchemaInvalidError(f"{path}: a code appears twice")
    name = path.removeprefix("codes/").removesuffix(".json")
    return CodeList(name, document["title"], document["x-title-id"], document["source"], MappingProxyType(entries))


def _limited(code_list: CodeList) -> dict[str, dict[str, str]]:
    """`valid_from` and `valid_to` of the codes that have one."""
    days = {
        code: {name: entry.more[name] for name in _LIMITS if name in entry.more}
        for code, entry in code_list.entries.items()
    }
    return {code: limits for code, limits in days.items() if limits}


def _days(code_list: CodeList) -> dict[str, validity.Days]:
    return {code: validity.limits(entry.more) for code, entry in code_list.entries.items()}
