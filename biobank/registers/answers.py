"""What packages below ask of the registers: whether a word stands in the bank's lists."""

from biobank.foundation.listed import in_lists
from biobank.registers.reasons import require_reasons

in_lists.give(require_reasons)
