# SPDX-License-Identifier: Apache-2.0
"""`python -m verif.cli COMMAND`: one command per Makefile target."""

from collections.abc import Callable
from functools import wraps

import typer
from rich.console import Console

from verif.cli.all_tests import test
from verif.cli.coverage import coverage
from verif.cli.docs import docs
from verif.cli.figure1 import figure1
from verif.cli.figure3 import run
from verif.cli.figures import figures
from verif.cli.given_layer import layer
from verif.cli.given_network import network
from verif.cli.lint import lint
from verif.cli.regress import regress
from verif.cli.speed import bench
from verif.cli.synth import synth
from verif.cli.tradeoffs import tradeoffs
from verif.cli.verilog_file import verilog
from verif.cli.waves import waves
from verif.runner import SimulationFailure
from verif.runner.paths import check_build
from verif.runner.process import INTERRUPTED, TERMINATED, end_on_sigterm
from verif.runner.run import default_seed

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _reporting(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its errors as text on stderr and exit code 1."""

    @wraps(command)
    def checked(*args, **kwargs):
        try:
            default_seed()
            check_build()
            command(*args, **kwargs)
        except typer.Exit:  # a RuntimeError
            raise
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except PermissionError as error:
            Console(stderr=True, highlight=False).print(f"{error.filename}: {error.strerror}", markup=False)
            raise typer.Exit(1) from None
        except (ValueError, RuntimeError, SimulationFailure) as error:
            Console(stderr=True, highlight=False).print(str(error), markup=False, soft_wrap=True)
            raise typer.Exit(1) from None

    return checked


for command in (
    test,
    run,
    layer,
    network,
    figures,
    figure1,
    regress,
    coverage,
    waves,
    bench,
    lint,
    synth,
    tradeoffs,
    verilog,
    docs,
):
    app.command()(_reporting(command))

if __name__ == "__main__":
    end_on_sigterm(SystemExit(TERMINATED))
    app()
