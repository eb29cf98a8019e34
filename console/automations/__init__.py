"""Automations: what follows by itself, and who is where in it?"""

from typing import Final

from accounts.roles import Right
from console.automations.routes import router
from console.menu import Entry
from console.noun import Noun

NOUN: Final = Noun(router, [Entry("Reach", 15, "Automations", "/automations", "automations", Right.CAMPAIGNS_SEE)])

__all__ = ["NOUN"]
