"""The answer of `/healthz`."""

from typing import Literal

from pydantic import BaseModel


class Health(BaseModel):
    """The process answers, and so does its database."""

    status: Literal["ok"]
