"""Where do people sign up?"""

from typing import Final

from accounts.roles import Right
from console.forms.routes import router
from console.menu import Entry
from console.noun import Noun

NOUN: Final = Noun(router, [Entry("Reach", 60, "Forms", "/forms", "forms", Right.PEOPLE_SEE)])

__all__ = ["NOUN"]
