"""`sinergi schemas`: a folder is sound, a new version is told apart, and only what stays compatible is published."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import resources
from gateway.cli import output
from gateway.errors import OperatorError
from gateway.message_types import catalogue
from gateway.settings import load_settings
from gateway.wiring import open_gateway
from tests.cli.office import entries
from tests.cli.schema_folder import TYPE, Change, change, optional_member, pin, required_member, undecidable
from tests.cli.shell import Shell


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the program's schemas."""
    return Path(shutil.copytree(resources.schemas_dir(), tmp_path / "schemas"))


def test_the_programs_own_folder_is_sound(shell: Shell) -> None:
    """Nothing is found in what ships, with or without its name."""
    assert shell.ok("schemas", "check", "--json").json["faults"] == []
    assert shell.ok("schemas", "check", resources.schemas_dir()).out == ""


def test_a_file_that_is_not_pinned_is_refused(shell: Shell, folder: Path) -> None:
    """A changed byte is no schema that anyone was told about."""
    path = folder / "codes" / "purpose.json"
    path.write_text(path.read_text().replace("PREVENTION", "PREVENTING"))
    result = shell("schemas", "check", folder)
    assert result.code == output.MISUSE
    assert "codes/purpose.json" in result.err


def test_every_fault_of_a_folder_is_told(shell: Shell, folder: Path) -> None:
    """A word in one language only, examples that do not behave as they say, and too few of them."""

    def one_language(schema: dict[str, Any]) -> None:
        optional_member(schema)
        del schema["properties"]["note"]["x-title-id"]

    change(folder, one_language)
    examples = folder / TYPE / "1" / "examples"
    good, bad = min(examples.glob("valid-*.json")), sorted(examples.glob("invalid-*.json"))[:2]
    body = json.loads(bad[0].read_text())["body"]
    good.write_text(json.dumps(body))
    wrong = json.loads(bad[1].read_text())
    wrong["errors"] = [{"code": "schema.violated", "pointer": "/body/nowhere"}]
    bad[1].write_text(json.dumps(wrong))
    for path in (folder / "overstay.notice" / "1" / "examples").glob("invalid-*.json"):
        path.unlink()
    result = shell("schemas", "check", folder, "--json")
    assert result.code == output.NO
    told = {(fault["file"], fault["detail"].split(":")[0]) for fault in result.json["faults"]}
    place = f"{TYPE}/1/examples"
    assert (f"{TYPE}/1/schema.json", "/properties/note has no x-title-id") in told
    assert (f"{place}/{good.name}", "should be valid, and is not") in told
    assert (f"{place}/{bad[1].name}", "says that /body/nowhere is refused with schema.violated; it is not") in told
    assert any(file == f"{place}/{bad[1].name}" and detail.startswith("does not say") for file, detail in told)
    assert any(file == "overstay.notice/1/examples" and "0 invalid" in detail for file, detail in told)
    assert len(shell("schemas", "check", folder).out.splitlines()) == len(result.json["faults"])


def test_diff_calls_an_optional_member_compatible(shell: Shell, folder: Path) -> None:
    """What was taken is still taken: the answer is yes."""
    change(folder, optional_member)
    result = shell.ok("schemas", "diff", resources.schemas_dir(), folder, "--json")
    assert result.json == {"compatible": True, "types": [{"type": f"{TYPE}/1", "change": "compatible"}]}
    assert "compatible" in shell.ok("schemas", "diff", resources.schemas_dir(), folder).out


def test_diff_shows_a_body_that_is_newly_refused(shell: Shell, folder: Path) -> None:
    """The witness was good and is no longer: the answer is no, with the body."""
    change(folder, required_member)
    result = shell("schemas", "diff", resources.schemas_dir(), folder, "--json")
    assert result.code == output.NO
    (told,) = result.json["types"]
    assert (told["change"], told["form"]) == ("incompatible", "sent")
    old, new = (catalogue.Catalogue(catalogue.read(one)) for one in (resources.schemas_dir(), folder))
    assert old.violations(f"{TYPE}/1", told["witness"]) == ()
    assert new.violations(f"{TYPE}/1", told["witness"])
    assert "incompatible" in shell("schemas", "diff", resources.schemas_dir(), folder).out


def test_diff_says_what_is_not_proven_new_and_gone(shell: Shell, folder: Path) -> None:
    """Only a proof passes; a type that is gone is refused altogether; a new one takes nothing from anybody."""
    change(folder, undecidable)
    shutil.move(folder / "overstay.notice", folder / "overstay.warning")
    path = folder / "overstay.warning" / "1" / "schema.json"
    path.write_text(path.read_text().replace("schema:overstay.notice", "schema:overstay.warning"))
    result = shell("schemas", "diff", resources.schemas_dir(), folder, "--json")
    assert result.code == output.NO
    assert {told["type"]: told["change"] for told in result.json["types"]} == {
        f"{TYPE}/1": "not proven compatible",
        "overstay.notice/1": "gone",
        "overstay.warning/1": "new",
    }


def test_diff_takes_single_schemas_as_show_prints_them(shell: Shell, folder: Path, tmp_path: Path) -> None:
    """Two files are enough where somebody sent one; a source file that refers to others is not."""
    shown = shell.ok("schemas", "show", f"{TYPE}/1").out
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(shown)
    schema = json.loads(shown)
    required_member(schema)
    new.write_text(json.dumps(schema))
    assert shell.ok("schemas", "diff", old, old).out.count("\n") == 1
    assert shell("schemas", "diff", old, new).code == output.NO
    assert shell("schemas", "diff", old, folder / TYPE / "1" / "schema.json").code == output.MISUSE
    assert shell("schemas", "diff", old, tmp_path / "missing.json").code == output.MISUSE


@pytest.fixture
def upgraded(fresh: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """A gateway whose program was replaced by one with other schemas."""
    monkeypatch.setattr(resources, "schemas_dir", lambda: folder)

    def replace(what: Change) -> None:
        change(folder, what)

    return replace


def published(shell: Shell) -> list[tuple[object, ...]]:
    return [
        (entry["kind"], entry.get("type") or entry.get("what"), entry.get("digest"))
        for entry in entries(shell)
        if entry["kind"] in ("schema.published", "operator.act")
    ]


def test_init_publishes_what_the_program_has(fresh: Shell, tmp_path: Path) -> None:
    """A new gateway has nothing left to publish, and its ledger names every type with its digest."""
    assert fresh.ok("schemas", "publish", "--why", "T-1", "--dry-run", "--json").json == {
        "published": False,
        "types": [],
    }
    assert "published already" in fresh.ok("schemas", "publish", "--why", "T-1").err
    types = {entry.type: entry.digest for entry in catalogue.load(resources.schemas_dir()).types()}
    told = {str(type_): f"sha256:{digest}" for kind, type_, digest in published(fresh) if digest}
    assert told == types


def test_a_gateway_with_other_schemas_than_the_published_ones_does_not_start(
    fresh: Shell, upgraded: Callable[[Change], None]
) -> None:
    """Nobody is judged by what nobody was told: the error names the command, and doctor finds it."""
    settings = load_settings(fresh.config)
    with open_gateway(settings):
        pass
    upgraded(optional_member)
    with pytest.raises(OperatorError, match="sinergi schemas publish") as refused, open_gateway(settings):
        pass
    assert f"{TYPE}/1" in refused.value.detail
    checks = {one["check"]: one for one in fresh("doctor", "--json").json["checks"]}
    assert checks["schemas"]["status"] == "failed"
    assert "sinergi schemas publish" in checks["schemas"]["detail"]


def test_a_gateway_with_damaged_schemas_does_not_start(
    fresh: Shell, folder: Path, upgraded: Callable[[Change], None]
) -> None:
    """Neither the start nor `check` or `diff` stops in the middle: the file, the place, and the exit code of a wrong input."""
    assert upgraded
    path = folder / TYPE / "1" / "schema.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"properties": []}))
    told = f"{TYPE}/1/schema.json: /properties is not"
    with pytest.raises(OperatorError, match=told) as refused, open_gateway(load_settings(fresh.config)):
        pass
    assert refused.value.code == "schema.invalid"
    for arguments in (("check",), ("check", folder), ("diff", folder, folder), ("publish", "--why", "T-1")):
        result = fresh("schemas", *arguments)
        assert result.code == output.MISUSE
        assert result.err.startswith(f"sinergi: schema.invalid: {told}")


def test_a_compatible_change_is_published_and_the_gateway_starts(
    fresh: Shell, upgraded: Callable[[Change], None], tmp_path: Path
) -> None:
    """One entry for the type, one for the act; the row is the newest publication; a second run finds nothing."""
    upgraded(optional_member)
    dry = fresh.ok("schemas", "publish", "--why", "T-1", "--dry-run", "--json").json
    assert [(told["type"], told["change"]) for told in dry["types"]] == [(f"{TYPE}/1", "compatible")]
    before = published(fresh)
    done = fresh.ok("schemas", "publish", "--why", "T-1", "--json").json
    assert done["published"] is True
    digest = done["types"][0]["digest"].removeprefix("sha256:")
    assert published(fresh) == [
        *before,
        ("schema.published", f"{TYPE}/1", digest),
        ("operator.act", "schemas.publish", None),
    ]
    assert fresh.ok("schemas", "publish", "--why", "T-1", "--json").json["types"] == []
    with open_gateway(load_settings(fresh.config)) as gateway:
        assert gateway.catalogue.get(f"{TYPE}/1") is not None


def test_a_new_type_is_published(fresh: Shell, folder: Path, upgraded: Callable[[Change], None]) -> None:
    """A new major version beside the old one is how an incompatible change comes into service."""
    second = folder / TYPE / "2"
    shutil.copytree(folder / TYPE / "1", second)
    path = second / "schema.json"
    schema = json.loads(path.read_text().replace(f"schema:{TYPE}:1", f"schema:{TYPE}:2"))
    required_member(schema)
    path.write_text(json.dumps(schema))
    pin(folder)
    done = fresh.ok("schemas", "publish", "--why", "T-1", "--json").json
    assert [(told["type"], told["change"]) for told in done["types"]] == [(f"{TYPE}/2", "new")]


@pytest.mark.parametrize(("what", "state"), [(required_member, "incompatible"), (undecidable, "not proven compatible")])
def test_an_incompatible_change_is_not_published(
    fresh: Shell, upgraded: Callable[[Change], None], tmp_path: Path, what: Change, state: str
) -> None:
    """Nor is what is not proven; the compatible change beside it waits as well, and the ledger is as it was."""
    upgraded(what)
    before = entries(fresh)
    dry = fresh("schemas", "publish", "--why", "T-1", "--dry-run", "--json")
    assert (dry.code, dry.json["types"][0]["change"]) == (output.NO, state)
    if state == "incompatible":
        old = catalogue.Catalogue(catalogue.read(Path(__file__).parents[2] / "schemas"))
        assert old.violations(f"{TYPE}/1", dry.json["types"][0]["witness"]) == ()
    refused = fresh("schemas", "publish", "--why", "T-1")
    assert refused.code == output.NO
    assert "new major version" in refused.err
    assert entries(fresh) == before
    with pytest.raises(OperatorError), open_gateway(load_settings(fresh.config)):
        pass


def test_a_published_type_stays(fresh: Shell, folder: Path, upgraded: Callable[[Change], None]) -> None:
    """A type that agencies were told cannot vanish with an upgrade."""
    shutil.rmtree(folder / "overstay.notice")
    pin(folder)
    refused = fresh("schemas", "publish", "--why", "T-1", "--json")
    assert refused.code == output.NO
    assert json.loads(refused.out)["types"][0]["change"] == "gone"
    assert "overstay.notice/1" in refused.err


def test_two_operators_at_once_publish_once(
    fresh: Shell, upgraded: Callable[[Change], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compared with a digest that is no longer published is not published over it."""
    from gateway.founding import RefusedError
    from gateway.operations import publishing
    from gateway.wiring import open_store

    upgraded(optional_member)
    with open_store(load_settings(fresh.config)) as store:
        types = catalogue.load(resources.schemas_dir())
        planned = publishing.plan(store, types)
        publishing.publish(store, types, why="T-1", who="first")
        monkeypatch.setattr(publishing, "plan", lambda *_arguments: planned)
        with pytest.raises(RefusedError, match="meanwhile"):
            publishing.publish(store, types, why="T-1", who="second")
