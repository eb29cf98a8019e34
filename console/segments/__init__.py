"""Segments: lists that people are put on, and filters that find them."""

from typing import Final

from accounts.roles import Right
from console.menu import Entry
from console.noun import Noun
from console.segments.routes import router

NOUN: Final = Noun(router, [Entry("Reach", 30, "Segments", "/segments", "segments", Right.PEOPLE_SEE)])

__all__ = ["NOUN"]
