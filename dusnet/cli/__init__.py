"""The `dusnet` command: one module per verb, and one place where errors become exit codes.

Exit codes: 0 done, 1 a scan is anomalous (`--gate` of `score`, `watch` and `compare`, nothing else), 2 something the
user can mend, 70 a bug with its traceback, 130 interrupted. Nothing here imports torch or Open3D before a verb needs
it, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dusnet import __version__
from dusnet.cli._common import Interrupted, mendable
from dusnet.cli._streams import complain, steady_streams, warn
from dusnet.cli.bench import app as bench
from dusnet.cli.calibrate import calibrate
from dusnet.cli.check import check
from dusnet.cli.compare import compare
from dusnet.cli.demo import demo
from dusnet.cli.doctor import doctor
from dusnet.cli.evaluate import evaluate
from dusnet.cli.images import images
from dusnet.cli.limits import limits
from dusnet.cli.pretrain import pretrain
from dusnet.cli.score import score
from dusnet.cli.synth import synth
from dusnet.cli.train import train
from dusnet.cli.trend import trend
from dusnet.cli.view import view
from dusnet.cli.watch import watch

BUG = 70
"""What sysexits.h calls EX_SOFTWARE."""
INTERRUPTED = 130
MENDABLE = 2

app = typer.Typer(
    name="dusnet",
    help="Find defects in 3D scans of parts when only a few defect-free scans are known.",
    epilog="Start with: dusnet demo. Each command says more with --help.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_VERBS = (
    (demo, "--out demo"),
    (synth, "bench --parts bottle,gear --set points=5000 --seed 1"),
    (check, "scans/"),
    (train, "good_scans/ --out bracket.safetensors"),
    (calibrate, "bracket.safetensors more_good_scans/"),
    (limits, "bracket.safetensors --limit 0.5 --max-area 30"),
    (score, "bracket.safetensors new_scan.ply --out results --gate"),
    (watch, "bracket.safetensors incoming/ --out results --report"),
    (trend, "results --window 100"),
    (compare, "scan.ply --cad part.stl --tol-plus 0.2 --tol-minus 0.1"),
    (evaluate, "bench/ --detector dusnet,nearest --out results"),
    (view, "results/part.scored.ply --png part.png"),
    (doctor, "> report.txt"),
    (images, "mvtec/ --detector cras --one-model --out results"),
    (pretrain, "ShapeNetPart/ --config paper --out init.safetensors"),
)
"""The verbs in the order of the help, and an example of each."""
for _verb, _words in _VERBS:
    app.command(_verb.__name__, epilog=f"Example: dusnet {_verb.__name__} {_words}")(_verb)
app.add_typer(bench, name="bench")


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
        The exit code. A bug prints its traceback.
    """
    # OpenMP reads this when torch is loaded. By default its threads spin while they wait, and as soon as another
    # process wants a core every parallel region waits for a thread that does not run.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with steady_streams() as out, warnings.catch_warnings():
        warnings.showwarning = _show
        code = _run(arguments)
        out.flush()
        if out.failure is not None and out.needed and code == 0:
            reason = out.failure.strerror or type(out.failure).__name__
            return _say(f"standard output cannot be written ({reason}), so lines are missing there.", MENDABLE)
        return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="dusnet", standalone_mode=False)
    except Interrupted as error:
        return _say(str(error), INTERRUPTED)
    except Exception as error:
        sentence = mendable(error)
        if sentence is None:
            complain(traceback.format_exc().rstrip())
            return _say("this is a bug of dusnet; please report it with the lines above and `dusnet doctor`.", BUG)
        return _say(sentence, MENDABLE)
    if code == INTERRUPTED:  # Typer's answer to Ctrl-C outside of `if_interrupted`
        return _say("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    _say(str(message), 0)


def _say(sentence: str, code: int) -> int:
    warn(sentence)
    return code
