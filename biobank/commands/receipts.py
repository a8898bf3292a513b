"""Receipts, for whoever holds one: is the event in the log, or is this evidence?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from biobank.commands.console import WRONG_USAGE, console, fail

receipt = typer.Typer(no_args_is_help=True, help="Receipts of the bank, checked by whoever holds them. Needs no account.")

MISSING = 5
"""Exit code of `receipt check`: genuinely acknowledged, past the promise, and not in the log."""


@receipt.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="An acknowledgement or an inclusion receipt, as the bank sent it.")],
    policy: Annotated[Path, typer.Option(help="Policy file: the keys you trust.")],
    bank: Annotated[str | None, typer.Option(help="Address of the bank: ask it for the events' proofs.")] = None,
    leaf: Annotated[str | None, typer.Option(help="Leaf hash an inclusion receipt is about, 64 hex digits.")] = None,
    evidence: Annotated[Path | None, typer.Option(help="Where evidence goes: acknowledgement and checkpoint.")] = None,
) -> None:
    """Check a receipt; an acknowledged event that is missing past the merge delay is said to be evidence (exit code 5)."""
    from biobank.client.receipts import BadReceipt
    from biobank.transparency.verify import Policy, Unreadable

    try:
        text = file.read_text(encoding="utf-8")
        trusted = Policy.read(policy.read_text(encoding="utf-8"))
        if text.startswith("c2sp.org/tlog-proof@v1\n"):
            _check_inclusion(text, trusted, leaf)
        else:
            _check_acknowledgement(text, trusted, bank, evidence)
    except (BadReceipt, Unreadable, OSError, UnicodeDecodeError) as error:
        raise fail(str(error)) from error


def _check_inclusion(text: str, policy: Any, leaf: str | None) -> None:
    from biobank.client.receipts import open_receipt

    if leaf is None or len(leaf) != 64 or not set(leaf) <= set("0123456789abcdef"):
        raise fail("Say which event the receipt is about: --leaf, 64 hex digits.", WRONG_USAGE)
    checkpoint = open_receipt(policy, text, bytes.fromhex(leaf))
    console.print(f"In the log of {checkpoint.origin}, under its checkpoint of {checkpoint.size} entries.", highlight=False)
    for name in checkpoint.witnesses:
        console.print(f"Cosigned by {name}.", highlight=False)
    if policy.quorum != "none" and not policy.reached(policy.quorum, set(checkpoint.witnesses)):
        raise fail(f"The quorum {policy.quorum} of your policy is not reached by these cosignatures. Fetch a newer receipt.")


def _check_acknowledgement(text: str, policy: Any, bank: str | None, evidence: Path | None) -> None:
    from biobank.client.client import BankClient, Refused, Unreachable
    from biobank.client.receipts import GRACE, BadReceipt, open_acknowledgement, open_receipt
    from biobank.foundation import clock

    acknowledged = open_acknowledgement(policy, text)
    due = f"{acknowledged.sealed_by:%Y-%m-%d %H:%M:%S} UTC"
    console.print(f"Genuine: {len(acknowledged.events)} events, to be in the log by {due}.")
    if bank is None:
        console.print("Whether they are in the log, only the log can show: give --bank.")
        return
    missing = 0
    try:
        with BankClient(bank, retries=1) as client:
            note = client.checkpoint()
            for event in acknowledged.events:
                try:
                    proof = client.get(f"/log/proofs/{event.leaf_hash.hex()}")
                except Refused as refused:
                    if refused.status != 404:
                        raise
                    missing += 1
                    console.print(f"NOT in the log: {event.stream_kind} {event.stream_id} {event.seq} ({refused.code})")
                    continue
                checkpoint = open_receipt(policy, proof["receipt"], event.leaf_hash)
                console.print(f"{event.stream_kind} {event.stream_id} {event.seq}: entry {proof['index']} of {checkpoint.size}")
    except (Refused, Unreachable) as error:
        raise BadReceipt(
            f"The bank does not answer: {error}. Its silence is no proof; try again and keep the receipt."
        ) from error
    if not missing:
        return
    if clock.now() <= acknowledged.sealed_by + GRACE:
        raise fail("The promised time has not passed yet. Check again later.")
    if evidence is not None:
        evidence.write_text(f"{text}\n{note}", encoding="utf-8")
    raise fail(
        f"EVIDENCE: the bank acknowledged {missing} events under its key, promised them to the log by {due}, and cannot show "
        "them. Keep the receipt" + ("." if evidence is None else f"; {evidence} holds it with the checkpoint the bank showed."),
        MISSING,
    )
