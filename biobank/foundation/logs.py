"""What the service writes about itself. A fault is written with its place in the code and without the values it met there: those
may be names, birth dates and passwords.
"""

import structlog


def set_up() -> None:
    """Let loggers write lines for people, tracebacks without local variables."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    )
