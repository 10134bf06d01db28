"""`python -m verif.cli COMMAND`: one command per Makefile target."""

import typer

from verif.cli.bench import bench
from verif.cli.coverage import coverage
from verif.cli.docs import docs
from verif.cli.figures import figures
from verif.cli.layer import layer
from verif.cli.lint import lint
from verif.cli.regress import regress
from verif.cli.run import run
from verif.cli.verilog import verilog
from verif.cli.waves import waves

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
for command in (run, layer, figures, regress, coverage, waves, bench, lint, verilog, docs):
    app.command()(command)

if __name__ == "__main__":
    app()
