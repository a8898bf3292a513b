"""Make the virtual environment of `make demo` and `make test`: locked packages, hashes checked, then this package itself.

Usage: python tools/install.py VENV LOCK_FILE STAMP [STAMP ...]

Standard library only. Two runs at once wait for each other, and the second finds the work done.
"""

import fcntl
import re
import subprocess
import sys
import time
import venv
from pathlib import Path

SOURCE = Path("pyproject.toml")


def main(folder: Path, lock_file: Path, stamps: list[Path]) -> None:
    """Install what `lock_file` lists into the environment `folder`, and touch `stamps` when all of it is in."""
    with SOURCE.open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if all(stamp.exists() and is_newer(stamp, lock_file, SOURCE) for stamp in stamps):
            return
        started = time.monotonic()
        python = folder / "bin" / "python"
        print(f"Setting up {folder} from {lock_file} (once; a minute or so) …", flush=True)
        if not works(python):
            # Clear: it may be the rest of a set-up that was interrupted, or point to a Python that is gone.
            venv.create(folder, clear=True, with_pip=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # First the locked pip: the one that Python brings along may be years old and needs twice the time for the rest.
        subprocess.run([*pip, "--require-hashes", "--requirement", "/dev/stdin"], input=only("pip", lock_file), check=True)
        subprocess.run([*pip, "--no-compile", "--require-hashes", "--requirement", lock_file], check=True)
        # pip compiles on one core. A file that does not compile is no failure to pip either.
        subprocess.run([python, "-m", "compileall", "-q", "-q", "-j", "0", folder / "lib"], check=False)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", "."], check=True)
        for stamp in stamps:
            stamp.touch()
        print(f"Set up in {time.monotonic() - started:.0f} s.", flush=True)


def only(package: str, lock_file: Path) -> bytes:
    """The lines of `lock_file` that pin this one package."""
    match = re.search(rf"^{package}==.*(\n    .*)*", lock_file.read_text(), re.MULTILINE)
    if match is None:
        sys.exit(f"{lock_file} does not pin {package}; rebuild it with `make lock`.")
    return match[0].encode()


def is_newer(stamp: Path, *sources: Path) -> bool:
    """Whether `stamp` was touched after every one of `sources`."""
    return all(stamp.stat().st_mtime >= source.stat().st_mtime for source in sources)


def works(python: Path) -> bool:
    """Whether this interpreter runs and has pip."""
    if not python.exists():
        return False
    probe: list[str | Path] = [python, "-c", "import pip"]
    return subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(argument) for argument in sys.argv[3:]])
    except subprocess.CalledProcessError as error:
        sys.exit(f"Set-up failed (pip ended with {error.returncode}); its message is above.")
