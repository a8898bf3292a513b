"""A uvicorn worker under cProfile: `python -m bench.profiled FILE …uvicorn's own words`. Read FILE with `pstats`."""

import cProfile
import signal
import sys

import uvicorn.main


def main() -> None:
    """Serve, and write the figures when the server is told to stop."""
    to = sys.argv.pop(1)
    # uvicorn ends politely, restores this handler and sends itself the signal again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    profiler = cProfile.Profile()
    try:
        profiler.runcall(uvicorn.main.main, standalone_mode=False)
    finally:
        profiler.dump_stats(to)


if __name__ == "__main__":
    main()
