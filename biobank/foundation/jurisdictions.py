"""Under whose law a place works, as far as the bank's table of legal bases tells laws apart."""

from enum import StrEnum


class Jurisdiction(StrEnum):
    """The law of a place. `other`: of a country for which the table has no entry of its own."""

    US = "US"
    EU = "EU"
    OTHER = "other"
