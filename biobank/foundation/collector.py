"""The garbage collector, paused while the bank is imported.

Importing makes hundreds of models and statements that live as long as the process. Collecting meanwhile costs a fifth of the
start and frees nothing. Afterwards they are set aside (`gc.freeze`), so that later collections skip them.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause collecting; what is made inside is expected to stay until the process ends."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
