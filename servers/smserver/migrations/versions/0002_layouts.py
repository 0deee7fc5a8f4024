"""Layouts of users."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "layout",
        sa.Column("user_id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("revision", BIG, nullable=False, comment="µs since 1970 of the last change, the number in the ETag."),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "name", name=op.f("pk_layout")),
        comment="How users arrange their windows; each belongs to one user.",
    )


def downgrade() -> None:
    op.drop_table("layout")
