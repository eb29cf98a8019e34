"""The rules of suppression as the settings have them. For whoever puts processes together."""

from datetime import timedelta

from core.settings import Settings
from suppression.rules import SoftBounceRule


def soft_bounce_rule(settings: Settings) -> SoftBounceRule:
    """When soft bounces suppress."""
    rest = settings.soft_bounce_rest_days
    return SoftBounceRule(settings.soft_bounce_count, settings.soft_bounce_days, timedelta(days=rest) if rest else None)


def narrow_complaints(settings: Settings) -> bool:
    """Whether a complaint forbids only the mail of the application that it was about."""
    return settings.complaints_for == "application"
