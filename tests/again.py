"""`python -m tests.again`: the few tests that failed in the last run once more, alone.

What was late because of its neighbours passes then; its name is printed, and it wants to be mended. Where many failed,
or the run itself broke, nothing is tried again.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

MOST: Final = 10
_LAST_FAILED: Final = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """The exit code of that run; 1 where there is none."""
    failed = sorted(json.loads(_LAST_FAILED.read_text())) if _LAST_FAILED.exists() else []
    if not 0 < len(failed) <= MOST or not all("::" in name for name in failed):
        return 1
    print(
        f"== {len(failed)} once more, alone. What passes now depends on how busy the machine is: mend it.", flush=True
    )
    return subprocess.run([sys.executable, "-m", "pytest", "-v", *failed], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
