"""What a page says of a scan that was compared with a CAD model."""

from __future__ import annotations

from dusnet.display.report.lengths import Lengths
from dusnet.display.report.markup import facts, text
from dusnet.display.wording import number, percent
from dusnet.inspection.result_parts import AllowedDeviation, CadFile, Comparison

NOTE = (
    "Positive deviations are excess material, negative are missing. The score is the share of the tolerance that "
    "the worst region uses. Stray points do not count. Above 1 the part is out of tolerance."
)


def tolerance(given: AllowedDeviation, length: Lengths) -> str:
    """The tolerance, and whether somebody chose it."""
    both = length.with_unit(f"+{number(given.plus, 6)} / −{number(given.minus, 6)}")
    return text(f"{both}, {'0.1 mm by default where not chosen' if given.default else 'chosen'}")


def panel(found: Comparison, length: Lengths) -> str:
    """What was allowed and found, and how exact scan and model are."""
    out, cad = found.out_of_tolerance, found.cad
    closed = "yes" if cad.watertight else "no. The nearest triangle's normal tells on which side a point lies"
    return facts(
        [
            ("Tolerance", tolerance(found.tolerance, length)),
            ("Out of tolerance", percent(out.share)),
            ("Excess material", percent(out.excess)),
            ("Missing material", percent(out.missing)),
            ("RMS deviation", text(_magnitude(found.rms, length))),
            ("Noise of the scan", text(_magnitude(found.noise, length))),
            ("Unit of the CAD model", text(cad.unit)),
            ("Triangles of the CAD model", number(cad.triangles)),
            ("Bodies of the CAD model", text(_bodies(cad))),
            ("Watertight", text(closed)),
        ]
    )


def _bodies(cad: CadFile) -> str:
    """How many there are, and what was done with them; earlier versions did not count them."""
    if "bodies" not in cad.model_fields_set:
        return "not counted"
    counts = {
        "united": cad.united,
        "left out (inside of others, or there twice)": cad.left_out,
        "not united": cad.not_united,
    }
    return ", ".join([str(cad.bodies), *(f"{count} {words}" for words, count in counts.items() if count)])


def _magnitude(value: float, length: Lengths) -> str:
    """A deviation without its sign; a small one is never written as nothing."""
    least = 10.0**-length.fine
    words = length.with_unit(length.deviation(max(value, least), signed=False))
    return f"below {words}" if value < least else words
