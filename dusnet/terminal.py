"""Text from outside (file names, metadata, class names) on its way to a terminal, which obeys some characters."""

from __future__ import annotations

import unicodedata

_HARMLESS = "\u200c\u200d"  # joiners that words of some languages need
_COMMANDS = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def escaped(text: str) -> str:
    r"""`text` with every character that a terminal would obey or hide written out, such as `\x1b` or `\u202e`.

    These are control characters (line breaks and escape sequences among them), marks that change the direction of
    writing, and bytes of a file name that are no UTF-8.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _COMMANDS or character in _HARMLESS:
        return character
    if 0xDC80 <= ord(character) <= 0xDCFF:  # how Python keeps a byte that is no UTF-8
        return "\ufffd"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def one_line(text: str) -> str:
    """`text` as one line that a terminal only shows: breaks and runs of blanks become a blank, the rest is escaped."""
    return escaped(" ".join(text.split()))


def table_cell(text: str) -> str:
    """`text` as one line that ends no cell of a Markdown table."""
    return one_line(text).replace("|", "\\|")


def page(text: str) -> str:
    """A text of several lines whose line breaks and tabs are meant; everything else is escaped."""
    return "\n".join("\t".join(map(escaped, line.split("\t"))) for line in text.split("\n"))
