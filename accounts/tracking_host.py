"""Whether recipients can follow links to a tracking host: does our public server show a certificate for it?

The record alone does not tell: an alias that leads to us is worth nothing while our TLS proxy has no certificate of
that name. The connection goes to our own public name and to no address that a stranger's DNS could have chosen.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

from accounts.records import Alias


async def certificate_trouble(
    alias: Alias, public_url: str, within: float, context: ssl.SSLContext | None = None
) -> str:
    """What is wrong with the certificate, in a sentence; "" when nothing is, nothing is encrypted, or our own server
    cannot be reached from here, as behind some routers."""
    where = urlsplit(public_url)
    if where.scheme != "https" or not where.hostname:
        return ""
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(
                where.hostname,
                where.port or 443,
                ssl=context or ssl.create_default_context(),
                server_hostname=alias.name,
            )
            writer.close()
    except ssl.SSLCertVerificationError as error:
        return f"The server at {alias.target} shows no valid certificate for {alias.name}: {error.verify_message}."
    except ssl.SSLError as error:
        return f"The server at {alias.target} refuses TLS for {alias.name}: {error.reason}."
    except (OSError, TimeoutError):
        return ""
    return ""
