"""Sign-up forms as JSON, and as HTML for pages of others. Pure; the fields are those of `api/schemas/forms`."""

from dataclasses import asdict
from html import escape

from audience.confirmations import Figures
from audience.forms import NAMES, Form


def form_face(form: Form, figures: Figures, public_url: str) -> dict[str, object]:
    """A form."""
    facts = form.facts
    return {
        "object": "form",
        "id": form.id,
        "name": facts.name,
        "from": facts.sender,
        "segment_id": facts.segment_id,
        "topics": list(facts.topics),
        "fields": [asdict(one) for one in facts.fields],
        "language": facts.language,
        "texts": {code: asdict(texts) for code, texts in facts.texts.items()},
        "origins": list(facts.origins),
        "welcome": facts.welcome,
        "url": f"{public_url}/s/{form.id}" if public_url else None,
        "embed": embedded(form, public_url) if public_url else None,
        "figures": asdict(figures),
        "created_at": form.created_at,
        "updated_at": form.updated_at,
    }


def embedded(form: Form, public_url: str) -> str:
    """HTML that works without a script; with ours it may be used more often. Topics to choose from are asked on the
    hosted page, where the form leads when one is missing."""
    url = f"{escape(public_url)}/s/{form.id}"
    lines = [
        f'<form method="post" action="{url}" data-postlane data-challenge="{url}/challenge">',
        '  <label>E-mail <input type="email" name="email" required maxlength="254"></label>',
        *(_field(form, key) for key in [one.key for one in form.facts.fields]),
        '  <input type="text" name="website" tabindex="-1" autocomplete="off" aria-hidden="true"'
        ' style="position:absolute;left:-99rem">',
        "  <button>Sign up</button>",
        "</form>",
        f'<script src="{escape(public_url)}/static/signup.js" defer></script>',
    ]
    return "\n".join(lines)


def _field(form: Form, key: str) -> str:
    asked = next(one for one in form.facts.fields if one.key == key)
    label = form.label(asked, form.facts.language) or key.replace("_", " ").capitalize()
    name = key if key in NAMES else f"p.{key}"
    needed = " required" if asked.required else ""
    return f'  <label>{escape(label)} <input type="text" name="{escape(name)}" maxlength="200"{needed}></label>'
