"""What the service writes about itself. A fault is written with its place in the code and without the values it met there: those
may be names, birth dates and passwords. What is written while a request is answered bears its
name (`operations/request_names.py`).
"""

import sys
from typing import Final

import structlog
from structlog.typing import Processor

REQUEST: Final = "request_id"
"""The member of a line that names the request it is about."""
REQUEST_HEADER: Final = "X-Request-ID"


def request_name() -> str | None:
    """Return the name of the request that is being answered; None where none is."""
    name: str | None = structlog.contextvars.get_contextvars().get(REQUEST)
    return name


def set_up() -> None:
    """Let loggers write a JSON object a line, or lines for people where standard output is a terminal.

    Tracebacks are without local variables. What came from a caller stays inside its string, whatever characters it has.
    """
    for_people: list[Processor] = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    for_programs: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(for_people if sys.stdout.isatty() else for_programs),
        ]
    )
