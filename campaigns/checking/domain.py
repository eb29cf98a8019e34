"""Does mail from this domain prove whose it is, at this moment? SPF, DKIM, DMARC and what stands around them.

DNS is asked anew (`accounts/verify.look`) and nothing is stored: a check of a campaign is no check of its domain.
"""

from collections.abc import Mapping
from typing import Final

from accounts import dmarc
from accounts.records import RecordKind
from accounts.verify import CheckStatus, Looked
from campaigns.checking.model import Code, Finding, warns

# Keys that are coming are no matter of a campaign: nothing is signed with them.
_CODES: Final[Mapping[str, Code]] = {
    RecordKind.DKIM_RSA: Code.DKIM,
    RecordKind.DKIM_ED25519: Code.DKIM,
    RecordKind.RETURN_PATH_MX: Code.RETURN_PATH,
    RecordKind.SPF: Code.SPF,
    RecordKind.DMARC: Code.DMARC,
    RecordKind.TRACKING: Code.TRACKING_HOST,
}


def findings(looked: Looked) -> list[Finding]:
    """What is wrong with the domain. Pure."""
    name = looked.domain.name
    show = f"`postlane domains show {name}` says which record to publish."
    silent = [k for k, check in looked.checks.items() if k in _CODES and check.status == CheckStatus.TEMPORARY_FAILURE]
    found = [
        warns(_CODES[kind], check.reason, show)
        for kind, check in looked.checks.items()
        if kind in _CODES and check.status in (CheckStatus.FAILED, CheckStatus.PENDING)
    ]
    if silent:
        names = ", ".join(sorted(kind.replace("_", " ") for kind in silent))
        told = f"No name server answered for records of {name}: {names}."
        found.append(warns(Code.DNS_SILENT, told, "Look again in some minutes; mail may fail its checks meanwhile."))
    elif not looked.closed:
        found += _alignment(looked)
    return found


def _alignment(looked: Looked) -> list[Finding]:
    """DKIM is aligned always: we sign with the domain itself. Without a policy nobody asks."""
    domain, return_path = looked.domain.name, looked.domain.return_path_domain
    record = dmarc.discover(domain, looked.answers.txt).record
    if record is None or dmarc.aligned(domain, return_path, looked.answers.txt, "aspf"):
        return []
    strict = record.strict("aspf")
    why = "its DMARC record says aspf=s" if strict else "by their DMARC records they are of different owners"
    return [
        warns(
            Code.SPF_ALIGNMENT,
            f"SPF does not count for {domain}, since mail returns to {return_path}: {why}.",
            "Only DKIM speaks for the mail then. Take aspf=s out of the record unless you want that.",
        )
    ]
