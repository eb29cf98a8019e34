"""How long each step of an SMTP conversation may take."""

from dataclasses import dataclass

FRESH_SECONDS = 5.0
"""A connection that was silent for longer may have been closed by its server without our knowing. There a mail goes by
DATA: when nobody answers, it was not taken. Servers grant minutes; Postfix under stress 10 s."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait in each phase. RFC 5321 section 4.5.3.2 where it has a figure; `dot` is its 10 minutes, because a
    shorter one doubles mail at slow receivers (RFC 1047)."""

    connect: float = 30.0
    """Not in the RFC: a SYN unanswered for 30 s is a dead host, and there are others to try."""
    banner: float = 300.0
    ehlo: float = 300.0
    tls: float = 30.0
    """STARTTLS and the handshake: machines talk to each other here, no queue is searched."""
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    block: float = 180.0
    dot: float = 600.0
    quit: float = 2.0
    """Nothing depends on the answer."""
    opening: float = 300.0
    """From the connection until the server is ready for mail, all steps together: RFC 5321 grants that much to the
    banner alone, and a server that uses up each step's time would hold a mail for half an hour."""
    whole: float = 600.0
    """From MAIL to the end of the body, all steps together, plus the time that `slowest` grants to the size."""
    slowest: int = 16 * 1024
    """Bytes a second that a server must take on the average (Postfix's `smtp_min_data_rate` is 500): at this rate 40 MB
    take 43 minutes."""

    @property
    def opened(self) -> tuple[float, float, float]:
        """Those of the replies to MAIL, RCPT and DATA in one write."""
        return self.mail, self.rcpt, self.data
