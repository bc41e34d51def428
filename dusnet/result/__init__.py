"""The result of one scan: what is stored, what it is made of, its files, and its line in the summary."""

from dusnet.result.columns import COLUMNS
from dusnet.result.contents import Context
from dusnet.result.finding import deciding_defect, defect_words, finding_of, kind_words
from dusnet.result.record import COMMENT, MAX_DEFECTS, PART_NUMBER, SCHEMA_VERSION, Record
from dusnet.result.scan_result import NoResult, Result

__all__ = [
    "COLUMNS",
    "COMMENT",
    "MAX_DEFECTS",
    "PART_NUMBER",
    "SCHEMA_VERSION",
    "Context",
    "NoResult",
    "Record",
    "Result",
    "deciding_defect",
    "defect_words",
    "finding_of",
    "kind_words",
]
