"""Campaigns as JSON, in the API's answers and in `--json`: Resend calls one a *broadcast*. Pure; the fields are those
of `api/schemas/broadcasts`."""

from dataclasses import asdict

from campaigns import experiment, plan, tallies, utm
from campaigns.model import Campaign
from campaigns.report import Kind, Link, Part, Recipient, Report
from campaigns.states import CampaignState, RowState
from campaigns.trying import Preview

_STATUS = {
    CampaignState.DRAFT: "draft",
    CampaignState.FINISHED: "sent",
    CampaignState.CANCELLED: "sent",
}
"""Resend's word for a state; every other is `queued`."""


def broadcast_face(found: Campaign) -> dict[str, object]:
    """One of a list."""
    return {
        "id": found.id,
        "name": found.name,
        "audience_id": found.segment_id,
        "segment_id": found.segment_id,
        "status": _STATUS.get(found.state, "queued"),
        "created_at": found.created_at,
        "scheduled_at": found.scheduled_at,
        "sent_at": found.started_at,
        "state": found.state.value,
        "reason": found.why,
        "window_opens_at": found.window_opens_at,
        "ended_at": found.ended_at,
        "people": people_face(found),
    }


def broadcast_answer(found: Campaign) -> dict[str, object]:
    """One by itself."""
    words = found.words
    return {"object": "broadcast"} | broadcast_face(found) | {
        "from": words.sender,
        "subject": words.subject,
        "reply_to": list(words.reply_to) or None,
        "preview_text": words.preview_text or None,
        "topic_id": found.topic_id,
        "template_id": found.template_id,
        "html": words.html,
        "text": words.text,
        "tags": [{"name": name, "value": value} for name, value in found.tags],
        "open_tracking": found.open_tracking,
        "click_tracking": found.click_tracking,
        "plan": plan.to_json(found.plan),
        "experiment": experiment.to_json(found.experiment),
        "languages": {tag: dict(said) for tag, said in found.languages.items()},
        "utm": utm.to_json(found.utm),
        "archive": found.archive.access,
        "archive_url": found.archive.url(found.id) or None,
        "archive_list_url": found.archive.list_url(found.application_id) or None,
        "follows": {"broadcast_id": found.follow.campaign_id, "to": found.follow.whom} if found.follow else None,
    }  # fmt: skip


def preview_face(found: Campaign, made: Preview) -> dict[str, object]:
    """What somebody gets."""
    return {
        "object": "broadcast_preview", "id": found.id, "language": made.language or None, "from": made.sender,
        "subject": made.subject, "html": made.html, "text": made.text,
    }  # fmt: skip


def people_face(found: Campaign) -> dict[str, int]:
    """How many people there are, and how many in each state; then marks, which several states share."""
    states = {state.value: found.tallies.get(state.value, 0) for state in RowState}
    marks = {name: found.tallies.get(name, 0) for name in (tallies.OPENED, tallies.CLICKED, tallies.COMPLAINED)}
    return {"total": tallies.people(found.tallies), **states, **marks, "left": found.tallies.get(tallies.LEFT, 0)}


def recipient_face(one: Recipient, kind: Kind | None = None) -> dict[str, object]:
    """One person's row; `count` is of what was asked for."""
    counts = {Kind.OPENED: one.opens, Kind.CLICKED: sum(n for _, n in one.clicks)}
    return {
        "id": one.contact_id,
        "contact_id": one.contact_id,
        "email": one.email,
        "count": counts.get(kind) if kind else None,
        "clicked_links": [{"url": url, "clicks": n} for url, n in one.clicks],
        "bounce_type": one.bounce_type,
        "state": one.state.value,
        "reason": one.reason,
        "email_id": one.email_id,
        "variant": one.variant,
        "provider": one.provider,
        "ip": one.ip,
        "queued_at": one.queued_at,
        "ended_at": one.ended_at,
        "opened_at": one.opened_at,
        "clicked_at": one.clicked_at,
        "unsubscribed_at": one.unsubscribed_at,
        "complained_at": one.complained_at,
    }


def link_face(link: Link) -> dict[str, object]:
    """A link that people followed."""
    return {"id": link.id, "url": link.url, "clicks": link.clicks, "unique_clicks": link.people}


def report_face(found: Report) -> dict[str, object]:
    """All figures of a campaign."""
    return {
        "object": "broadcast_report",
        "id": found.campaign.id,
        "state": found.campaign.state.value,
        "reason": found.campaign.reason,
        "people": people_face(found.campaign),
        "whole": _part(found.whole),
        "by_provider": [_part(one) for one in found.by["provider"]],
        "by_ip": [_part(one) for one in found.by["ip"]],
        "by_variant": [_part(one) for one in found.by["variant"]],
        "by_hour": [_part(one) for one in found.by["hour"]],
        "links": [link_face(link) for link in found.links],
    }


def _part(part: Part) -> dict[str, object]:
    return asdict(part)
