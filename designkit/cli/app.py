"""The designkit command: wiring, signals, and how every mistake ends: a message on one screen and an exit code.

0 done    2 input refused    3 some images failed    4 storage    5 run in use    7 model refused
130, 143 stopped by Ctrl-C or SIGTERM    1 a fault of designkit's own
"""

from __future__ import annotations

import os
import shlex
import sys
from io import TextIOWrapper

from designkit.cli.stopping import Stopped, stop_on_signals
from designkit.errors import DesignkitError


def main() -> None:
    """Run the command line and exit with its code."""
    stop_on_signals()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows its number; it is no reason to end.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Imported here so that Ctrl-C is heeded from the first moment on.
        from designkit.cli.commands import app

        app()
    except Stopped as stopped:
        command = shlex.join(["designkit", *sys.argv[1:]])
        print(f"Stopped; what was made is safe. The same command goes on from here:\n  {command}", file=sys.stderr)
        sys.exit(stopped.exit_code)
    except DesignkitError as error:
        from designkit.cli.console import print_error

        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("DESIGNKIT_DEBUG") == "1":
            raise
        print(
            f"designkit met a fault of its own: {type(error).__name__}: {error}\n"
            "Nothing that was made is lost. To see where it happened, set DESIGNKIT_DEBUG=1 and run it again.",
            file=sys.stderr,
        )
        sys.exit(1)
