"""What the commands share: options, how a mistake ends one, and what is printed where."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec

import click

from proxy.errors import ConfigError

MISTAKE = 2
"""The exit code for whatever the user has to correct."""

_Given = ParamSpec("_Given")

with_config = click.option(
    "--config", "path", type=click.Path(path_type=Path), metavar="FILE", help="Default: ./config.yaml, if there is one."
)
with_json = click.option("--json", "in_json", is_flag=True, help="As JSON, for programs.")


def tells_mistakes(command: Callable[_Given, int]) -> Callable[_Given, None]:
    """Exit with the command's code, or print its ConfigError and exit with 2."""

    @wraps(command)
    def run(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
        try:
            code = command(*args, **kwargs)
        except ConfigError as error:
            click.secho(error, err=True, fg="red")
            code = MISTAKE
        sys.exit(code)

    return run


class OneLine(click.Group):
    """Commands whose wrong usage is told in one line, with exit code 2, as any other mistake is."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        try:
            code = super().main(*args, **options | {"standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = MISTAKE
        except click.UsageError as error:
            command = "" if error.ctx is None else f"{error.ctx.command_path}: "
            click.secho(f"{command}{' '.join(error.format_message().split())}", err=True, fg="red")
            code = MISTAKE
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except click.Abort:
            code = 1
        sys.exit(code)


def warn(line: str) -> None:
    """Tell the one who watches of something that is no mistake."""
    click.secho(f"warning: {line}", err=True, fg="yellow")
