"""`sinergi doctor`: is this gateway fit for service?"""

from dataclasses import asdict

import typer

from gateway.cli.context import command, invocation, quiet
from gateway.cli.output import NO, as_json, message, table


def register(app: typer.Typer) -> None:
    """Puts the command on the program itself."""
    command(app, "doctor", example="sinergi doctor --config /etc/sinergi/sinergi.toml")(doctor)


def doctor(context: typer.Context) -> None:
    """Check settings, keys, database and its guards, ledgers, agreements, agencies, clock and disk. Changes nothing.

    Exit code 1 if a check failed; a warning does not fail.
    """
    settings = invocation(context).settings()
    quiet()
    from gateway.cli.checks import FAILED, OK, Finding, examine

    findings = [Finding("settings", OK, str(invocation(context).config_file)), *examine(settings)]
    failed = sum(finding.status == FAILED for finding in findings)
    if invocation(context).json:
        as_json({"ok": not failed, "checks": [asdict(finding) for finding in findings]})
    else:
        table(("check", "status", "detail"), [(one.check, one.status, one.detail) for one in findings])
    message(f"{failed} of {len(findings)} checks failed." if failed else "Fit for service.")
    if failed:
        raise typer.Exit(NO)
