"""Flags switched for a test, in its own process."""

from collections.abc import Iterator
from contextlib import contextmanager

from flags import asking
from flags.asking import Flag, Switch


@contextmanager
def switched(flag: Flag, switch: Switch) -> Iterator[None]:
    """The flag stands like this in the block; afterwards all are as declared."""
    asking.hold({flag.name: switch}, None)
    try:
        yield
    finally:
        asking.hold({}, None)
