"""The judge of `simulator/reputation.py` at work in the running practice internet, with days that pass faster.

Owns the scale of time and the complaints of simulated people. Switched on and off by `simulator/control.py`, asked by
`simulator/mailroom.py` for each mail; while it is off nothing of it exists.
"""

from dataclasses import dataclass

from simulator.reputation import DAY, Judge, Judgement, Opinion


@dataclass(frozen=True, slots=True)
class ReputationSettings:
    """How the providers judge IPs while that is switched on."""

    day_seconds: float = DAY
    """Real seconds in which a simulated day passes."""
    seed: int = 1
    strictness: float = 1.0
    """2 halves what the providers give to newcomers, how fast they let them grow, and their patience."""
    complaints: float = 0.0
    """Of the mails accepted, how many are reported as spam."""


class Judging:
    """One run of judging. Times are real ones, in seconds; a `site` is a provider, or a small server by itself."""

    def __init__(self, settings: ReputationSettings, now: float) -> None:
        """`now` is the beginning of the first simulated day; ValueError for settings that are none."""
        if not settings.day_seconds > 0:
            raise ValueError(f"day_seconds must be above 0, not {settings.day_seconds}")
        self.settings = settings
        self._judge = Judge(settings.seed, settings.strictness)
        self._began = now
        self._complaints = 0.0

    def days(self, now: float) -> float:
        """Simulated days since it was switched on."""
        return self._time(now) / DAY

    def opinions(self, now: float) -> list[Opinion]:
        """What is thought of each IP."""
        return self._judge.opinions(self._time(now))

    def look(self, site: str, client: str, now: float) -> Judgement:
        """What the next mail would meet. Counts nothing."""
        return self._judge.look(site, client, self._time(now))

    def meet(self, site: str, client: str, now: float) -> Judgement:
        """What one mail meets. Counted, and now and then complained about."""
        time = self._time(now)
        met = self._judge.meet(site, client, 1, time)
        if not met.accepted:
            return Judgement.BLOCK if met.blocked else Judgement.THROTTLE
        self._complaints += self.settings.complaints
        if self._complaints >= 1:
            self._complaints -= 1
            self._judge.complained(site, client, 1, time)
        return Judgement.ACCEPT

    def unknown(self, site: str, client: str, now: float) -> None:
        """A mail is for a mailbox that does not exist."""
        self._judge.unknown(site, client, 1, self._time(now))

    def _time(self, now: float) -> float:
        return max(0.0, now - self._began) * DAY / self.settings.day_seconds
