"""A client written from docs/reference/protocol.md alone: joserfc, httpx and the standard library, nothing of ours.

It is here to keep that page honest. Function by function it follows the page's sections.
"""

import base64
import hashlib
import json
import secrets
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey

Key = OKPKey | ECKey
ALGORITHMS = ["EdDSA", "ES256"]


class ProtocolError(Exception):
    """What the gateway said cannot be true, or is a problem document (then `problem` holds it)."""

    def __init__(self, detail: str, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.problem = problem


# -- Encodings and signatures


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sha256(text: str) -> str:
    return b64(hashlib.sha256(text.encode("ascii")).digest())


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def sign(claims: Mapping[str, Any], typ: str, key: Key) -> str:
    """A compact JWS with exactly the three header members."""
    header = {"alg": "EdDSA" if isinstance(key, OKPKey) else "ES256", "kid": key.thumbprint(), "typ": typ}
    with warnings.catch_warnings():
        # RFC 9864 gives Ed25519 a name of its own; version 1 of this protocol writes EdDSA and means Ed25519.
        warnings.simplefilter("ignore", SecurityWarning)
        return jws.serialize_compact(header, compact(claims), key, algorithms=ALGORITHMS)


def opened(text: str, typ: str, keys: Mapping[str, Key]) -> dict[str, Any]:
    """The claims of a JWS of this type, signed by one of these keys."""
    try:
        header = json.loads(unb64(text.split(".", maxsplit=1)[0]))
        if header.keys() != {"alg", "kid", "typ"} or header["typ"] != typ or header["kid"] not in keys:
            raise ProtocolError(f"not a {typ} by a known key")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            found = jws.deserialize_compact(text, keys[header["kid"]], algorithms=ALGORITHMS)
    except (JoseError, ValueError) as error:
        raise ProtocolError(f"not a valid {typ}") from error
    claims: dict[str, Any] = json.loads(found.payload)
    return claims


def key_set(jwks: Mapping[str, Any]) -> dict[str, Key]:
    """The keys that may have signed a message, receipt or release: not revoked, and not the checkpoints'."""
    found: dict[str, Key] = {}
    for jwk in jwks["keys"]:
        if jwk.get("status", "active") == "revoked" or jwk.get("purpose", "sign") != "sign":
            continue
        members = {name: jwk[name] for name in ("kty", "crv", "x", "y") if name in jwk}
        key: Key = OKPKey.import_key(members) if jwk["kty"] == "OKP" else ECKey.import_key(members)
        found[key.thumbprint()] = key
    return found


# -- What the gateway publishes


@dataclass(frozen=True)
class Published:
    gateway: str
    public_url: str
    keys: dict[str, Key]
    vkeys: dict[str, str]


def discover(http: httpx.Client) -> Published:
    about = answer(http.get("/.well-known/sinergi-gateway"))
    keys = key_set(answer(http.get("/.well-known/jwks.json")))
    vkeys = {ledger["origin"]: ledger["vkey"] for ledger in about["ledgers"]}
    return Published(about["gateway"], about["public_url"], keys, vkeys)


def answer(response: httpx.Response) -> dict[str, Any]:
    content: dict[str, Any] = response.json()
    if response.status_code not in (200, 202):
        raise ProtocolError(content.get("code", str(response.status_code)), content)
    return content


def authorization(
    key: Key, agency: str, published: Published, method: str, path: str, body: bytes | None = None
) -> dict[str, str]:
    """A request token: one signed JWT for one request."""
    now = int(time.time())
    claims = {
        "iss": agency,
        "aud": published.gateway,
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_urlsafe(16),
        "htm": method,
        "htu": published.public_url + path,
    }
    if body is not None:
        claims["body_hash"] = b64(hashlib.sha256(body).digest())
    return {"Authorization": "Bearer " + sign(claims, "request+jwt", key)}


# -- Sending


def compose_message(
    key: Key, claims: Mapping[str, Any], body: Mapping[str, Any], disclosable: Iterable[str] = (), lifetime: int = 3600
) -> str:
    """A message. `claims` are those that the sender chooses; `disclosable` names members of the body."""
    now = int(time.time())
    clear, digests, disclosures = dict(body), [], []
    for name in disclosable:
        if name not in clear:
            continue
        disclosure = b64(compact([secrets.token_urlsafe(16), name, clear.pop(name)]))
        disclosures.append(disclosure)
        digests.append(sha256(disclosure))
    payload: dict[str, Any] = {"iat": now, "exp": now + lifetime, "jti": secrets.token_urlsafe(16)} | dict(claims)
    if disclosures:
        payload["_sd_alg"] = "sha-256"
        clear["_sd"] = sorted(digests)
    payload["body"] = clear
    return "~".join([sign(payload, "exchange+sd-jwt", key), *disclosures, ""])


def send(http: httpx.Client, message: str, tries: int = 5) -> dict[str, Any]:
    """Posts a message and verifies the answer: the receipt's claims. A refusal is a ProtocolError with its problem."""
    published = discover(http)
    for number in range(tries):
        response = http.post("/v1/messages", content=message, headers={"Content-Type": "application/sd-jwt"})
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or number == tries - 1:
            break
        time.sleep(min(float(response.headers.get("Retry-After", 1)), 60.0))
    content: dict[str, Any] = response.json()
    if "receipt" not in content:
        raise ProtocolError(content.get("code", str(response.status_code)), content)
    receipt = opened(content["receipt"], "receipt+jwt", published.keys)
    sender = json.loads(unb64(message.split(".")[1]))["iss"]
    event = "accepted" if response.status_code in (200, 202) else "refused"
    expected = (published.gateway, sender, event, content["transfer"], sha256(message))
    if tuple(receipt[name] for name in ("iss", "aud", "event", "transfer", "sd_hash")) != expected:
        raise ProtocolError("the receipt is not about this message")
    check_proof(content["ledger"]["proof"], receipt, published.vkeys)
    if event == "refused":
        raise ProtocolError(content["code"], content)
    return receipt


def check_proof(proof: str, receipt: Mapping[str, Any], vkeys: Mapping[str, str]) -> None:
    """C2SP tlog-proof: that the receipt's leaf is in the tree that its ledger signed."""
    head, _, note = proof.partition("\n\n")
    version, *lines = [line for line in head.split("\n") if not line.startswith("extra ")]
    text, _, signatures = note.rpartition("\n\n")
    origin, size, root = text.split("\n")[:3]
    index = int(lines[0].removeprefix("index "))
    if (version, origin, index) != ("c2sp.org/tlog-proof@v1", receipt["origin"], receipt["index"]):
        raise ProtocolError("the proof is for another entry")
    vkey = vkeys[origin]
    public = base64.b64decode(vkey.split("+", 2)[2])
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": b64(public[1:])})
    line = next(line for line in signatures.split("\n") if line.startswith(f"— {origin} "))
    signature = base64.b64decode(line.split(" ")[2])[4:]
    if not jws.JWSRegistry.algorithms["Ed25519"].verify(f"{text}\n".encode(), signature, key):
        raise ProtocolError("the ledger's key did not sign the checkpoint")
    # RFC 9162 §2.1.3.2
    place, last, result = index, int(size) - 1, unb64(receipt["leaf_hash"])
    for sibling in map(base64.b64decode, lines[1:]):
        if place & 1 or place == last:
            result = hashlib.sha256(b"\x01" + sibling + result).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            result = hashlib.sha256(b"\x01" + result + sibling).digest()
        place, last = place >> 1, last >> 1
    if last or result != base64.b64decode(root):
        raise ProtocolError("the entry is not in the tree")


# -- Receiving


def receive(http: httpx.Client, key: Key, agency: str, limit: int = 100, wait: int = 0) -> list[dict[str, Any]]:
    """Takes waiting messages: `{transfer, message, claims, body, release}` each, all of it verified."""
    published = discover(http)
    headers = authorization(key, agency, published, "GET", "/v1/inbox")
    page = answer(http.get("/v1/inbox", params={"limit": limit, "wait": wait}, headers=headers, timeout=wait + 30))
    senders: dict[str, dict[str, Key]] = {}
    items = []
    for item in page["items"]:
        release = opened(item["release"], "release+jwt", published.keys)
        expected = (published.gateway, agency, item["transfer"], sha256(item["message"]))
        if tuple(release[name] for name in ("iss", "aud", "transfer", "sd_hash")) != expected:
            raise ProtocolError("the release is not about this message")
        jwt = item["message"].split("~")[0]
        sender = json.loads(unb64(jwt.split(".")[1]))["iss"]
        if sender not in senders:
            senders[sender] = key_set(answer(http.get(f"/v1/agencies/{sender}/jwks.json")))
        claims = open_message(item["message"], senders[sender])
        if claims["aud"] != agency or claims["exp"] <= time.time() - 60:
            raise ProtocolError("the message is not for this agency, now")
        body = claims.pop("body")
        items.append({**item, "release": release, "claims": claims, "body": body})
    return items


def open_message(message: str, keys: Mapping[str, Key]) -> dict[str, Any]:
    """The claims with every disclosed field in its place, and no digest left."""
    jwt, *rest = message.split("~")
    if not rest or rest.pop():
        raise ProtocolError("a message ends in ~")
    claims = opened(jwt, "exchange+sd-jwt", keys)
    disclosures = {sha256(text): json.loads(unb64(text)) for text in rest}
    claims["body"] = _placed(claims["body"], disclosures)
    claims.pop("_sd_alg", None)
    if disclosures:
        raise ProtocolError("a disclosure belongs to no digest")
    return claims


def _placed(value: Any, disclosures: dict[str, Any]) -> Any:
    """Takes each disclosure where its digest stands; digests that nothing opens vanish (RFC 9901 §7.1)."""
    if isinstance(value, dict):
        result = {name: _placed(item, disclosures) for name, item in value.items() if name != "_sd"}
        for digest in value.get("_sd", []):
            if digest in disclosures:
                _, name, content = disclosures.pop(digest)
                if name in result or name in ("_sd", "..."):
                    raise ProtocolError("a disclosed claim is already there")
                result[name] = _placed(content, disclosures)
        return result
    if isinstance(value, list):
        found = []
        for item in value:
            if isinstance(item, dict) and "..." in item:
                if item["..."] in disclosures:
                    found.append(_placed(disclosures.pop(item["..."])[1], disclosures))
            else:
                found.append(_placed(item, disclosures))
        return found
    return value


def acknowledge(
    http: httpx.Client, key: Key, agency: str, items: Iterable[Mapping[str, Any]], event: str = "delivered"
) -> list[dict[str, Any]]:
    """Signs a receipt for each received item and hands them in: `{transfer, status, index}` each."""
    published = discover(http)
    receipts = [
        sign(
            {
                "iss": agency,
                "aud": published.gateway,
                "iat": int(time.time()),
                "jti": secrets.token_urlsafe(16),
                "transfer": item["transfer"],
                "event": event,
                "sd_hash": sha256(item["message"]),
            },
            "receipt+jwt",
            key,
        )
        for item in items
    ]
    body = json.dumps({"acknowledgements": receipts}).encode()
    path = "/v1/acknowledgements"
    headers = authorization(key, agency, published, "POST", path, body) | {"Content-Type": "application/json"}
    results: list[dict[str, Any]] = answer(http.post(path, content=body, headers=headers))["results"]
    return results
