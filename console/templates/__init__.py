"""Templates: what mail and campaigns are made of, how each looks, and which version is in force."""

from typing import Final

from accounts.roles import Right
from console.menu import Entry
from console.noun import Noun
from console.templates.routes import router

NOUN: Final = Noun(router, [Entry("Reach", 40, "Templates", "/templates", "templates", Right.CAMPAIGNS_SEE)])

__all__ = ["NOUN"]
