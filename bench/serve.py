"""One web worker over the bank that the environment names: `python -m bench.serve PORT`. What `biobank serve` runs."""

import sys

import uvicorn

from biobank.app import create_app
from biobank.bank import Bank
from biobank.config import Settings


def main() -> None:
    """Serve until terminated."""
    app = create_app(Bank.open(Settings.from_environment()))
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False, loop="uvloop", http="httptools")


if __name__ == "__main__":
    main()
