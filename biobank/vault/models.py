"""The vault's table. Rows of a subject are deleted when the subject is erased; the log keeps only the commitment."""

from datetime import datetime

from sqlalchemy import Column, LargeBinary, Text
from sqlmodel import Field, SQLModel

from biobank.foundation.db import table_of, when


class VaultDocument(SQLModel, table=True):
    """One encrypted document about one subject, named by its commitment."""

    __tablename__ = "vault_document"
    __table_args__ = {"info": {"app_may_delete": True}}

    commit: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    subject: str = Field(sa_column=Column(Text, nullable=False, index=True))
    ciphertext: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    written_at: datetime = Field(sa_column=when())


# The tables, by the names under which everybody imports them.
vault_document = table_of(VaultDocument)
