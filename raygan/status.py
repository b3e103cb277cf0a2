"""The exit status of a command line, and its errors in one line."""

from collections.abc import Sequence
from signal import SIGINT, Signals

import click

from raygan.config import Config
from raygan.errors import InputError, RunError, Terminated

DONE, FAILED, WRONG_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


def stopped_by(signal: Signals) -> int:
    """Returns the status of a command that a signal has ended, at any moment: a loop over runs in a shell ends too."""
    return INTERRUPTED if signal == SIGINT else TERMINATED


def status_of(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status. Wrong input is reported as one line on stderr."""
    try:
        return int(command.main(arguments, prog_name="raygan", standalone_mode=False) or DONE)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return WRONG_INPUT
    except click.NoSuchOption as error:
        key = error.option_name.lstrip("-").replace("-", "_")
        if key in Config.model_fields:
            return _complain(f"{error.option_name}: config keys are set without dashes: {key}=VALUE", WRONG_INPUT)
        return _complain(error.format_message(), WRONG_INPUT)
    except click.ClickException as error:
        return _complain(error.format_message(), WRONG_INPUT)
    except InputError as error:
        return _complain(str(error), WRONG_INPUT)
    except RunError as error:
        return _complain(str(error), FAILED)
    except (KeyboardInterrupt, click.Abort) as error:  # click wraps it in an Abort
        terminated = isinstance(error.__cause__ or error, Terminated)
        return _complain("interrupted", TERMINATED if terminated else INTERRUPTED)


def _complain(message: str, status: int) -> int:
    click.echo(f"raygan: {' '.join(message.split())}", err=True)
    return status
