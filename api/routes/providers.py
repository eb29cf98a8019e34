"""`/providers`: the mailbox providers we know with their limits, and what a reply of one means.

Thin: `mta/providers` and `mta/replies` know. Every route wants an operator's key. Reads the operator's own files as
they are now, so a change of a file is seen here before workers that have not read it again act on it.
"""

import re
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from api.answers import json_answer
from api.deps import Deps
from api.errors import ApiError, invalid_field
from api.openapi import errors
from api.operating import WRONG_BODY, Operator, OperatorRoute, PageOf, With, known_site, page, page_of, providers_of
from api.schemas_throttles import Explained, ExplainReply, ProviderAnswer, ProviderList, limits_answer
from core.errors import ConfigurationError
from mta.from_settings import rules_in_force
from mta.model import Phase
from mta.model import Response as Response_
from mta.providers import OTHER, Providers
from mta.replies import RuleTable
from mta.reply_parser import Reply, response_of

router = APIRouter(prefix="/providers", tags=["Providers"], route_class=OperatorRoute)

_CODE: Final = re.compile(r"\s*([245]\d\d)[ -]?")


@router.get("", response_model=ProviderList, responses=errors("invalid_parameter"))
async def list_providers(who: Operator, given: With, wanted: Annotated[PageOf, Depends(page_of)]) -> Response:
    """All providers by name with the limits of one IP, and `other` for everybody else."""
    providers = providers_of(given.settings)
    found = page([*sorted(providers.names), OTHER], str, wanted)
    return json_answer(found | {"data": [_answer(providers, name) for name in found["data"]]})


@router.get("/{name}", response_model=ProviderAnswer, responses=errors("not_found"))
async def get_provider(name: str, who: Operator, given: With) -> Response:
    """A provider by its name."""
    providers = providers_of(given.settings)
    if name != OTHER and name not in providers.names:
        raise ApiError("not_found", f"There is no provider {name[:60]!r}.")
    return json_answer(_answer(providers, name))


@router.post("/explain", response_model=Explained, responses=errors(*WRONG_BODY, "conflict"))
async def explain(body: ExplainReply, who: Operator, given: With) -> Response:
    """Which rule decides about a reply, and what would happen to the mail."""
    provider = known_site(given, body.provider, field="provider")
    response = _read(body.reply, body.phase)
    verdict = _rules(given).classify(response, provider)
    return json_answer(
        {
            "object": "verdict",
            "provider": provider,
            "code": response.code,
            "enhanced": response.enhanced,
            "text": response.text,
            "rule": verdict.rule,
            "action": verdict.action,
            "class": verdict.klass,
            "scope": verdict.scope,
            "suppress": verdict.suppress,
            "wait_seconds": verdict.wait.total_seconds() if verdict.wait is not None else None,
        }
    )


def _read(text: str, phase: Phase) -> Response_:
    """A reply as a mail server writes it. Raises ApiError."""
    found = _CODE.match(text)
    if found is None:
        raise invalid_field("The `reply` field is not valid: it begins with its code, such as `421 4.7.0 Try later`.")
    lines = [line.encode("utf-8", "replace") for line in text[found.end() :].splitlines()]
    return response_of(phase, Reply(int(found[1]), lines or [b""]))


def _rules(given: Deps) -> RuleTable:
    """The rules in force: the operator's own file before the shipped ones. Raises ApiError for a wrong file."""
    try:
        return rules_in_force(given.settings).table
    except ConfigurationError as error:
        raise ApiError("conflict", f"The rules cannot be read, so those loaded before are in force: {error}") from error


def _answer(providers: Providers, name: str) -> dict[str, object]:
    return {
        "object": "provider",
        "id": name,
        "name": name,
        "mx_suffixes": sorted(suffix for suffix, owner in providers.suffixes.items() if owner == name),
        "limits": limits_answer(providers.limits(name)),
    }
