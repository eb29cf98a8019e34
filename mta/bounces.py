"""What came back by mail: bounce reports (RFC 3464), complaints (RFC 5965), and what else is sent to a return path.

Pure: bytes in, a value out; never raises, whatever the bytes. It says what the report says and judges nothing:
`Response` goes to `mta/replies` like a reply of our own session; which message a report is about comes from the signed
token in it (`mta/placing`), never from what it says.

Asked in this order: the parts that are made for it (`mta/feedback`, `mta/delivery_status`); answers of programs that
are no reports (`mta/answers`); a mail system's notice for people (`mta/notices`); `flufl.bounce` (`mta/second_reader`).
None: somebody wrote, or nobody understands it; `from_system` tells the two apart.
"""

from mta.answers import answer
from mta.delivery_status import delivery_status, stray_status
from mta.feedback import feedback, old_feedback
from mta.notices import from_system, named_system, notice, with_words
from mta.report_model import BounceReport, RecipientReport, ReportKind
from mta.report_parts import Part, read_parts
from mta.second_reader import second_opinion

__all__ = ["BounceReport", "RecipientReport", "ReportKind", "from_system", "parse_bounce", "understand"]


def parse_bounce(raw: bytes) -> BounceReport | None:
    """The report in this mail, or None when it is none. At most the first 256 KiB are read."""
    return understand(*read_parts(raw))


def understand(whole: Part, leaves: list[Part]) -> BounceReport | None:
    """The same of a mail that was taken apart."""
    report = feedback(leaves) or delivery_status(leaves)
    if report is not None:
        return with_words(report, leaves)
    system = from_system(whole)
    if system or whole.content_type == "multipart/report":
        report = stray_status(leaves)
        if report is not None:
            return report
        report = _wrapped(leaves) if system else None
        if report is not None:
            return report
    kind = answer(whole, leaves, system=named_system(whole))
    if kind is not None:
        return BounceReport(kind, reader="answer")
    return old_feedback(whole, leaves) or notice(whole, leaves) or (second_opinion(whole, leaves) if system else None)


def _wrapped(leaves: list[Part]) -> BounceReport | None:
    """The report that a gateway packed into a mail of its own, below its disclaimer."""
    for leaf in leaves:
        if leaf.content_type == "message/rfc822":
            whole, inner = read_parts(leaf.body.lstrip(b"\n"))
            if whole.content_type == "multipart/report" and from_system(whole):
                return delivery_status(inner)
    return None
