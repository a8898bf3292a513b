"""An act of the example bank that its person signs, as a page would let them."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.demo.stage import Stage

B = TypeVar("B", bound=BaseModel)


def sign_and_do(
    session: Session, stage: Stage, name: str, at: datetime, meaning: Meaning, use_case: Callable[..., Any], body: B
) -> Any:
    """Let `name` sign and run `use_case(session, act, request=body)`; return its answer."""
    act = replace(stage.act(name, at), request_hash=hashlib.sha256(f"{meaning} {name} {body!r}".encode()).digest())
    signed = stage.signs(session, act, name, meaning)
    return use_case(session, act, request=body.model_copy(update={"signature": signed}))
