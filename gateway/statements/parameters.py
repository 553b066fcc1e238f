"""Parameters of proposals: what each act that two operators sign has to say, and in which form.

Decides whether a proposal, which anybody may have made by hand, says exactly what its kind of act needs: no parameter is missing,
none is more, each is in its form. Leaves what the act then means to `countersigning.py`, and whether it is possible to the act.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from gateway.errors import MalformedError
from gateway.statements.proposal import Proposal
from gateway.statements.statement import CODE, SHA256, THUMBPRINT

ADMIT_KEY: Final = "keys.admit"
COMPROMISED: Final = "keys.compromised"
ROTATE: Final = "keys.rotate"
ADD_OPERATOR: Final = "operators.add"
ADD_OFFICER: Final = "officers.add"
SET_AGENCY: Final = "agencies.set"

Form = Callable[[str], bool]
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_SECONDS: Final = re.compile(r"0|[1-9][0-9]{0,8}")


def _like(pattern: str | re.Pattern[str]) -> Form:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _is_moment(text: str) -> bool:
    try:
        return _MOMENT.fullmatch(text) is not None and datetime.fromisoformat(text).astimezone(UTC).year > 1
    except (ValueError, OverflowError):
        return False


_YES_OR_NO: Final = _like("yes|no")
_KID: Final = _like(THUMBPRINT)
_URL: Final = _like("[!-~]{1,512}")
_WHERE: Final[Mapping[str, Form]] = MappingProxyType(
    {
        f"{which}{name}": form
        for which in ("endpoint", "liaison")
        for name, form in {"": _URL, "_networks": _URL, "_ca_file": _URL, "_ca_sha256": _like(SHA256)}.items()
    }
)


@dataclass(frozen=True, slots=True)
class Terms:
    """The parameters that a kind of act has, and those that it may have."""

    required: Mapping[str, Form] = field(default_factory=dict)
    optional: Mapping[str, Form] = field(default_factory=dict)


TERMS: Final[Mapping[str, Terms]] = MappingProxyType(
    {
        ADMIT_KEY: Terms(
            {
                "statement": _like(SHA256),
                "kid": _KID,
                "use": _like("sign|recovery"),
                "not_before": _is_moment,
                "not_after": _is_moment,
                "endorsed_by": lambda text: text == "nobody" or _KID(text),
                "recovered": _YES_OR_NO,
                "overlap_seconds": _like(_SECONDS),
            }
        ),
        COMPROMISED: Terms({"kid": _like("[A-Za-z0-9_-]{1,64}"), "since": _is_moment}),
        ROTATE: Terms(
            {
                "role": _like("sign|request|checkpoint|checkpoint_mldsa|storage|index"),
                "replaces": _like("[A-Za-z0-9_-]{1,64}"),
            },
            {
                "lead_seconds": _like(_SECONDS),
                "overlap_seconds": _like(_SECONDS),
                "uri": _URL,
                "kid": _like("[A-Za-z0-9_-]{1,64}"),
                "instead_of": _like("[A-Za-z0-9_-]{1,64}"),
                "lost": _like("yes"),
            },
        ),
        ADD_OPERATOR: Terms({"kid": _KID}),
        ADD_OFFICER: Terms(
            {"statement": _like(SHA256), "kid": _KID, "role": _like(CODE)},
            {"not_before": _is_moment, "not_after": _is_moment},
        ),
        SET_AGENCY: Terms({}, {**_WHERE, "status": _like("active")}),
    }
)


def require_parameters(proposal: Proposal) -> None:
    """Raises MalformedError with every fault, quoting no value."""
    terms = TERMS.get(proposal.what)
    if terms is None:
        raise MalformedError(
            f"{proposal.what} is not an act that can be proposed: {', '.join(sorted(TERMS))}", code="request.malformed"
        )
    given, forms = proposal.parameters, {**terms.optional, **terms.required}
    faults = [f"{name} is missing" for name in sorted(terms.required.keys() - given.keys())]
    faults += [f"{name} is unknown" for name in sorted(given.keys() - forms.keys())]
    faults += [
        f"{name} has the wrong form" for name in sorted(forms.keys() & given.keys()) if not forms[name](given[name])
    ]
    if not given:
        faults.append("it says nothing")
    if faults:
        raise MalformedError(f"a proposal of {proposal.what}: {'; '.join(faults)}", code="request.malformed")


def moment(text: str) -> datetime:
    """Of a parameter that was required to be one."""
    return datetime.fromisoformat(text)


def duration(text: str) -> timedelta:
    """Of a parameter in whole seconds."""
    return timedelta(seconds=int(text))
