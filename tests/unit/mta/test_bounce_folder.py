"""Bounce mails of others, when a folder of them is named by POSTLANE_BOUNCE_CORPUS: nearly all are understood.

Such collections are not ours to keep here. One mail a file, in any depth; docs/inbound.md tells what ours came to.
POSTLANE_BOUNCE_SHARE is the share that has to be read, 0.97 unless named.
"""

import os
from pathlib import Path

from mta.bounces import parse_bounce

FOLDER = os.environ.get("POSTLANE_BOUNCE_CORPUS", "")

if FOLDER:

    def test_nearly_all_of_them_are_read() -> None:
        files = [file for file in sorted(Path(FOLDER).rglob("*")) if file.is_file()]
        unread = [str(file) for file in files if parse_bounce(file.read_bytes()) is None]

        assert files
        assert len(unread) <= (1 - float(os.environ.get("POSTLANE_BOUNCE_SHARE", "0.97"))) * len(files), unread
