"""`flufl.bounce`, Mailman's reader of bounces: asked about a mail of a mail system in which ours found nothing.

The only module that knows it. It names addresses and whether they failed for good, and nothing else; so what it says
is noted and suppresses nobody. It gets a mail made of what our reader took apart, in bounded pieces: the standard
library's own parser can be kept busy for minutes by a megabyte.
"""

import logging
from dataclasses import replace
from email.message import Message
from typing import Final

from flufl.bounce import all_failures

from mta.refusals import response
from mta.report_model import BounceReport, RecipientReport, ReportKind, report_of
from mta.report_parts import Part

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it logs what its detectors trip over

_TEXT: Final = 8 * 1024
_LINES: Final = 200
_LINE: Final = 400
_PARTS: Final = 5
_RECIPIENTS: Final = 50
_HEADERS: Final = ("from", "to", "subject", "x-mailer", "x-failed-recipients", "auto-submitted")


def second_opinion(whole: Part, leaves: list[Part]) -> BounceReport | None:
    """What flufl.bounce makes of it, None for nothing."""
    try:
        delayed, failed = all_failures(_message(whole, leaves))
    except Exception:
        # Its detectors take mail for granted that is as it should be; what one of them trips over is no report to it.
        return None
    found = [(address, ReportKind.FAILED) for address in sorted(failed)]
    found += [(address, ReportKind.DELAYED) for address in sorted(delayed - failed)]
    recipients = tuple(_recipient(address, kind) for address, kind in found[:_RECIPIENTS])
    return replace(report_of(recipients, "", "flufl.bounce"), certain=False) if recipients else None


def _recipient(address: bytes, kind: ReportKind) -> RecipientReport:
    text = address.decode("ascii", "replace").strip("<> ")[:320]
    return RecipientReport(kind, response(kind, 0, "", ""), text if text.isprintable() else "")


def _message(whole: Part, leaves: list[Part]) -> Message:
    texts = [leaf for leaf in leaves if not leaf.content_type.startswith("message/")][:_PARTS]
    message = Message()
    for name in _HEADERS:
        if name in whole.headers:
            message[name] = whole.first(name)[:_LINE]
    if len(texts) == 1:
        message.set_payload(_bounded(texts[0].text))
        return message
    message["content-type"] = "multipart/mixed"
    for leaf in texts:
        part = Message()
        part["content-type"] = leaf.content_type
        part.set_payload(_bounded(leaf.text))
        message.attach(part)
    return message


def _bounded(text: str) -> str:
    lines = text[:_TEXT].split("\n")[:_LINES]
    return "\n".join(line[:_LINE] for line in lines).encode("ascii", "replace").decode("ascii")
