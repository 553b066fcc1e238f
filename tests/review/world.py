"""A small catalogue and small agreements, in which one thing at a time is wrong or different."""

from typing import Any

from gateway.message_types.catalogue import Catalogue
from tests.agreement.making import IMIGRASI, POLDA, rule

WORDS = {"title": "T", "x-title-id": "J", "description": "D", "x-description-id": "K"}
PURPOSES = ("PREVENTION", "INVESTIGATION", "EARLY_WARNING")
CASES = ("LP", "LI", "SPDP")


def text(**more: Any) -> dict[str, Any]:
    return {**WORDS, "type": "string", "maxLength": 200, **more}


def schema(name: str, properties: dict[str, Any], required: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """A message type's schema file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:sinergi:schema:{name}:1",
        **WORDS,
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


NOTICE = schema(
    "notice",
    {
        "severity": {**WORDS, "type": "integer", "minimum": 1, "maximum": 4},
        "region": text(maxLength=13, enum=["36.01.01", "36.02.01", "36.71.01"]),
        "from": text(maxLength=10, format="date"),
        "to": text(maxLength=10, format="date"),
        "reference": text(maxLength=20),
        "link": text(maxLength=36),
        "is_minor": {**WORDS, "type": "boolean"},
        "narrative": text(**{"x-sensitive": True}),
        "person": {
            **WORDS,
            "type": "object",
            "properties": {"name": text(), "nik": text(maxLength=16, format="nik", **{"x-sensitive": True})},
            "required": ["name"],
            "additionalProperties": False,
            "x-sensitive": True,
        },
        "child": text(**{"x-sensitive": True, "x-protects": ["child"]}),
        "victim": text(**{"x-sensitive": True, "x-protects": ["victim"]}),
        "open": text(),
        "codes": {**WORDS, "type": "array", "items": text(enum=["A", "B", "C"]), "maxItems": 3},
    },
    ("severity",),
)
QUERY = schema("query", {"reference": text(maxLength=20), "subject": text(**{"x-sensitive": True})}, ("reference",))
ACKNOWLEDGEMENT = schema("secrecy", {"reference": text(maxLength=20)}, ("reference",))
SENSITIVE = ("/body/narrative", "/body/person", "/body/child", "/body/victim")


def codes(name: str, entries: tuple[str, ...]) -> dict[str, Any]:
    return {
        "$id": f"urn:sinergi:codes:{name}",
        "title": name,
        "x-title-id": name,
        "source": "a test",
        "provenance": "public",
        "codes": [{"code": code, "en": code.title(), "id": code.lower()} for code in entries],
    }


def catalogue(**changed: Any) -> Catalogue:
    """The types notice/1, query/1 and secrecy/1, or others in their place."""
    types = {"notice": NOTICE, "query": QUERY, "secrecy": ACKNOWLEDGEMENT, **changed}
    documents = {f"{name}/1/schema.json": document for name, document in types.items() if document is not None}
    return Catalogue(
        {
            **documents,
            "codes/purpose.json": codes("purpose", PURPOSES),
            "codes/case-type.json": codes("case-type", CASES),
            "codes/officer-role.json": codes("officer-role", ("SUPERVISOR", "PPA_OFFICER")),
            "codes/region.json": codes("region", ("36.01", "36.02")),
            "codes/checkpoint.json": codes("checkpoint", ("MERAK",)),
        }
    )


def withheld(*fields: str, **more: Any) -> list[dict[str, Any]]:
    source = {"provenance": "public", "citation": "a test"}
    return [{"field": field, **source, **more} for field in fields]


def notice(**changes: Any) -> dict[str, Any]:
    """A rule about notice/1 with which nothing is wrong: what is sensitive is never shown."""
    return rule(**{"withhold": withheld(*SENSITIVE), **changes})


def query(**changes: Any) -> dict[str, Any]:
    return rule(
        **{
            "id": "query",
            "type": "query/1",
            "senders": [POLDA],
            "recipients": [IMIGRASI],
            "withhold": withheld("/body/subject"),
            **changes,
        }
    )


def secrecy(**changes: Any) -> dict[str, Any]:
    return rule(**{"id": "secrecy", "type": "secrecy/1", "senders": [POLDA], "recipients": [IMIGRASI], **changes})
