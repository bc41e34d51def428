#!/usr/bin/env bash
# Makes .venv-bench: all that .venv holds, and the packages that the ops are raced against. Safe to run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stamp=.venv-bench/.ready
if [ -f "$stamp" ] && [ ! requirements/bench.txt -nt "$stamp" ]; then
    exit 0
fi
printf 'setup: making .venv-bench\n' >&2
.venv/bin/python -m venv --clear .venv-bench
# The packages of .venv, its editable install of dusnet included, without a second copy of torch.
.venv/bin/python - <<'PYTHON'
import sysconfig
from pathlib import Path

ours = sysconfig.get_path("purelib")
theirs = Path(".venv-bench") / Path(ours).relative_to(Path(".venv").resolve())
(theirs / "shared.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
PYTHON
.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/bench.txt
touch "$stamp"
