"""All that is held about a person, and what is left of one who was erased, as JSON. Pure; the fields are those of
`api/schemas/people`."""

from audience.confirmations import Confirmation
from campaigns.erasing import Erased
from outcomes.exporting import AtAddress, Held, InCampaign, SentMail
from web.faces.contacts import contact_past_face, place_face, typed_face
from web.faces.suppressions import ended_face, suppression_face
from web.faces.topics import past_face, preference_face


def held_face(held: Held) -> dict[str, object]:
    """All that is held about a person, as `PersonExported`."""
    standing = held.standing
    return {
        "object": "person",
        "email": held.person.address,
        "contact": _contact(held),
        "segments": [place_face(place) for place in held.places],
        "history": [contact_past_face(past) for past in held.history],
        "left_all": standing.off,
        "paused_until": standing.paused_until,
        "topics": [preference_face(one) for one in standing.preferences],
        **_at(held.now),
        "earlier_addresses": [{"email": one.address} | _at(one) for one in held.earlier],
        "emails": [_mail(one) for one in held.mail],
        "more_emails": held.more_mail,
        "broadcasts": [_in_campaign(one) for one in held.campaigns],
        "events": [{"event": one.name, "payload": one.payload, "at": one.at} for one in held.told],
        "automations": [
            {"name": one.automation, "status": one.state, "reason": one.reason, "at": one.at, "ended_at": one.ended_at}
            for one in held.entered
        ],
    }


def erased_face(email: str, erased: Erased) -> dict[str, object]:
    """What became of a person, as `PersonErased`."""
    return {
        "object": "person",
        "email": email,
        "contact_id": erased.contact_id,
        "erased": True,
        "cancelled": erased.cancelled,
        "emails": erased.mails,
        "under_way": erased.under_way,
        "earlier_addresses": list(erased.earlier),
        "segments": [{"id": identifier, "name": name} for identifier, name in erased.segments],
    }


def _at(one: AtAddress) -> dict[str, object]:
    engaged = one.engagement
    return {
        "choices": [past_face(past) for past in one.choices],
        "suppressions": [suppression_face(entry) for entry in one.entries],
        "ended_suppressions": [ended_face(entry) for entry in one.ended],
        "signup": one.signup and _signup(one.signup),
        "engagement": engaged
        and {
            "last_open": engaged.opened_at,
            "last_click": engaged.clicked_at,
            "last_activity": engaged.active_at,
            "opens": engaged.opens,
            "clicks": engaged.clicks,
        },
    }


def _signup(one: Confirmation) -> dict[str, object]:
    wanted = one.wanted
    return {
        "email": one.email,
        "asked_at": one.asked_at,
        "confirmed_at": one.confirmed_at,
        "expires_at": one.expires_at,
        "ip": one.ip or None,
        "language": one.language,
        "form_id": one.form_id,
        "import_id": one.import_id,
        "first_name": wanted.first_name or None,
        "last_name": wanted.last_name or None,
        "properties": dict(wanted.properties),
        "topics": list(wanted.topics),
        "segments": list(wanted.segments),
        "consent": wanted.consent or None,
    }


def _in_campaign(one: InCampaign) -> dict[str, object]:
    return {
        "id": one.campaign_id,
        "name": one.name,
        "status": one.state,
        "reason": one.reason,
        "sent_at": one.queued_at,
        "ended_at": one.ended_at,
        "opened_at": one.opened_at,
        "clicked_at": one.clicked_at,
        "unsubscribed_at": one.unsubscribed_at,
        "complained_at": one.complained_at,
        "links": list(one.links),
    }


def _contact(held: Held) -> dict[str, object] | None:
    one = held.contact
    if one is None:
        return None
    return {
        "id": one.id,
        "email": one.email,
        "first_name": one.first_name,
        "last_name": one.last_name,
        "language": one.language,
        "time_zone": one.time_zone,
        "status": one.status,
        "confirmed_at": one.confirmed_at,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "properties": typed_face(one, held.definitions),
    }


def _mail(one: SentMail) -> dict[str, object]:
    return {
        "id": one.email_id,
        "to": one.recipient,
        "state": one.state,
        "created_at": one.created_at,
        "from": one.sender,
        "subject": one.subject,
        "tags": [{"name": name, "value": value} for name, value in one.tags],
        "stream": one.lane,
        "broadcast_id": one.campaign_id,
        "html": one.html,
        "text": one.text,
        "attachments": list(one.attachments),
        "events": [
            {
                "kind": event.kind,
                "at": event.at,
                "reply": event.reply,
                "detail": event.detail,
                "engagement": event.engagement and dict(event.engagement),
            }
            for event in one.events
        ],
    }
