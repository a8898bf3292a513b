"""Which Chromium the browser tests and the screenshots drive, and how it is started."""

import os
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Playwright

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


def find_chromium(playwright: Playwright) -> str | None:
    """Return the Chromium to use: `BIOBANK_TEST_CHROMIUM`, one on the PATH, or Playwright's own; None when there is none."""
    for candidate in (os.environ.get("BIOBANK_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if candidate and (found := shutil.which(candidate)):
            return found
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def launch(playwright: Playwright, executable: str, *more: str) -> Browser:
    """Start it; `more` arguments are for a camera fed from a file."""
    return playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS, *more])
