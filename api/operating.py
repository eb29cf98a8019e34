"""What the routes of our own nouns share: whose key they want, the answer to `Refused`, checks of names and parameters.

Nouns of the installation (`OperatorRoute`) refuse the key of an application, those of applications
(`ApplicationRoute`) that of an operator; what both look after (`SharedReadingRoute`) takes either.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Annotated, Any, ClassVar

from fastapi import Depends, Request, Response, params
from fastapi.dependencies.models import Dependant

from accounts.directory import Caller
from api.auth import KeyedRoute
from api.deps import Deps, deps
from api.errors import ApiError, refused
from core.paging import Window
from core.refusal import Refused
from mta.from_settings import providers_of
from mta.providers import site_named
from pools.model import EVERYWHERE
from web.paging import small_window

With = Annotated[Deps, Depends(deps)]
Part = Annotated[Window[str], Depends(small_window)]
"""Which part of a list."""


async def only_known_parameters(request: Request) -> None:
    """A dependency of routes of our own nouns: refuses a query parameter that the route does not have."""
    known = list(_parameters(request.scope["route"].dependant))
    for name in request.query_params:
        if name not in known:
            only = f", only {', '.join(f'`{one}`' for one in known)}" if known else " here"
            told = f"There is no `{name[:60]}` parameter{only}."
            raise ApiError("invalid_parameter", told)


def _parameters(dependant: Dependant) -> Iterator[str]:
    """Names of the query parameters of a route, with those of what it depends on."""
    yield from (one.alias for one in dependant.query_params)
    for one in dependant.dependencies:
        yield from _parameters(one)


class RefusingRoute(KeyedRoute):
    """A route that turns what the layers below refuse into our errors."""

    @staticmethod
    def translated(error: Refused) -> ApiError:
        """The error of the API for it."""
        return refused(error)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The bounded handler; what it raises is translated."""
        handle = super().get_route_handler()

        async def translating(request: Request) -> Response:
            try:
                return await handle(request)
            except Refused as error:
                raise self.translated(error) from error

        return translating


class OperatorRoute(RefusingRoute):
    """A route for operators. A misspelt filter would be answered with more than was asked for, so it is refused."""

    guard: ClassVar = "operator"

    def __init__(self, *args: Any, dependencies: Sequence[params.Depends] | None = None, **options: Any) -> None:
        checks = [Depends(only_known_parameters)] if self.guard == "operator" else []
        super().__init__(*args, dependencies=[*(dependencies or ()), *checks], **options)


class ApplicationRoute(RefusingRoute):
    """The same for what an application has."""

    guard: ClassVar = "full_access"


class ReadingRoute(RefusingRoute):
    """A route of applications that only reads: what is refused is one of its parameters."""

    @staticmethod
    def translated(error: Refused) -> ApiError:
        """The error of the API for it."""
        return _parameter_refused(error)


class SharedReadingRoute(ReadingRoute):
    """The same for applications and operators."""

    guard: ClassVar = "full_access_or_operator"


def _parameter_refused(error: Refused) -> ApiError:
    if error.kind != "invalid":
        return refused(error)
    hint = f" {error.hint}" if error.hint else ""
    if not error.field:
        return ApiError("invalid_parameter", f"{error.reason[:1].upper()}{error.reason[1:]}.{hint}")
    return ApiError("invalid_parameter", f"The `{error.field}` parameter is not valid: {error.reason}.{hint}")


def by(who: Caller) -> str:
    """Who did it, for the story."""
    return f"API key {who.key_id}"


def known_site(given: Deps, text: str, *, field: str = "", everywhere: bool = False) -> str:
    """A provider's name, `other`, `mx:<server>`, or `*` where that is allowed.

    Raises ApiError naming the body's `field`, or the `provider` parameter when there is none.
    """
    also = (EVERYWHERE,) if everywhere else ()
    try:
        return site_named(providers_of(given.settings), text, field or "provider", also)
    except Refused as error:
        raise (refused(error) if field else _parameter_refused(error)) from None
