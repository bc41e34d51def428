"""Verify a dataset before training on it, and write a manifest of what it holds.

Example:
    python tools/prepare_data.py data/Real3D-AD-PCD --manifest real3d_ad.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dusnet.data import LAYOUTS
from dusnet.data.prepare import summary, verify, write_manifest
from dusnet.errors import DusnetError
from dusnet.progress import for_terminal


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Verify a dataset: counts per class, missing and damaged files, ground truths that do not fit.",
        epilog="Exit code 0: usable (known mistakes of the published archives are listed but allowed); 2: not.",
    )
    parser.add_argument("path", type=Path, help="archive root, folder of classes, one class, or a plain folder")
    parser.add_argument("--layout", choices=("auto", *LAYOUTS), default="auto")
    parser.add_argument("--classes", help="only these, separated by commas")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="write what was found as JSON")
    parser.add_argument("--names-only", action="store_true", help="do not read the files; seconds instead of minutes")
    parser.add_argument(
        "--any-counts", action="store_true", help="do not compare with the published counts (subsets, own data)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    try:
        report = verify(
            options.path,
            options.layout,
            classes=options.classes.split(",") if options.classes else None,
            official=not options.any_counts,
            read=not options.names_only,
            progress=for_terminal(quiet=options.quiet),
        )
        if options.manifest is not None:
            write_manifest(report, options.manifest)
    except DusnetError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(summary(report))
    return 0 if report.ok else 2


if __name__ == "__main__":
    sys.exit(main())
