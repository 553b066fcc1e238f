"""What every command is given besides its own arguments: settings file, form of output, operator; and the open store.

The common options may stand before or after a command's name. Heavy imports happen in the functions, never here.
"""

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from gateway.cli.output import message
from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.cli.acting import Acting
    from gateway.settings import Settings
    from gateway.wiring import Store

# The same as gateway.settings.CONFIG_VARIABLE; importing it would load pydantic.
CONFIG_VARIABLE: Final = "SINERGI_CONFIG"
OPERATOR_VARIABLE: Final = "SINERGI_OPERATOR"
CONFIG_PLACES: Final = (Path("var/sinergi.toml"), Path("/etc/sinergi/sinergi.toml"))
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Invocation:
    """One run of the program."""

    config: Path | None = None
    json: bool = False
    debug: bool = False
    operator: str | None = None
    operator_key: str | None = None
    operator_passphrase_file: Path | None = None
    command: str = ""
    acting: "Acting | None" = None

    @property
    def config_file(self) -> Path:
        """--config, else $SINERGI_CONFIG, else var/sinergi.toml, else /etc/sinergi/sinergi.toml."""
        if self.config is not None:
            return self.config
        if named := os.environ.get(CONFIG_VARIABLE):
            return Path(named)
        found = next((place for place in CONFIG_PLACES if place.is_file()), None)
        if found is None:
            raise OperatorError(
                f"no settings file: neither {' nor '.join(map(str, CONFIG_PLACES))} exists; "
                f"run `sinergi init DIR`, or name a file with --config or ${CONFIG_VARIABLE}"
            )
        return found

    @property
    def who(self) -> str:
        """Who acts, as the ledger will name them: the operator whose key it is. In a gateway without operators of its own
        --operator, else $SINERGI_OPERATOR, else the system's user name.
        """
        if self.acting is not None:
            return self.acting.id
        named = self.operator or os.environ.get(OPERATOR_VARIABLE)
        if named:
            return named
        try:
            return getpass.getuser()
        except (KeyError, OSError) as error:
            raise OperatorError(
                f"it is not known who acts: name yourself with --operator or ${OPERATOR_VARIABLE}"
            ) from error

    def settings(self, **overrides: Any) -> "Settings":
        from gateway.settings import load_settings

        return load_settings(self.config_file, **overrides)

    @contextmanager
    def store(self, *, lost: str | None = None) -> Iterator["Store"]:
        """The initialised database with its recorder; closed, with the newest checkpoints kept, at the end.

        Raises, before the command does anything, where it is an operator's and no operator's key is shown.
        """
        settings = self.settings()
        quiet()
        from gateway.key_management.recovery import tell_of_recoveries
        from gateway.wiring import open_store

        with open_store(settings, lost=lost) as store:
            self._show_key(store)
            for warning in (*store.warnings, *tell_of_recoveries(store)):
                message(f"Warning: {warning}")
            yield store

    def _show_key(self, store: "Store") -> None:
        from gateway.cli.acting import acting
        from gateway.cli.duties import DUTIES
        from gateway.founding import RefusedError

        duty = DUTIES.get(self.command)
        # A command of which nobody said who may run it is everybody's who has a key, and nobody else's.
        if duty is not None and not duty.needs_operator:
            return
        self.acting = acting(store, self.operator_key, self.operator_passphrase_file, self.command)
        if self.acting is not None and self.operator not in (None, self.acting.id):
            raise RefusedError(f"the key is {self.acting.id}'s, not {self.operator}'s")


def quiet() -> None:
    """A command speaks through its output; what libraries would log is in its error line already."""
    import logging

    import structlog

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    logging.getLogger("alembic").setLevel(logging.WARNING)


def invocation(context: typer.Context) -> Invocation:
    found = context.obj
    assert isinstance(found, Invocation)
    return found


def _remember(name: str) -> Callable[[Any, Any, Any], Any]:
    def keep(context: Any, _parameter: Any, value: Any) -> Any:
        # An option that was not given here may have been given before the command's name.
        if value is not None and value is not False:
            setattr(invocation(context), name, value)
        return value

    return keep


def _common() -> list[TyperOption]:
    return [
        TyperOption(
            param_decls=["--config"],
            type=Path,
            metavar="FILE",
            callback=_path,
            expose_value=False,
            help=f"Settings file [default: ${CONFIG_VARIABLE}, {', '.join(map(str, CONFIG_PLACES))}].",
        ),
        TyperOption(
            param_decls=["--operator"],
            metavar="NAME",
            callback=_remember("operator"),
            expose_value=False,
            help=f"Who acts, for the ledger [default: the key's operator, ${OPERATOR_VARIABLE}, the user name].",
        ),
        TyperOption(
            param_decls=["--operator-key"],
            metavar="URI",
            callback=_remember("operator_key"),
            expose_value=False,
            help="An operator's private key, where the gateway has operators [default: $SINERGI_OPERATOR_KEY].",
        ),
        TyperOption(
            param_decls=["--operator-passphrase-file"],
            type=Path,
            metavar="FILE",
            callback=_passphrase_file,
            expose_value=False,
            help="The passphrase of that key's file [default: $SINERGI_OPERATOR_PASSPHRASE_FILE].",
        ),
        TyperOption(
            param_decls=["--json"],
            is_flag=True,
            default=False,
            callback=_remember("json"),
            expose_value=False,
            help="Print JSON, for machines.",
        ),
        TyperOption(
            param_decls=["--debug"],
            is_flag=True,
            default=False,
            callback=_remember("debug"),
            expose_value=False,
            help="Show the traceback of an error.",
        ),
    ]


def _path(context: Any, _parameter: Any, value: Any) -> Any:
    if value is not None:
        invocation(context).config = Path(value)
    return value


def _passphrase_file(context: Any, _parameter: Any, value: Any) -> Any:
    if value is not None:
        invocation(context).operator_passphrase_file = Path(value)
    return value


class Command(TyperCommand):
    """A command that also takes the common options."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.extend(_common())

    def invoke(self, ctx: Any) -> Any:
        invocation(ctx).command = ctx.command_path.partition(" ")[2]
        return super().invoke(ctx)


class Group(TyperGroup):
    """A group that takes the common options before its command's name."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.extend(_common())


def group(name: str, summary: str, *, commands: str) -> typer.Typer:
    """A command group with plain help; rich's would cost time at every start."""
    return typer.Typer(
        name=name,
        help=summary,
        cls=Group,
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        epilog=_example(commands),
    )


def command(app: typer.Typer, name: str, *, example: str, takes_thumbprint: bool = False) -> Callable[[F], F]:
    """Registers a command; none is without an example."""
    # One thumbprint in 64 begins with a hyphen, and is no option.
    settings = {"ignore_unknown_options": True} if takes_thumbprint else None
    return app.command(name, cls=Command, epilog=_example(example), context_settings=settings)


def _example(text: str) -> str:
    # \b: the lines stay as they are.
    lines = "\n".join(f"  {part}" for part in text.strip().split("\n"))
    return f"\b\nExample:\n{lines}"
