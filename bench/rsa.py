"""How many RSA-2048 signatures all cores together make in a second: the ceiling of whoever signs mail with RSA.

`signatures_per_second` starts one process a core (`python -m bench.rsa SECONDS`); they make their keys, say so, and
begin together when they are told to.
"""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

_SIGNED = b"x" * 1200
"""About what the signed headers of a mail have."""


async def signatures_per_second(seconds: float) -> float:
    """The sum over all cores, measured for `seconds`."""
    command = (sys.executable, "-m", "bench.rsa", str(seconds))
    root = Path(__file__).parent.parent  # where `-m bench.rsa` finds itself
    signers = [
        await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=root)
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        await asyncio.gather(*(_line(signer) for signer in signers))
        for signer in signers:
            assert signer.stdin is not None
            signer.stdin.write(b"go\n")
        return sum([float(made) for made in await asyncio.gather(*(_line(signer) for signer in signers))])
    finally:
        for signer in signers:
            if signer.returncode is None:
                signer.kill()
            await signer.wait()


async def _line(signer: Process) -> bytes:
    assert signer.stdout is not None
    return await signer.stdout.readline()


def sign_for(seconds: float) -> float:
    """Signatures a second of this process; waits for a line on standard input when its key is made."""
    key, padding, sha = generate_private_key(65537, 2048), PKCS1v15(), SHA256()
    print("ready", flush=True)
    sys.stdin.readline()
    made = 0
    begun = time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        key.sign(_SIGNED, padding, sha)
        made += 1
    return made / took


if __name__ == "__main__":
    print(sign_for(float(sys.argv[1])), flush=True)
