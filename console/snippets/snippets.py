"""Programs that send one mail, with the values of whoever reads. Pure; each is run by a test as it stands.

The key is not in them: programs take it from the environment, and so it does not end up in a repository.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HERE: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Values:
    """What is put in, quoted as each language wants it: an address may hold an apostrophe."""

    api: str
    """Where the API is, without a slash at the end."""
    smtp_host: str
    smtp_port: int
    sender: str
    """An address of a domain of theirs."""
    recipient: str

    @property
    def local(self) -> bool:
        """On this machine the submission port takes keys without TLS: its certificate is self-signed."""
        return self.smtp_host == HERE


@dataclass(frozen=True, slots=True)
class Snippet:
    """One program."""

    name: str
    """`curl`, `python`, `node` or `smtp`."""
    title: str
    note: str
    text: str


def snippets(values: Values) -> Sequence[Snippet]:
    """All of them; the same mail each."""
    return (_curl(values), _python(values), _node(values), _smtp(values))


def _quoted(text: str) -> str:
    """A text as JSON, Python and JavaScript write it."""
    return json.dumps(text, ensure_ascii=False)


def _in_shell(text: str) -> str:
    """A text as a shell passes it on; within single quotes only these mean something."""
    return "'" + text.replace("'", "'\\''") + "'"


def _curl(values: Values) -> Snippet:
    body = f"""{{
    "from": {_quoted(values.sender)},
    "to": {_quoted(values.recipient)},
    "subject": "Your receipt",
    "text": "Thank you."
  }}"""
    text = f"""\
curl {shlex.quote(f"{values.api}/emails")} \\
  -H "Authorization: Bearer $POSTLANE_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d {_in_shell(body)}
"""
    return Snippet("curl", "curl", "The answer holds the id of the email, and comes after it is stored.", text)


def _python(values: Values) -> Snippet:
    text = f"""\
import os

import resend

resend.api_key = os.environ["POSTLANE_API_KEY"]
resend.api_url = {_quoted(values.api)}
resend.Emails.send({{
    "from": {_quoted(values.sender)},
    "to": {_quoted(values.recipient)},
    "subject": "Your receipt",
    "text": "Thank you.",
}})
"""
    note = "With Resend's SDK (pip install resend), which speaks to this server once it has its address."
    return Snippet("python", "Python", note, text)


def _node(values: Values) -> Snippet:
    text = f"""\
process.env.RESEND_BASE_URL = {_quoted(values.api)};
const {{ Resend }} = await import("resend");

const resend = new Resend(process.env.POSTLANE_API_KEY);
const {{ data, error }} = await resend.emails.send({{
  from: {_quoted(values.sender)},
  to: {_quoted(values.recipient)},
  subject: "Your receipt",
  text: "Thank you.",
}});
if (error) throw new Error(error.message);
"""
    note = "With Resend's SDK (npm install resend). It reads the address when it is loaded, so that is set first."
    return Snippet("node", "Node", note, text)


def _smtp(values: Values) -> Snippet:
    tls = "" if values.local else "    server.starttls(context=ssl.create_default_context())\n"
    text = f"""\
import os
import smtplib
{"" if values.local else "import ssl" + chr(10)}from email.message import EmailMessage

mail = EmailMessage()
mail["From"] = {_quoted(values.sender)}
mail["To"] = {_quoted(values.recipient)}
mail["Subject"] = "Your receipt"
mail.set_content("Thank you.")

with smtplib.SMTP({_quoted(values.smtp_host)}, {values.smtp_port}) as server:
{tls}    server.login("postlane", os.environ["POSTLANE_API_KEY"])
    server.send_message(mail)
"""
    note = "Any program that speaks SMTP does, with any user name and the key as password. This is Python."
    return Snippet("smtp", "SMTP", note, text)
