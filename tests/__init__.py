"""Tests mirror the package; `journeys/` are whole stories, `browser/` drives a real Chromium.

What importing the bank makes stays as long as the process; looking through it for garbage again and again costs a fifth of a run.
So the collector works in large steps from the first import on, and `conftest.py` sets aside what there is before the first test.
"""

import gc

gc.set_threshold(50_000, 20, 20)
