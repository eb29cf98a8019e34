"""Which class a route is of (`core/objectives`), declared beside it.

A route that says nothing is a reading one for GET and a changing one for every other method; `serves` stands below the
decorator of one that is something else, and `unmeasured` below that of one that only machines ask.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from core.objectives import CHANGE, READ, Objective

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])  # an endpoint takes and gives what it likes

_ATTRIBUTE: Final = "__postlane_objective__"


def serves(objective: Objective) -> Callable[[Endpoint], Endpoint]:
    """Say what class an endpoint is of."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ATTRIBUTE, objective)
        return endpoint

    return mark


def unmeasured(endpoint: Endpoint) -> Endpoint:
    """It has no objective."""
    setattr(endpoint, _ATTRIBUTE, None)
    return endpoint


def objective_of(method: str, endpoint: Callable[..., Any]) -> Objective | None:
    """That of an endpoint."""
    found: Objective | None = getattr(endpoint, _ATTRIBUTE, READ if method in ("GET", "HEAD") else CHANGE)
    return found
