"""Topics: which types of mail people can take or leave, and how often each comes."""

from typing import Final

from accounts.roles import Right
from console.menu import Entry
from console.noun import Noun
from console.topics.routes import router

NOUN: Final = Noun(router, [Entry("Reach", 50, "Topics", "/topics", "topics", Right.PEOPLE_SEE)])

__all__ = ["NOUN"]
