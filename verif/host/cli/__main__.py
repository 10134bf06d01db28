# SPDX-License-Identifier: Apache-2.0
"""`python -m verif.host.cli COMMAND`: one command per Makefile target."""

from collections.abc import Callable
from functools import wraps

import typer
from rich.console import Console

from verif.host.cli.all_tests import test
from verif.host.cli.coverage import coverage
from verif.host.cli.docs import docs
from verif.host.cli.figure1 import figure1
from verif.host.cli.figure3 import run
from verif.host.cli.figures import figures
from verif.host.cli.given_layer import layer
from verif.host.cli.given_network import network
from verif.host.cli.given_onnx import compile
from verif.host.cli.known_program import program
from verif.host.cli.lint import lint
from verif.host.cli.model_check import cyclemodel
from verif.host.cli.node_tests import nodetests
from verif.host.cli.paper import paper
from verif.host.cli.power import power
from verif.host.cli.regress import regress
from verif.host.cli.speed import bench
from verif.host.cli.sweep import sweep
from verif.host.cli.synth import synth
from verif.host.cli.tradeoffs import tradeoffs
from verif.host.cli.verilog_file import verilog
from verif.host.cli.waves import waves
from verif.host.runner import SimulationFailure
from verif.host.runner.process import INTERRUPTED, TERMINATED, end_on_sigterm
from verif.host.runner.run import default_seed
from verif.host.runner.tools import check_build

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
    compile,
    nodetests,
    program,
    figures,
    sweep,
    cyclemodel,
    figure1,
    regress,
    coverage,
    waves,
    bench,
    lint,
    synth,
    paper,
    power,
    tradeoffs,
    verilog,
    docs,
):
    app.command()(_reporting(command))

if __name__ == "__main__":
    end_on_sigterm(SystemExit(TERMINATED))
    app()
