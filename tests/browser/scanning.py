"""What a gun does to a page."""

import time

from playwright.sync_api import Page

KEYS = {"-": "Minus", "/": "Slash", ":": "Semicolon", ".": "Period", " ": "Space"}


def scan(page: Page, text: str) -> None:
    """Scan into a page that has finished loading: a person sees it before they pull the trigger."""
    page.wait_for_load_state()
    page.locator("html[data-scan-ready]").wait_for(state="attached")
    shoot(page, text)


def shoot(tab: Page, text: str, delay: float = 0, suffix: str = "Enter", layout: dict[str, str] | None = None) -> None:
    """Do what a gun does: the keys of the label `delay` ms apart by their own time stamps, then its suffix.

    The stamps are given, not waited for, so that a busy test machine does not turn a gun into a slow typist. `layout` says
    which character the computer makes of a US key.
    """
    session = tab.context.new_cdp_session(tab)
    at = time.time()
    for character in text:
        upper = character.upper()
        code = KEYS.get(character) or (f"Digit{upper}" if upper.isdigit() else f"Key{upper}")
        shown = (layout or {}).get(character, character)
        stroke: dict[str, object] = {"key": shown, "code": code, "modifiers": 8 if character == ":" or character.isupper() else 0}
        session.send("Input.dispatchKeyEvent", {"type": "keyDown", "text": shown, "timestamp": at, **stroke})
        session.send("Input.dispatchKeyEvent", {"type": "keyUp", "timestamp": at, **stroke})
        at += delay / 1000
    for ending in suffix.split():
        number, mark = (13, "\r") if ending == "Enter" else (9, "")
        last: dict[str, object] = {"key": ending, "code": ending, "windowsVirtualKeyCode": number, "text": mark, "timestamp": at}
        session.send("Input.dispatchKeyEvent", {"type": "keyDown" if mark else "rawKeyDown", **last})
        session.send("Input.dispatchKeyEvent", {"type": "keyUp", "timestamp": at, "key": ending, "code": ending})
        at += delay / 1000
    session.detach()


def burst(tab: Page, strokes: list[str], delay: float = 4) -> None:
    """Send what a gun sends that is set up otherwise: characters, and keys by name (`F8`, `Control+c`, `Enter`, `Alt+065`)."""
    session = tab.context.new_cdp_session(tab)
    at = time.time()

    def send(kind: str, **stroke: object) -> None:
        session.send("Input.dispatchKeyEvent", {"type": kind, "timestamp": at, **stroke})

    for stroke in strokes:
        if stroke.startswith("Alt+"):
            send("rawKeyDown", key="Alt", code="AltLeft", modifiers=1, windowsVirtualKeyCode=18)
            for digit in stroke[4:]:
                send("rawKeyDown", key=digit, code=f"Numpad{digit}", modifiers=1, windowsVirtualKeyCode=96 + int(digit))
                send("keyUp", key=digit, code=f"Numpad{digit}", modifiers=1)
            send("keyUp", key="Alt", code="AltLeft", windowsVirtualKeyCode=18)
        elif stroke.startswith("Control+"):
            letter = stroke[-1]
            send("rawKeyDown", key=letter, code=f"Key{letter.upper()}", modifiers=2, windowsVirtualKeyCode=ord(letter.upper()))
            send("keyUp", key=letter, code=f"Key{letter.upper()}", modifiers=2)
        elif stroke == "Enter":
            send("keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
            send("keyUp", key="Enter", code="Enter", windowsVirtualKeyCode=13)
        elif len(stroke) > 1:
            send("rawKeyDown", key=stroke, code=stroke, windowsVirtualKeyCode=111 + int(stroke[1:]) if stroke[0] == "F" else 27)
            send("keyUp", key=stroke, code=stroke)
        else:
            upper = stroke.upper()
            code = KEYS.get(stroke) or (f"Digit{upper}" if upper.isdigit() else f"Key{upper}")
            number = 32 if stroke == " " else ord(upper)
            send("keyDown", key=stroke, code=code, text=stroke, windowsVirtualKeyCode=number)
            send("keyUp", key=stroke, code=code, windowsVirtualKeyCode=number)
        at += delay / 1000
    session.detach()
