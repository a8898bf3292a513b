"""The witness: run by an auditor, on another machine, for as long as the bank exists."""

from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import console, fail
from biobank.foundation.stopping import on_signals


def witness(
    state: Annotated[Path, typer.Option(help="Folder of the witness: key, what it has seen, evidence. Made when missing.")],
    name: Annotated[str, typer.Option(help="Name of the witness's key, like witness.example; fixed at the first start.")],
    logs: Annotated[Path, typer.Option(help="File of the logs' public keys, one a line; read anew when it changes.")],
    host: Annotated[str, typer.Option(help="Address to listen on; put a proxy with TLS before it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 lets the system choose.")] = 8800,
) -> None:
    """Cosign checkpoints of logs while they only grow. Needs no database and nothing of the bank's but its public key."""
    import threading

    from biobank.transparency.cosignature import Cosigner
    from biobank.transparency.keys import KeyFileError, create_key_file, load_signer
    from biobank.transparency.note import NoteError
    from biobank.transparency.witness import Witness, make_server, read_log_keys

    stop = on_signals()
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = state / "witness.skey"
        cosigner = Cosigner(load_signer(key, name) if key.exists() else create_key_file(key, name))
        (state / "witness.vkey").write_text(cosigner.verifier.to_vkey() + "\n")
        read_log_keys(logs)
        server = make_server(Witness(cosigner, state, lambda: read_log_keys(logs)), host, port)
    except (KeyFileError, NoteError, OSError) as error:
        raise fail(str(error)) from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    typer.echo(cosigner.verifier.to_vkey())
    console.print(f"Listening on http://{host}:{server.server_address[1]}", highlight=False)
    stop.wait()
    server.shutdown()
