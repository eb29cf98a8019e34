"""`/providers`: the mailbox providers we know with their limits, and what a reply of one means.

Thin: `mta/providers` and `mta/replies` know. Every route wants an operator's key. Reads the operator's own files as
they are now, so a change of a file is seen here before workers that have not read it again act on it.
"""

from fastapi import APIRouter, Response

from api.auth import Operator
from api.deps import Deps
from api.errors import ApiError, invalid_field
from api.openapi import errors
from api.operating import OperatorRoute, Part, With, known_site
from api.schemas.providers import Explained, ExplainReply, ProviderAnswer, ProviderList
from core.errors import ConfigurationError
from mta.from_settings import providers_of, rules_in_force
from mta.providers import OTHER, provider_named
from mta.replies import RuleTable
from mta.reply_parser import written
from web.answers import json_answer
from web.faces.providers import provider_face, verdict_face
from web.paging import listed, page_of

router = APIRouter(prefix="/providers", tags=["Providers"], route_class=OperatorRoute)


@router.get("", summary="List providers", response_model=ProviderList)
async def list_providers(who: Operator, given: With, wanted: Part) -> Response:
    """All providers by name with the limits of one IP, and `other` for everybody else."""
    providers = providers_of(given.settings)
    found = page_of([*sorted(providers.names), OTHER], str, wanted)
    return json_answer(listed(found, lambda name: provider_face(providers, name)))


@router.get("/{name}", summary="Get a provider", response_model=ProviderAnswer, responses=errors("not_found"))
async def get_provider(name: str, who: Operator, given: With) -> Response:
    """A provider by its name."""
    providers = providers_of(given.settings)
    return json_answer(provider_face(providers, provider_named(providers, name)))


@router.post("/explain", summary="Explain a reply", response_model=Explained, responses=errors("conflict"))
async def explain(body: ExplainReply, who: Operator, given: With) -> Response:
    """Which rule decides about a reply, and what would happen to the mail."""
    provider = known_site(given, body.provider, field="provider")
    response = written(body.reply, body.phase)
    if response is None:
        raise invalid_field("The `reply` field is not valid: it begins with its code, such as `421 4.7.0 Try later`.")
    return json_answer(verdict_face(provider, response, _rules(given).classify(response, provider)))


def _rules(given: Deps) -> RuleTable:
    """The rules in force: the operator's own file before the shipped ones. Raises ApiError for a wrong file."""
    try:
        return rules_in_force(given.settings).table
    except ConfigurationError as error:
        raise ApiError("conflict", f"The rules cannot be read, so those loaded before are in force: {error}") from error
