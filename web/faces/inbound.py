"""Mail that came back as JSON: what was received, and what a report in it says. Pure; fields as in `api/schemas`."""

import base64

from mta.bounces import BounceReport, RecipientReport
from mta.model import Verdict
from mta.rule_book import RuleBook
from outcomes.inbound import ShownMail


def inbound_face(mail: ShownMail) -> dict[str, object]:
    """A received mail in a list."""
    return {
        "object": "inbound_mail",
        "id": mail.id,
        "received_at": mail.received_at,
        "to": mail.to,
        "mail_from": mail.sender,
        "peer": mail.peer,
        "from": mail.author,
        "subject": mail.subject,
        "result": mail.result or "waiting",
        "kind": mail.kind or None,
        "email_id": mail.email_id,
        "position": mail.position,
        "placed_by": mail.placed_by or None,
        "detail": mail.detail,
        "size": mail.size,
        "further": mail.further,
    }


def inbound_detail(mail: ShownMail, raw: bytes, report: BounceReport | None, rules: RuleBook) -> dict[str, object]:
    """A received mail by itself: with what it says, and as it came."""
    understood = report_face(report, rules) if report is not None else None
    return inbound_face(mail) | {"report": understood, "raw_base64": base64.b64encode(raw).decode("ascii")}


def report_face(report: BounceReport, rules: RuleBook) -> dict[str, object]:
    """A report, with the verdict on each refusal that it quotes."""
    return {
        "object": "report",
        "kind": report.kind,
        "reader": report.reader,
        "certain": report.certain,
        "reporting_mta": report.reporting_mta,
        "feedback_type": report.feedback_type,
        "recipients": [_recipient(one, rules.classify(one.response, "")) for one in report.recipients],
    }


def _recipient(one: RecipientReport, verdict: Verdict) -> dict[str, object]:
    return {
        "recipient": one.final_recipient,
        "original_recipient": one.original_recipient,
        "kind": one.kind,
        "remote_mta": one.remote_mta,
        "code": one.response.code,
        "enhanced": one.response.enhanced,
        "text": one.response.text,
        "class": verdict.klass,
        "rule": verdict.rule,
        "suppress": verdict.suppress,
    }
