"""Documents that exist once per site."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "document",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("revision", BIG, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_document")),
        comment="What exists once per site: the configuration of clients, and the releases that were announced.",
    )


def downgrade() -> None:
    op.drop_table("document")
