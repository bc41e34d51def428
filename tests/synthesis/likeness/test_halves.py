from __future__ import annotations

from dusnet.synthesis.likeness.halves import half_of, of_half
from dusnet.synthesis.likeness.household import THINGS


def test_halves_share_no_class_and_are_about_equal() -> None:
    development, reported = of_half(THINGS, "development"), of_half(THINGS, "reported")
    assert not set(development) & set(reported)
    assert sorted(development + reported) == sorted(of_half(THINGS, "both")) == sorted(THINGS)
    assert 12 <= len(development) <= 14


def test_instances_of_one_form_are_in_one_half() -> None:
    forms = {name.rstrip("0123456789") for name in THINGS}
    assert len(forms) >= 16
    for form in forms:
        assert len({half_of(name) for name in THINGS if name.rstrip("0123456789") == form}) == 1
    assert half_of("bowl7") == half_of("bowl0")


def test_halves_stay_what_they_were() -> None:
    """Figures were published on these halves."""
    assert of_half(["bowl0", "vase0", "helmet0", "jar0", "cap0", "cup0", "tap0", "shelf0"], "development") == [
        "bowl0",
        "vase0",
        "helmet0",
        "jar0",
    ]
