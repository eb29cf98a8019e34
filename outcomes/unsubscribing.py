"""One mail to `unsubscribe+<token>@`: the mailto form of List-Unsubscribe (RFC 2369, RFC 8058 section 3.1).

The sealed link in the subject says all and never ends. Where a mail program dropped or changed the subject, the token
in the address names the mail, as long as that is stored. What the mail says besides is not read.
"""

import re
from typing import Final

from audience.choices import Act, Person
from audience.links import LONGEST, LinkSeal, MailLink
from core.secrets import InstanceSecret
from messages import choosing
from messages.model import MessageRef
from mta import return_path
from mta.report_parts import decoded_words, read_parts
from outcomes.inbound import InboundMail
from store.database import Connection
from suppression.reasons import Source

_HEAD: Final = 64 * 1024
"""Octets in which the subject is looked for."""
_LINK: Final = re.compile(rf"[A-Za-z0-9_-]{{90,{LONGEST}}}")


def is_unsubscribing(secret: InstanceSecret, mail: InboundMail) -> bool:
    """Whether it came to an unsubscribe address of ours."""
    return return_path.parse_unsubscribe(secret, mail.envelope_to) is not None


async def work_off(connection: Connection, secret: InstanceSecret, mail: InboundMail) -> bool:
    """Do what the mail wants, within the caller's transaction; False when nobody knows what that was any more."""
    link = _in_subject(secret, mail.raw) or await _by_token(connection, secret, mail)
    if link is None:
        return False
    act = Act(Source.MAILTO, "", link.email_id, link.position)
    await choosing.unsubscribe(connection, Person(link.application_id, link.address), link.topic_id, act)
    return True


def _in_subject(secret: InstanceSecret, raw: bytes) -> MailLink | None:
    """Folding may have put blanks into it, and an answer a `Re:` in front."""
    subject = decoded_words(read_parts(raw[:_HEAD])[0].first("subject"))
    found = _LINK.search("".join(subject.split()).rpartition(":")[2])
    return LinkSeal(secret).read(found[0]) if found else None


async def _by_token(connection: Connection, secret: InstanceSecret, mail: InboundMail) -> MailLink | None:
    named = return_path.parse_unsubscribe(secret, mail.envelope_to)
    return await choosing.link_of(connection, MessageRef(*named)) if named else None
