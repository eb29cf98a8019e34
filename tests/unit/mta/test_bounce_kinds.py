"""One table says what a bounce of each class is: every class, by name."""

from mta.bounce_kinds import BOUNCE_KINDS, UNDETERMINED, Permanence, bounce_kind
from mta.rules import CLASSES
from suppression.rules import DEAD

PERMANENT = {
    "invalid_recipient", "inactive_mailbox", "bad_domain", "null_mx", "forbidden_target", "no_smtputf8",
}  # fmt: skip
NOT_UNDERSTOOD = {"unknown_after_dot", "unclassified_temporary", "unclassified_permanent"}
TRANSIENT = {
    "mailbox_full": "MailboxFull",
    "message_too_large": "MessageTooLarge",
    **dict.fromkeys(("spam_content", "prohibited_content", "malformed_message", "policy"), "ContentRejected"),
    **dict.fromkeys(
        (
            "mailbox_trouble", "recipient_rate", "recipient_policy", "routing", "relay_denied", "greylisted",
            "rate_limited", "too_many_connections", "domain_rate_limited", "ip_reputation", "blocklisted",
            "domain_reputation", "authentication", "tls_required", "sender_rejected", "too_many_recipients",
            "server_trouble", "protocol", "tls", "dns_temporary", "no_answer", "local_address", "proxy",
        ),
        "General",
    ),
}  # fmt: skip


def test_every_class_is_what_it_is() -> None:
    assert PERMANENT | NOT_UNDERSTOOD | set(TRANSIENT) | {"accepted"} == set(CLASSES)
    assert set(BOUNCE_KINDS) == set(CLASSES) - {"accepted"}
    assert {klass: bounce_kind(klass) for klass in PERMANENT} == dict.fromkeys(PERMANENT, ("permanent", "General"))
    assert {klass: bounce_kind(klass) for klass in TRANSIENT} == {k: ("transient", sub) for k, sub in TRANSIENT.items()}
    assert {bounce_kind(klass) for klass in (*NOT_UNDERSTOOD, "", "unclassified", "of a later version")} == {
        UNDETERMINED
    }


def test_what_suppresses_for_good_is_permanent() -> None:
    assert {bounce_kind(klass).permanence for klass in DEAD} == {Permanence.PERMANENT}
