"""People: what may we send them, what did they get, on what consent? And the lists that they came in by."""

from typing import Final

from accounts.roles import Right
from console.menu import Entry
from console.noun import Noun
from console.people.routes import router

NOUN: Final = Noun(router, [Entry("Reach", 20, "People", "/people", "people", Right.PEOPLE_SEE)])

__all__ = ["NOUN"]
