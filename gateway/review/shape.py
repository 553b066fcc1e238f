"""The shape of the messages that a rule is about: one JSON Schema of their claims and body, and the fields in it.

Decides what can stand at a place of such a message at all, so that conditions can be held against it. Leaves what
follows to `findings` and `difference`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.agreement.conditions import Pointer
from gateway.agreement.terms import Rule
from gateway.agreement.vocabulary import Situation
from gateway.message_types.catalogue import MessageType
from gateway.message_types.specimens import flat

_TEXT: Final = {"type": "string"}
_BRANCHES: Final = ("anyOf", "oneOf", "allOf", "then", "else")


def message_shape(rule: Rule, message_type: MessageType, route: tuple[str, str] | None = None) -> dict[str, Any]:
    """The claims and the body of a message that could be sent under the rule; with `route`, by this sender to this recipient."""
    senders, recipients = (rule.senders, rule.recipients) if route is None else ([route[0]], [route[1]])
    case: dict[str, Any] = {
        "type": "object",
        "properties": {"type": {"enum": [*rule.requires.case]} if rule.requires else _TEXT, "number": _TEXT},
        "required": ["type", "number"],
    }
    claims: dict[str, Any] = {
        "iss": {"enum": [*senders]},
        "aud": {"enum": [*recipients]},
        "iat": {"type": "integer"},
        "exp": {"type": "integer"},
        "jti": _TEXT,
        "type": {"const": rule.type},
        "agreement": _TEXT,
        "purpose": {"enum": [*rule.purposes]},
        "classification": {"enum": ["B", "T", "R", "SR"]},
        "case": case,
        "officer": {"type": "object", "properties": {"id": _TEXT, "role": _TEXT}, "required": ["id", "role"]},
        "legal_basis": {"type": "array", "items": _TEXT, "minItems": 1},
        "in_reply_to": _TEXT,
        "correlation_id": _TEXT,
        "handling": {"enum": ["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"]},
    }
    required = ["iss", "aud", "iat", "exp", "jti", "type", "agreement", "purpose", "classification", "body"]
    body = {key: value for key, value in message_type.schema.items() if key not in {"$id", "$schema", "$defs"}}
    return {
        "type": "object",
        "properties": {**claims, "body": body},
        "required": [*required, *(["case"] if rule.requires else [])],
        "additionalProperties": False,
        "$defs": message_type.schema.get("$defs", {}),
    }


def at(pointer: Pointer, must: Mapping[str, Any], *, optional: bool = False) -> dict[str, Any]:
    """The schema of a message whose value at `pointer` meets `must`; with `optional`, or has no such value.

    `*` stands for some element of an array.
    """
    schema: dict[str, Any] = dict(must)
    for step in reversed(pointer.steps):
        if step == "*":
            schema = {"type": "array", "contains": schema}
            continue
        schema = {"properties": {step: schema}}
        if not optional:
            schema |= {"type": "object", "required": [step]}
    return schema


def holds(situation: Situation) -> dict[str, Any]:
    """The schema of a message in which the situation is given; every message, where it asks nothing."""
    given = [at(pointer, fragment.schema) for pointer, fragment in situation.items()]
    return {"allOf": given} if given else {}


def only_when(situation: Situation | None, schema: dict[str, Any]) -> dict[str, Any]:
    """`schema`, or a message in which the situation is not given."""
    return schema if situation is None else {"anyOf": [{"not": holds(situation)}, schema]}


def nodes(schema: Mapping[str, Any], steps: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every subschema that says something of the place: several where branches of `anyOf` or `if` do. None: no such place."""

    def find(node: Any, rest: Sequence[str]) -> Iterator[dict[str, Any]]:
        here = flat(node, schema)
        if not rest:
            yield here
            return
        if rest[0] == "*" and "items" in here:
            yield from find(here["items"], rest[1:])
        elif isinstance(here.get("properties", {}).get(rest[0]), dict):
            yield from find(here["properties"][rest[0]], rest[1:])
        for keyword in _BRANCHES:
            branches = here.get(keyword, ())
            for branch in branches if isinstance(branches, list | tuple) else (branches,):
                yield from find(branch, rest)

    yield from find(schema, steps)


def is_place(message_type: MessageType, rule: Rule, pointer: Pointer) -> bool:
    """Whether a message of the type can have a value there."""
    return any(True for _ in nodes(message_shape(rule, message_type), pointer.steps))


def covering(field: str, pattern: str) -> bool:
    """Whether what is withheld at `field` takes what is at `pattern` with it."""
    return pattern == field or pattern.startswith(f"{field}/")
