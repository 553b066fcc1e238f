"""A province under load on two nodes: a witness, an agency that pulls and one that is pushed to, and all that they were told."""

import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.client import GatewayClient
from gateway.endpoint import AgencyEndpoint
from gateway.key_management.announcement import Rotation
from gateway.keys.directory import parse_endpoint
from gateway.operations.agencies import change_agency
from gateway.sdk.reception import KeySet, Received
from gateway.wiring import open_store
from tests.functional.servers import app_served
from tests.province import AGREEMENT, GATEWAY, IMIGRASI, AgencyUser, Province, free_port
from tests.witness.processes import WitnessProcess


@dataclass
class Stage:
    """The province under load. `answers` and `pushed` grow until `ended`."""

    province: Province
    witness: WitnessProcess
    vkeys: dict[str, str]
    answers: list[httpx.Response] = field(default_factory=list)
    other: list[httpx.Response] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    pulled: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    pushed: list[Received] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    rounds: Counter[str] = field(default_factory=Counter)
    done: threading.Event = field(default_factory=threading.Event)
    rotated: dict[str, Rotation] = field(default_factory=dict)
    # What takes its time is looked at when the others are done.
    later: list[Callable[[], None]] = field(default_factory=list)

    def more(self, count: int = 6) -> None:
        """Waits until so many more messages were answered, pulled and acknowledged, and one was pushed."""
        before = len(self.answers), len(self.acknowledged), len(self.pushed)
        self.wait(lambda: len(self.answers) >= before[0] + count)
        self.wait(lambda: len(self.acknowledged) >= before[1] + count)
        self.wait(lambda: len(self.pushed) > before[2])

    def wait(self, what: Callable[[], object], seconds: float = 90) -> None:
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.03)

    def settle(self) -> None:
        """Waits until everybody who sends has begun anew, twice: what was signed with an older key is answered."""
        before = Counter(self.rounds)
        self.wait(lambda: all(self.rounds[name] >= before[name] + 2 for name in before))

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.province.base}{path}", timeout=20).json()

    def published(self) -> KeySet:
        return KeySet.read(self.get("/.well-known/jwks.json"))

    def user(self, agency: AgencyUser) -> AgencyUser:
        """The same agency with its newest key. Tokens name the public URL, whichever node is called."""
        return AgencyUser(agency.id, agency.signer, self.province.base)


def load(stage: Stage) -> list[Callable[[], None]]:
    """What runs all the time: two senders at two nodes, an answering agency that pushes are for, a puller."""
    province = stage.province

    def send(node: int) -> None:
        with httpx.Client(timeout=30) as http:
            while not stage.done.wait(0.1):  # a load, and not as many messages as there can be: they are all looked at
                text = province.imigrasi.message()
                answer = http.post(
                    f"{province.bases[node]}/v1/messages", content=text, headers={"content-type": "application/sd-jwt"}
                )
                stage.messages.append(text)
                stage.answers.append(answer)
                stage.rounds[f"node {node}"] += 1

    def ask() -> None:
        """The messages that are pushed: the police's, to the immigration office."""
        with httpx.Client(timeout=30) as http:
            while not stage.done.wait(0.3):
                text = province.polda.message()
                stage.rounds["asking"] += 1
                stage.other.append(
                    http.post(
                        f"{province.base}/v1/messages", content=text, headers={"content-type": "application/sd-jwt"}
                    )
                )

    def told(http: httpx.Client, user: AgencyUser, method: str, path: str, **body: Any) -> Any:
        """The configuration may change so often meanwhile that the answer is 503: then the same again, as it says."""
        while True:
            answer = http.request(method, f"{province.base}{path}", headers=user.token(method, path), **body)
            if answer.status_code != 503:
                return answer.json()
            time.sleep(0.2)

    def pull() -> None:
        with httpx.Client(timeout=30) as http:
            while not stage.done.wait(0.1):
                user = stage.user(province.polda)
                page = told(http, user, "GET", "/v1/inbox")
                stage.rounds["pulling"] += 1
                items = {item["transfer"]: item for item in page["items"]}
                stage.pulled |= items
                if items:
                    signed = {"acknowledgements": [user.acknowledgement(item) for item in items.values()]}
                    stage.acknowledged += told(http, user, "POST", "/v1/acknowledgements", json=signed)["results"]

    return [lambda: send(0), lambda: send(1), ask, pull]


def staged(directory: Path, database: str) -> Iterator[Stage]:
    province = Province(directory / "gateway", database).found()
    port = free_port()
    url = f"http://127.0.0.1:{port}/push"
    with open_store(province.settings) as store:
        change_agency(store, IMIGRASI, endpoint=parse_endpoint(url, ["127.0.0.0/8"]), why="T-1", who="tester")
        keys, origin = store.keys.checkpoint, province.settings.gateway.ledger_origin
        vkeys = {name: keys.note_signer(origin(name)).vkey for name in ("gateway", AGREEMENT)}
    witness = WitnessProcess(directory / "w1", "witness.example/w1")
    witness.add_log(*vkeys.values())
    witness.start()
    with (province.directory / "sinergi.toml").open("a") as file:
        file.write(
            "\n[witness]\nquorum = 1\ninterval_seconds = 0.2\ntimeout = 2.0\nbudget_seconds = 20\n"
            f'[[witness.witnesses]]\nvkey = "{witness.vkey}"\nurl = "{witness.url}"\nnetworks = ["127.0.0.1/32"]\n'
        )
    made = Stage(province, witness, vkeys)
    try:
        province.start(nodes=2, ready=False)
        for base, process in zip(province.bases, province.processes, strict=True):
            province.wait_ready(base, process, 100)
        with pushed_to(made, url, port), ThreadPoolExecutor() as pool:
            running: list[Future[None]] = [pool.submit(work) for work in load(made)]
            try:
                yield made
            finally:
                made.done.set()
        for one in running:
            one.result()
    finally:
        province.kill()
        witness.kill()


@contextmanager
def pushed_to(stage: Stage, url: str, port: int) -> Iterator[None]:
    """The immigration office's endpoint, which learns the gateway's keys as the SDK does."""
    imigrasi = stage.province.imigrasi
    client = GatewayClient(stage.province.base, IMIGRASI, imigrasi.signer)

    async def find_key(agency: str, kid: str, at: int, purpose: Any = "sign") -> Any:
        if purpose == "request":
            stage.tokens.append(kid)
        return await client.find_key(agency, kid, at, purpose)

    async def handle(received: Received) -> None:
        stage.pushed.append(received)

    class Signs:
        """With whatever key the agency has now."""

        @property
        def kid(self) -> str:
            return imigrasi.signer.kid

        @property
        def alg(self) -> str:
            return imigrasi.signer.alg

        def sign(self, message: bytes) -> bytes:
            return imigrasi.signer.sign(message)

    app = AgencyEndpoint(
        IMIGRASI, Signs(), public_url=url, gateway_id=GATEWAY, gateway_keys=find_key, sender_keys=find_key,
        handler=handle, on_fault=stage.faults.append,
    )  # fmt: skip

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    with app_served(Starlette(routes=[Route("/push", app)], lifespan=life), port, "on"):
        yield
