"""The three values a query can have for an issue of which only some is known."""

from enum import Enum


class Truth(Enum):
    """Only NO lets a kept answer live; UNKNOWN is what everything we are not sure of must be."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
