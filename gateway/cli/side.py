"""An agency's side of a gateway, from a shell: who acts, with which key, believing whom."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from gateway.cli.given import read_object
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.client import GatewayClient

T = TypeVar("T")

AgencyOption = Annotated[str, typer.Option("--as", metavar="AGENCY", help="The agency that acts.")]
KeyOption = Annotated[
    str, typer.Option(metavar="URI", help="Its private key, as in file:/secure/polda.pem or pkcs11:….")
]
PassphraseOption = Annotated[Path | None, typer.Option(metavar="FILE", help="The passphrase of a key file.")]
GatewayOption = Annotated[str, typer.Option(metavar="URL", help="The gateway's public URL.")]
LedgerKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--vkey", metavar="VKEY", help="Trust only this ledger key; may be repeated [default: the published]."
    ),
]
GatewayKeysOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Trust only this JWKS of the gateway [default: the published one].")
]
AuthorityOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="PEM authorities of the gateway's certificate.")
]
PatienceOption = Annotated[
    int, typer.Option(metavar="SECONDS", min=0, help="How long to keep asking a gateway that does not answer.")
]


@dataclass(frozen=True, slots=True)
class Side:
    """One agency at one gateway, with what it trusts."""

    agency: str
    key: str
    passphrase_file: Path | None
    gateway: str
    vkeys: list[str] | None
    gateway_keys: Path | None
    ca_file: Path | None
    patience: int

    def run(self, act: Callable[["GatewayClient"], Coroutine[Any, Any, T]]) -> T:
        """Opens the key and the connection, acts, closes."""
        if not self.gateway.startswith(("http://", "https://")):
            raise OperatorError("--gateway must be an http(s) URL")
        import asyncio

        from gateway.cli.remote import authorities
        from gateway.client import GatewayClient
        from gateway.keyring import load_signer, read_passphrase

        signer = load_signer(self.key, read_passphrase(self.passphrase_file), certified=True)
        published = None if self.gateway_keys is None else read_object(self.gateway_keys)

        async def connected() -> T:
            async with GatewayClient(
                self.gateway,
                self.agency,
                signer,
                gateway_keys=published,
                ledger_vkeys=self.vkeys or (),
                tls=authorities(self.ca_file) if self.gateway.startswith("https://") else None,
                patience=self.patience,
            ) as client:
                return await act(client)

        return asyncio.run(connected())
