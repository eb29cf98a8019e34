"""How large a template and what it makes may be. Whoever writes templates shares the machine with everybody else."""

from typing import Final, NamedTuple

MAX_SOURCE: Final = 512 * 1024
"""Characters of one part. Gmail shows 102 KB of a mail."""
MAX_TOKENS: Final = 20_000
"""Words and signs inside `{{ }}` and `{% %}`, and the texts between: what compiling takes time for, 20 µs each."""
QUICK: Final = 500
"""Expressions and statements up to which a text without loops may be rendered where others wait."""
MAX_DEPTH: Final = 40
"""Levels of nesting: parentheses, conditions, chains of filters. CPython gives up at 100 levels of indentation."""
MAX_LOOPS: Final = 6
"""Loops within loops. CPython gives up at 20."""

MAX_OUTPUT: Final = 2 * 1024 * 1024
"""Characters that rendering makes."""
MAX_VALUE: Final = 256 * 1024
"""Characters of one value that is computed on the way."""
MAX_NUMBER: Final = 10**18
MAX_STEPS: Final = 50_000
"""Rounds of all loops of one rendering together."""
MAX_SECONDS: Final = 1.0
"""Processor time of one rendering: the second net, below what the counts let through. A 5 KB mail takes 50 µs. Not the
clock's time: on a busy machine that would make mail fail."""


class Bounds(NamedTuple):
    """What one rendering may take."""

    seconds: float = MAX_SECONDS
    """Of processor time."""
    output: int = MAX_OUTPUT
    """Characters."""


FULL: Final = Bounds()
