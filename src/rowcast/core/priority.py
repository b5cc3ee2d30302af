"""How urgent a delivery is. A smaller number is claimed first."""

import enum


class Priority(enum.IntEnum):
    """The four priorities, as they are stored and sorted."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3
