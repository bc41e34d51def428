#!/usr/bin/env bash
# Makes .venv with dusnet, its native ops and everything that the tests and the documentation need. Safe to run again.
#
#   PYTHON=python3.12         the interpreter to build the environment with (3.10 or newer)
#   TORCH="torch==2.13.0"     the torch requirement, instead of requirements/torch.txt
#   DUSNET_BUILD=auto         which native ops to compile: auto, python, cpu or cuda
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# Runs apt-get as root; false where that is not possible without asking for a password.
as_root() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null && sudo -n true 2>/dev/null && sudo -n "$@"
    fi
}

install_packages() {
    as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$@" >/dev/null
}

make_environment() {
    local python="${PYTHON:-python3}"
    command -v "$python" >/dev/null || fail "$python is not there; install Python 3.10 or newer, or name one with PYTHON=..."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$("$python" --version) is too old; name Python 3.10 or newer with PYTHON=..."
    # Debian ships venv without pip unless python3-venv is installed.
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        local package
        package="$("$python" -c 'import sys; print(f"python3.{sys.version_info[1]}-venv")')"
        say "installing $package"
        install_packages "$package" ||
            fail "python's venv module is missing; run 'sudo apt-get install -y $package' and try again"
    fi
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

open3d_loads() {
    .venv/bin/python -c 'from dusnet.open3d_import import open3d; open3d()' 2>/dev/null
}

.venv/bin/python -m pip --version >/dev/null 2>&1 || make_environment
pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }

# torch comes first: the native ops are compiled against the torch that is installed, so it must not
# be replaced by whatever an isolated build would download.
say "installing torch (a large download on the first run)"
if [ -n "${TORCH:-}" ]; then
    pip install "$TORCH"
else
    pip install -r requirements/torch.txt
fi
pip install "setuptools>=77" wheel ninja
say "installing dusnet, its dependencies and its native ops"
pip install --no-build-isolation -e '.[dev,docs]'

if ! open3d_loads; then
    read -r -a packages <<<"$(.venv/bin/python -c \
        'from dusnet.open3d_import import SYSTEM_PACKAGES; print(*SYSTEM_PACKAGES)')"
    say "installing the system libraries that Open3D needs: ${packages[*]}"
    if ! install_packages "${packages[@]}" || ! open3d_loads; then
        say "Open3D cannot load its system libraries; run 'sudo apt-get install -y ${packages[*]}' (registration and pictures need them)"
    fi
fi
say "done; try '.venv/bin/python -m dusnet doctor'"
