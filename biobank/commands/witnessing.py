"""The witness: run by an auditor, on another machine, for as long as the bank exists."""

from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import WRONG_USAGE, console, fail
from biobank.foundation.stopping import on_signals


def witness(
    state: Annotated[Path, typer.Option(help="Folder of the witness: key, what it has seen, evidence. Made when missing.")],
    name: Annotated[str, typer.Option(help="Name of the witness's key, like witness.example; fixed at the first start.")],
    logs: Annotated[Path, typer.Option(help="File of the logs' public keys, one a line; read anew when it changes.")],
    policy: Annotated[
        Path | None, typer.Option(help="Write a policy with this witness here, for a sealer; needs the two below.")
    ] = None,
    origin: Annotated[str | None, typer.Option(help="Name of the log in that policy.")] = None,
    address: Annotated[str | None, typer.Option(help="Address at which that sealer reaches this witness.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; put a proxy with TLS before it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 lets the system choose.")] = 8800,
) -> None:
    """Cosign checkpoints of logs while they only grow. Needs no database and nothing of the bank's but its public key."""
    import threading

    from biobank.transparency.keys import KeyFileError
    from biobank.transparency.note import NoteError
    from biobank.transparency.witness import Witness, make_server, open_cosigner, read_log_keys, write_policy

    stop = on_signals()
    try:
        cosigner = open_cosigner(state, name)
        if policy is not None:
            if origin is None or address is None:
                raise fail("A policy needs --origin and --address.", WRONG_USAGE)
            write_policy(policy, origin, name, cosigner.verifier, address)
        elif not logs.exists():
            raise fail(f"{logs} is missing: it holds the public keys of the logs, one a line.")
        server = make_server(Witness(cosigner, state, lambda: read_log_keys(logs)), host, port)
    except (KeyFileError, NoteError, OSError) as error:
        raise fail(str(error)) from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    typer.echo(cosigner.verifier.to_vkey())
    console.print(f"Listening on http://{host}:{server.server_address[1]}", highlight=False)
    stop.wait()
    server.shutdown()
