"""What happened to the mail, by whatever one may ask?"""

from console.reports.routes import NOUN

__all__ = ["NOUN"]
