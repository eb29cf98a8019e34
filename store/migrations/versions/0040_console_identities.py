"""Who signs in to the console by a provider of OpenID Connect: one identity is one user."""

from alembic import op

from store.online import change

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change(
        "CREATE TABLE IF NOT EXISTS console_identities (issuer text NOT NULL, subject text NOT NULL,"
        " user_id uuid NOT NULL UNIQUE REFERENCES console_users ON DELETE CASCADE, made boolean NOT NULL,"
        " created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (issuer, subject))"
    )


def downgrade() -> None:
    op.execute("DROP TABLE console_identities")
