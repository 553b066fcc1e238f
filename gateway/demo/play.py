"""One performance: founding, every scene in turn until one fails, the end of every process, and the summary."""

import os
import shlex
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from gateway.demo import province as provinces
from gateway.demo.folder import Folder
from gateway.demo.presentation import Result, Screen, shown_path
from gateway.demo.processes import ProcessError, Processes, StoppedError
from gateway.demo.scenes import SCENES, Scene
from gateway.demo.stage import DifferenceError, Stage
from gateway.errors import GatewayError


class Play:
    def __init__(self, folder: Folder, screen: Screen) -> None:
        self._folder, self._screen = folder, screen
        logs = folder.path / "logs"
        logs.mkdir(mode=0o700)
        # Never through a proxy, whatever the environment says: everything is on this machine.
        self._http = httpx.Client(timeout=30, trust_env=False)
        self._processes = Processes(folder, logs, self._http)
        self._results: list[Result] = []
        self._faults: list[str] = []
        self._seconds = 0.0

    @property
    def ok(self) -> bool:
        """Every scene went as told, and nothing else went wrong."""
        return len(self._results) == len(SCENES) and all(result.ok for result in self._results) and not self._faults

    def perform(self, *, keep: bool) -> None:
        """Everything but the end. A scene that fails is a result; what is raised here is an interruption."""
        self._screen.line(f"Everything is made in {shown_path(self._folder.path)}")
        begun = time.monotonic()
        try:
            with self._screen.working("founding: keys, database, agencies, agreement …"):
                province = provinces.found(self._folder.path, self._http)
            with self._screen.working("starting the gateway and two agencies …"):
                provinces.start(self._processes, province)
        except (GatewayError, ProcessError) as error:
            self._fault(f"the province could not be founded and started: {error}")
            return
        self._open(province, time.monotonic() - begun)
        stage = Stage(self._folder.path, province, self._processes, self._screen, self._http)
        stage.opening = {name: stage.checkpoint(ledger) for name, ledger in province.ledgers.items()}
        self._play(stage)
        self._seconds = time.monotonic() - begun
        if keep:
            self._keep(province)

    def _open(self, province: provinces.Province, seconds: float) -> None:
        pids = self._processes.pids()
        facts = {"gateway": f"{province.base}  (pid {pids['gateway']})"}
        for agency, desk in province.desks.items():
            facts[provinces.NAMES[agency]] = f"{desk.base}  (pid {pids[agency]})"
        facts["agreement"] = f"{provinces.AGREEMENT}, signed by both agencies"
        self._screen.opening(facts)
        if (until := province.renewed_until) is not None:
            self._screen.note(f"the draft's term is over: the demo plays the same words, renewed until {until}")
        self._screen.note(f"founded and started in {seconds:.1f} s; three processes, real HTTP, keys made for this run")

    def _play(self, stage: Stage) -> None:
        for number, scene in enumerate(SCENES, 1):
            result = self._scene(stage, number, scene)
            self._results.append(result)
            if result.difference is not None:
                self._show_fault(result.difference)
                break

    def _scene(self, stage: Stage, number: int, scene: Scene) -> Result:
        self._screen.scene(number, scene.title, scene.lead)
        stage.checks, begun = 0, time.monotonic()
        difference = None
        try:
            scene.play(stage)
        except DifferenceError as error:
            difference = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a scene dies of, the processes must be ended
            difference = f"{type(error).__name__}: {error}"
        return Result(scene.title, difference is None, stage.checks, time.monotonic() - begun, difference)

    def _fault(self, what: str) -> None:
        self._faults.append(what)
        self._show_fault(what)

    def _show_fault(self, what: str) -> None:
        self._screen.difference(what)
        self._screen.tails(self._processes.tails())

    def _keep(self, province: provinces.Province) -> None:
        """Until Ctrl-C or SIGTERM; or until a process ends by itself, which nobody asked it to."""
        program = _program()
        imigrasi = self._folder.path / provinces.IMIGRASI
        ledger = province.ledgers[provinces.AGREEMENT]
        screen = self._screen
        screen.line()
        screen.line("Everything keeps running; Ctrl-C here, or SIGTERM to this process, stops all of it.", "bold")
        urls = {"gateway": province.base} | {agency: desk.base for agency, desk in province.desks.items()}
        pids = {"this process": os.getpid()} | self._processes.pids()
        screen.facts({name: f"pid {pid}  {urls.get(name, '')}".rstrip() for name, pid in pids.items()})
        screen.line("In another terminal, try:", "bold")
        audit = f"--gateway {province.base} --token-file {shlex.quote(str(province.token_file))}"
        screen.command(f"{program} transfers search {audit}")
        screen.command(f"{program} ledger verify {ledger.url} --vkey '{ledger.vkey}'")
        screen.command(f"{program} doctor --config {shlex.quote(str(province.config))}")
        screen.command(f"curl {province.base}/.well-known/sinergi-gateway")
        screen.command(f"curl {ledger.url}checkpoint")
        desk = province.desks[provinces.IMIGRASI].base
        token = shlex.quote(str(imigrasi / "desk.token"))
        screen.command(f'curl -H "Authorization: Bearer $(cat {token})" {desk}/desk/received')
        screen.command(f"tail -f {shlex.quote(str(self._folder.path / 'logs' / 'gateway.log'))}")
        with suppress(KeyboardInterrupt, StoppedError):
            while (gone := self._processes.ended()) is None:
                time.sleep(0.5)
            self._fault(f"{gone} has ended by itself")

    def end(self) -> None:
        """Stops whatever runs; safe to call at any time."""
        with self._screen.working("stopping …"):
            codes = self._processes.stop_all()
        self._http.close()
        self._faults += [f"{name} ended with exit code {code}" for name, code in codes.items() if code]

    def close(self) -> None:
        """The summary, once nothing runs any more."""
        unplayed = [Result(scene.title, ok=None) for scene in SCENES[len(self._results) :]]
        self._screen.summary([*self._results, *unplayed])
        differences = [f"{result.title}: {result.difference}" for result in self._results if not result.ok]
        for fault in (*differences, *self._faults):
            self._screen.difference(fault)
        checks = sum(result.checks for result in self._results)
        verdict = f"{len(SCENES)} scenes, {checks} checks" if self.ok else "not as told"
        self._screen.verdict(self.ok, f"{verdict}, {self._seconds:.0f} s; every process has been stopped")
        self._screen.line(f"Everything it made is in {shown_path(self._folder.path)}")

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "ok": self.ok,
            "directory": str(self._folder.path),
            "scenes": [result.as_json() for result in self._results],
            "faults": self._faults,
        }


def _program() -> str:
    """How the reader can type `sinergi`."""
    if shutil.which("sinergi"):
        return "sinergi"
    return shlex.quote(str(Path(sys.executable).with_name("sinergi")))
