"""An application with domains, keys and pools, written straight into the tables, and a body that is accepted."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.directory import token_hash
from accounts.repository import operators
from core.ids import uuid7
from store.database import Connection, Database


@dataclass(frozen=True, slots=True)
class Account:
    """What a test needs to know of what is in the database."""

    application_id: UUID
    domain_id: UUID
    full: str = "pl_full_access"
    sending: str = "pl_sending_access"
    bound: str = "pl_bound_to_other"
    """May only send from `other.example`."""
    test: str = "pl_test_full_access"
    """Its mail is captured."""
    stranger: str = "pl_another_application"
    operator: str = "pl_operator"
    """Runs pools and IPs; of no application."""


async def make_account(database: Database) -> Account:
    """Domains: acme.example and bücher.example (verified), other.example (verified), new.example (pending)."""
    application, stranger = uuid7(), uuid7()
    domains = {name: uuid7() for name in ("acme.example", "xn--bcher-kva.example", "other.example", "new.example")}
    account = Account(application, domains["acme.example"])
    async with database.transaction() as connection:
        for identifier, name in ((application, "acme"), (stranger, "stranger")):
            await connection.execute("INSERT INTO applications (id, name) VALUES (%s, %s)", [identifier, name])
        for name, identifier in domains.items():
            await connection.execute(
                "INSERT INTO domains (id, application_id, name, return_path_domain, status)"
                " VALUES (%s, %s, %s, %s, %s)",
                [identifier, application, name, f"bounce.{name}", "pending" if name == "new.example" else "verified"],
            )
        for token, owner, permission, domain in (
            (account.full, application, "full_access", None),
            (account.sending, application, "sending_access", None),
            (account.bound, application, "sending_access", domains["other.example"]),
            (account.test, application, "full_access", None),
            (account.stranger, stranger, "full_access", None),
        ):
            await connection.execute(
                "INSERT INTO api_keys (id, application_id, name, token_hash, hint, permission, domain_id, test)"
                " VALUES (%s, %s, 'k', %s, 'pl_…', %s, %s, %s)",
                [uuid7(), owner, token_hash(token), permission, domain, token == account.test],
            )
        await create_key_of_operator(connection, account.operator)
        for name, lane in (("main", "transactional"), ("bulk", "marketing")):
            await connection.execute(
                "INSERT INTO pools (id, name, lane, is_default) VALUES (%s, %s, %s, true)", [uuid7(), name, lane]
            )
    return account


async def create_key_of_operator(connection: Connection, token: str) -> None:
    """An operator's key with this token."""
    owner = await operators(connection)
    await connection.execute(
        "INSERT INTO api_keys (id, application_id, name, token_hash, hint, permission)"
        " VALUES (%s, %s, 'ops', %s, 'pl_…', 'operator')",
        [uuid7(), owner.id, token_hash(token)],
    )


def email(**changes: Any) -> dict[str, Any]:
    """A body of `POST /emails` that is accepted; a change to None leaves the field out."""
    body: dict[str, Any] = {
        "from": "Acme <hello@acme.example>",
        "to": ["bob@example.com"],
        "subject": "Your receipt",
        "text": "Thank you.",
    }
    body.update({"from" if key == "sender" else key: value for key, value in changes.items()})
    return {key: value for key, value in body.items() if value is not None}
