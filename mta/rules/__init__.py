"""The reply rules: data in TOML, one file per mailbox provider and `generic.toml` for everybody.

This folder owns the rule files and their vocabulary; `reading` makes `Rule`s of a file, `mta/replies` decides by them.

A file is a list of `[[rule]]` tables, and may start with `provider = ["gmail"]` for all of its rules. A rule has

    id         unique name, shown wherever the rule decided something
    provider   providers it speaks for; without it, everybody
    anywhere   true: the words or codes are the provider's own, and decide at servers that belong to nobody known too
    phase      phases it applies to ("rcpt", "dot", …); without it, all
    code       SMTP codes: 421 exactly, or a class as "4xx"
    enhanced   RFC 3463 codes: "5.1.1", "*.2.2", "5.7.*"; a reply without such a code then does not match
    text       regular expression, searched in the lower-cased text (see below)
    trouble    what we saw instead of a reply ("timeout", "null_mx", …); a rule has code, trouble or both (either fits)
    action     one of mta.model.Action
    class      one of CLASSES
    scope      one of mta.model.Scope
    suppress   true: the mailbox is dead. Needs action "bounce" and scope "recipient"; never applies to x.7.x codes,
               nor to words of rates, patience and trust: those speak about us
    wait       seconds to wait or to rest, 30 to 14400; a time in the reply's own words goes first
    uncertain  true: the mail may have been taken
    source     where such replies are documented
    matches    samples that this rule must decide
    near_miss  samples close by that it must leave alone

All conditions that are there must hold. A sample is written as it stands in a log, `550 5.1.1 User unknown`, with the
phase in front when it is not rcpt (`dot: 554 …`), and `!` for a trouble (`connect: !timeout`).

**Order.** Rules that name the provider come before rules for everybody; within each, file by file in the order given to
`load_rules`, and in a file from top to bottom. The first that fits decides. So the certain comes before the general,
words before codes, and the last rule of `generic.toml` has no condition but the code. For a server of nobody known all
rules that hold `anywhere` stand among those for everybody, in the place of their file.

**Patterns** are bounded, so that no reply can make the matcher slow: no `*`, `+` or open `{n,}`, no repeated groups, no
back-references, no capitals, and the bounds of one pattern multiply to 10,000 at most. `.{0,40}` is the usual gap.
"""

from typing import Final

CLASSES: Final = {
    "accepted": "taken by the remote server",
    "invalid_recipient": "the mailbox does not exist",
    "inactive_mailbox": "the mailbox exists no more, or is disabled",
    "mailbox_full": "the mailbox is over its quota",
    "mailbox_trouble": "the mailbox cannot be written to just now",
    "recipient_rate": "this recipient gets more mail than the provider lets through",
    "recipient_policy": "the recipient, or its organisation, does not take this kind of mail",
    "bad_domain": "the recipient's domain does not exist or has no mail server",
    "null_mx": "the recipient's domain says that it takes no mail (RFC 7505)",
    "forbidden_target": "the recipient's mail servers have no public address",
    "routing": "the remote side cannot route the mail: loops, wrong relays, hop counts",
    "relay_denied": "the server does not serve this domain",
    "greylisted": "refused the first time on purpose; the same IP should come back",
    "rate_limited": "too much mail from this IP",
    "too_many_connections": "too many connections, or mails per connection, from this IP",
    "domain_rate_limited": "too much mail from, or too little trust in, the sending domain",
    "ip_reputation": "the provider distrusts this IP",
    "blocklisted": "this IP is on a blocklist",
    "domain_reputation": "the provider distrusts the sending domain, or a domain in the mail",
    "authentication": "SPF, DKIM, DMARC, reverse DNS or the EHLO name failed a check",
    "tls_required": "the server takes mail only over TLS",
    "sender_rejected": "the envelope or header sender is not accepted",
    "spam_content": "the content looks like spam",
    "prohibited_content": "a virus, or a kind of attachment that is not taken",
    "message_too_large": "larger than the server or the mailbox takes",
    "malformed_message": "header or body breaks a rule of the message format",
    "too_many_recipients": "more recipients than the server takes at once",
    "policy": "refused by a rule of the provider that it does not explain",
    "server_trouble": "the remote server has a problem of its own",
    "protocol": "the two servers did not understand each other",
    "tls": "TLS could not be set up or broke",
    "dns_temporary": "a DNS server did not answer, or said to ask later",
    "no_answer": "no connection, or it broke before the mail was sent",
    "local_address": "our own source address cannot be used",
    "proxy": "the SOCKS proxy of our own source address cannot be used",
    "no_smtputf8": "the address needs SMTPUTF8 and the server does not have it (RFC 6531)",
    "unknown_after_dot": "all was sent and no answer came: it may have been taken",
    "unclassified_temporary": "a temporary refusal in words that no rule knows",
    "unclassified_permanent": "a permanent refusal in words that no rule knows",
}
"""Every class of reply, with its meaning."""
