"""What a gateway's answer to a message proves: the verdict, with a receipt and a place in the ledger that verify.

Decides what is evidence, for a message that was sent alone and for one of a batch. Keys come from whoever asks.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from gateway.errors import CODES, GatewayError, ReceiptError
from gateway.jose import PublicKey, b64decode, parse_jws
from gateway.ledger.proof import VerifiedProof
from gateway.message.envelope import sd_hash
from gateway.sdk.answers import (
    AnswerError,
    ClientError,
    Composed,
    HttpAnswer,
    ProblemError,
    RefusedError,
    Sent,
    UnreachableError,
)
from gateway.statements.receipt import RECEIPT_TYP, read_gateway_receipt

_UNKNOWN: Final = 500  # from here on nobody knows whether a message was recorded


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One agency's, of one gateway. `find_key` gives a trusted key, `prove` verifies a proof, leaf hash and origin; or raises."""

    agency_id: str
    gateway_id: str
    find_key: Callable[[str, str, int], Awaitable[PublicKey]]
    prove: Callable[[str, bytes, str], Awaitable[VerifiedProof]]

    async def one(self, message: Composed, result: Any) -> Sent | ClientError:
        """A result of a batch: what `yes` returns, or what was raised for a message that was sent alone."""
        status = result.get("status") if isinstance(result, dict) else None
        try:
            if status in (httpx.codes.OK, httpx.codes.ACCEPTED):
                return await self.yes(message, status, result)
            if not isinstance(status, int):
                raise AnswerError("a result without a status")
            if status >= _UNKNOWN:
                raise UnreachableError(f"the gateway answered with status {status}")
            return await self.no(message, ProblemError(status, result))
        except ClientError as error:
            return error

    async def yes(self, message: Composed, status: int, members: Mapping[str, Any]) -> Sent:
        """An acceptance. Raises AnswerError where the answer is no evidence of it."""
        sent = await self._evidence(message, members, "accepted")
        return replace(sent, retried=status == httpx.codes.OK)

    async def no(self, message: Composed, problem: ProblemError) -> ClientError:
        """What a problem means: a refusal that was recorded, with its verified receipt, or one that nobody recorded."""
        if "receipt" in problem.members:
            return RefusedError(await self._evidence(message, problem.members, "refused"), problem)
        # A decision of the agreement is recorded, and then there is a receipt for it.
        if problem.code in CODES and CODES[problem.code].recorded:
            return AnswerError("the refusal carries no receipt", code=problem.code)
        return problem

    async def _evidence(self, message: Composed, members: Mapping[str, Any], event: str) -> Sent:
        """The answer, in numbered steps.

        1. the gateway signed the receipt, with a key it had then
        2. the receipt is for this agency, about this decision and these bytes
        3. the ledger is the one of the message's agreement (a refusal may stand in the gateway's own)
        4. the proof is about the receipt's entry, and the ledger's key signed its checkpoint
        """
        ledger, text = members.get("ledger"), members.get("receipt")
        proof_text = ledger.get("proof") if isinstance(ledger, dict) else None
        if not isinstance(text, str) or not isinstance(ledger, dict) or not isinstance(proof_text, str):
            raise AnswerError("the answer has no receipt or no proof")
        try:
            jws = parse_jws(text, RECEIPT_TYP, 4)
            receipt = read_gateway_receipt(text, await self.find_key(self.gateway_id, jws.kid, jws.payload["iat"]))  # 1
            said = (receipt.iss, receipt.aud, receipt.event, receipt.transfer, receipt.sd_hash)
            expected = (self.gateway_id, self.agency_id, event, members.get("transfer"), sd_hash(message.text))
            if said != expected or members.get("decision") != event:  # 2
                raise ReceiptError("the receipt is about another message or decision", code="receipt.mismatch")
            if event == "refused" and not receipt.reasons:
                raise ReceiptError("the refusal has no reason", code="receipt.mismatch")
            ledgers = (message.claims.agreement, *(() if event == "accepted" else ("gateway",)))
            if not receipt.origin.endswith(tuple(f"/ledger/{ledger}" for ledger in ledgers)):  # 3
                raise ReceiptError("the receipt names another ledger", code="receipt.mismatch")
            if (ledger.get("origin"), ledger.get("index")) != (receipt.origin, receipt.index):
                raise ReceiptError("the receipt and the proof name different entries", code="receipt.mismatch")
            proof = await self.prove(proof_text, b64decode(receipt.leaf_hash, "leaf_hash"), receipt.origin)  # 4
            if proof.index != receipt.index:
                raise ReceiptError("the proof is for another entry", code="receipt.mismatch")
        except ClientError:
            raise
        except (GatewayError, TypeError, AttributeError, KeyError) as error:
            raise AnswerError(f"the answer does not verify: {error}", code=getattr(error, "code", None)) from error
        return Sent(message, receipt, text, proof, proof_text)


def lacks_some(answer: HttpAnswer) -> bool:
    """Whether of some messages of a batch it is not known that they were recorded: the same batch is worth another try."""
    results = answer.json().get("results")
    statuses = (
        [result.get("status") for result in results if isinstance(result, dict)] if isinstance(results, list) else []
    )
    return any(isinstance(status, int) and status >= _UNKNOWN for status in statuses)
