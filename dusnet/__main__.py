"""`python -m dusnet` is the `dusnet` command."""

import sys

from dusnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
