"""Captured mail and capture rules as JSON, in the shapes that Resend has for received mail. Pure."""

from datetime import timedelta
from typing import Any

from accounts.capture_rules import CaptureRule
from sandbox.mailbox import MailView
from sandbox.reading import Parsed, Part


def mail_face(mail: MailView) -> dict[str, Any]:
    """A captured mail in a list."""
    return {
        "object": "sandbox_email",
        "id": mail.id,
        "email_id": mail.ref.email_id,
        "message_id": mail.message_id,
        "from": mail.sender,
        "to": mail.to,
        "cc": mail.cc,
        "bcc": mail.bcc,
        "reply_to": mail.reply_to,
        "subject": mail.subject,
        "created_at": mail.captured_at,
        "envelope": {"from": mail.mail_from, "to": mail.rcpt_to},
        "stream": mail.lane,
        "size": mail.size,
        "test": mail.test,
    }


def mail_detail(mail: MailView, content: Parsed, url: str, days: int) -> dict[str, Any]:
    """A captured mail by itself. `url` is where it is asked for, "" for nowhere."""
    gone = mail.captured_at + timedelta(days=days)
    return mail_face(mail) | {
        "html": content.html,
        "text": content.text,
        "headers": _headers(content),
        "attachments": [_attachment(part, url) for part in content.attachments],
        "raw": {"download_url": f"{url}/raw" if url else None, "expires_at": gone},
    }


def rule_face(rule: CaptureRule) -> dict[str, Any]:
    """A capture rule."""
    return {"object": "capture_rule", "id": rule.id, "pattern": rule.pattern, "created_at": rule.created_at}


def cleared(count: int) -> dict[str, Any]:
    """Captured mails that are gone."""
    return {"object": "sandbox_emails", "deleted": count}


def _headers(content: Parsed) -> dict[str, str]:
    """By name; of one that stands several times, such as DKIM-Signature, all values in lines of their own."""
    found: dict[str, str] = {}
    for name, value in content.headers:
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def _attachment(part: Part, url: str) -> dict[str, Any]:
    return {
        "id": str(part.number),
        "filename": part.filename,
        "size": len(part.data),
        "content_type": part.content_type,
        "content_id": part.content_id or None,
        "content_disposition": part.disposition,
        "download_url": f"{url}/attachments/{part.number}" if url else None,
    }
