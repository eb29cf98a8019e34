"""Questions to DNS side by side, within a time: what the checks of sender domains ask with."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from core.errors import UnavailableError

T = TypeVar("T")


async def answers_of(questions: Mapping[str, Awaitable[T]], within: float) -> dict[str, T]:
    """By name; those without an answer in time are left out."""

    async def ask(question: Awaitable[T]) -> tuple[T] | None:
        try:
            return (await asyncio.wait_for(question, within),)
        except (UnavailableError, TimeoutError):
            return None

    answers = await asyncio.gather(*(ask(question) for question in questions.values()))
    return {name: answer[0] for name, answer in zip(questions, answers, strict=True) if answer is not None}
