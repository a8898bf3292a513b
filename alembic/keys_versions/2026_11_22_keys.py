"""The store of donor keys.

Revision ID: keys
"""

import sqlalchemy as sa

from alembic import op

revision = "keys"
down_revision = None
serves_from = "keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "subject_key",
        sa.Column("subject", sa.Text(), primary_key=True),
        sa.Column("wrapped", sa.LargeBinary()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("destroyed_at", sa.DateTime(timezone=True)),
    )
    op.execute(
        """DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'biobank_app') THEN CREATE ROLE biobank_app NOLOGIN; END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"""
    )
    op.execute("GRANT USAGE ON SCHEMA public TO biobank_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON subject_key TO biobank_app")


def downgrade() -> None:
    op.drop_table("subject_key")
