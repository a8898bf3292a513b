"""The table of what a site allows its materials. Its rules are in `limits.py`."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Text
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of


class MaterialLimit(SQLModel, table=True):
    """What a site allows a material in one condition: seconds of use, out of the cold, in cryoprotectant; the last passage."""

    __tablename__ = "material_limit"
    __table_args__ = (
        CheckConstraint("use_by_s > 0 AND warm_amber_s > 0 AND warm_red_s >= warm_amber_s", name="limits_are_in_order"),
        CheckConstraint("(warm_amber_s IS NULL) = (warm_red_s IS NULL)", name="a_budget_has_amber_and_red"),
        CheckConstraint("warm_red_s IS NULL OR source IS NOT NULL", name="a_budget_has_a_source"),
        CheckConstraint("contact_s > 0 AND to_tank_s > 0 AND highest_passage >= 0", name="limits_of_work_are_counted"),
    )

    site_code: str = Field(sa_column=Column(Text, ForeignKey("site.code"), primary_key=True))
    material: str = Field(sa_column=Column(Text, primary_key=True))
    condition: str = Field(sa_column=Column(Text, primary_key=True))
    use_by_s: int | None = Field(default=None, sa_column=Column(Integer))
    warm_amber_s: int | None = Field(default=None, sa_column=Column(Integer))
    warm_red_s: int | None = Field(default=None, sa_column=Column(Integer))
    contact_s: int | None = Field(default=None, sa_column=Column(Integer))
    to_tank_s: int | None = Field(default=None, sa_column=Column(Integer))
    highest_passage: int | None = Field(default=None, sa_column=Column(Integer))
    source: str | None = Field(default=None, sa_column=Column(Text))
    set_by: str = Field(sa_column=Column(Text, nullable=False))
    event_hash: bytes = Field(sa_column=Column(LargeBinary, ForeignKey("event.leaf_hash"), nullable=False))


material_limit = table_of(MaterialLimit)
