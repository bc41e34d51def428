"""The `dusnet` command: one module per group of verbs, and one place where errors become exit codes.

Exit codes: 0 done, 1 a scan is anomalous (`--gate` of `score` and `compare`) or a bug with its traceback, 2 something
the user can mend, 130 interrupted. Nothing here imports torch or Open3D before a verb needs it, so that `--help`
answers at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dusnet import __version__
from dusnet.cli import cad, images, look, models, prepare, study
from dusnet.cli._common import Interrupted, mendable

INTERRUPTED = 130

app = typer.Typer(
    name="dusnet",
    help="Find defects in 3D scans of parts when only a few defect-free scans are known.",
    epilog="Start with: dusnet demo. Each command says more with --help.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _module in (prepare, models, cad, study, look, images):
    _module.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dusnet {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  (the callback answers)
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and turn what went wrong into one line and an exit code.

    Args:
        arguments: the words after `dusnet`; None takes them from the process.

    Returns:
        The exit code. A bug is not caught: it keeps its traceback, with which Python exits 1.
    """
    # OpenMP reads this when torch is loaded. By default its threads spin while they wait, and as soon as another
    # process wants a core every parallel region waits for a thread that does not run.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with warnings.catch_warnings():
        warnings.showwarning = _show
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="dusnet", standalone_mode=False)
    except Interrupted as error:
        return _say(str(error), INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        sentence = mendable(error)
        if sentence is None:
            raise
        return _say(sentence, 2)
    if code == INTERRUPTED:  # Typer's answer to Ctrl-C outside of `if_interrupted`
        return _say("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    _say(str(message), 0)


def _say(sentence: str, code: int) -> int:
    typer.echo(f"dusnet: {sentence}", err=True)
    return code
