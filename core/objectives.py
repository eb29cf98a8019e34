"""How quickly and how reliably each class of route has to answer. Pure.

An answer is a good one when it came within the class's time and was no fault of ours (500 and above). Of a class so
great a share has to be good over `BUDGET_DAYS`; what may be missing from it is its error budget. The times are bounds
of `core/metrics.STEP_BUCKETS`, so that counting by them is exact.
"""

from dataclasses import dataclass
from typing import Final

BUDGET_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Objective:
    """What a class of routes promises."""

    name: str
    seconds: float
    share: float
    sentence: str


SEND: Final = Objective("send", 0.25, 0.999, "Mail is stored, or refused with a reason, while the application waits.")
READ: Final = Objective("read", 0.25, 0.995, "One thing, or a part of a list, is told.")
CHANGE: Final = Objective("change", 0.5, 0.995, "What people set up is stored.")
REPORT: Final = Objective("report", 2.5, 0.99, "Much is added up, or somebody else is asked, such as a DNS server.")
PAGE: Final = Objective("page", 0.5, 0.995, "A recipient sees a page, or what they chose is stored.")

OBJECTIVES: Final = {one.name: one for one in (SEND, READ, CHANGE, REPORT, PAGE)}
