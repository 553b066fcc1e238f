"""An officer's desk at an agency: what is asked of the agency's backend, which alone has the agency's key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx

from gateway.errors import Reason

# The backend's SDK repeats a message for up to a minute while the gateway is away.
PATIENCE: Final = 90.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message. `decision` is None where the gateway could not know who sent it, and recorded nothing."""

    status: int
    decision: str | None
    message: str
    code: str | None = None
    transfer: str | None = None
    receipt: str | None = None
    proof: str | None = None
    retried: bool = False
    reasons: tuple[Reason, ...] = ()

    @classmethod
    def read(cls, members: Mapping[str, Any]) -> Self:
        reasons = tuple(Reason(**reason) for reason in members.get("reasons", ()))
        return cls(**(dict(members) | {"reasons": reasons}))

    def as_json(self) -> dict[str, Any]:
        members = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "reasons"}
        return members | {"reasons": [reason.as_json() for reason in self.reasons]}


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as the backend got it, after the SDK believed it. One for each time that the handler ran."""

    transfer: str
    sender: str
    type: str
    in_reply_to: str | None
    body: Mapping[str, Any]
    withheld: tuple[str, ...]
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Desk:
    base: str
    token: str = field(repr=False)
    http: httpx.Client = field(repr=False)

    def send(self, **message: Any) -> Outcome:
        """Has the backend sign and send: `to`, `type`, `body`, `purpose` and the other arguments of the SDK's `compose`."""
        return Outcome.read(self._ask("POST", "/desk/send", message))

    def draft(self, **message: Any) -> str:
        """The same message unsigned, as a file for officers to approve."""
        text: str = self._ask("POST", "/desk/drafts", message)["draft"]
        return text

    def send_draft(self, draft: str, approvals: Sequence[str]) -> Outcome:
        return Outcome.read(self._ask("POST", "/desk/drafts/send", {"draft": draft, "approvals": list(approvals)}))

    def received(self) -> list[Arrived]:
        items = self._ask("GET", "/desk/received")["items"]
        return [Arrived(**(item | {"withheld": tuple(item["withheld"])})) for item in items]

    def follow(self, transfer: str) -> dict[str, Any]:
        """What the gateway tells this agency about a transfer of its own."""
        return self._ask("GET", f"/desk/transfers/{transfer}")

    def _ask(self, method: str, path: str, content: Any = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        response = self.http.request(method, f"{self.base}{path}", json=content, headers=headers, timeout=PATIENCE)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer
