"""What a forked test process runs: ``python -m module arguments``, as a shell would start it."""

import gc
import os
import runpy
import signal
import sys


def run(module: str, arguments: list[str], folder: str) -> None:
    """Be that command, in a session of its own.

    ``folder`` is its working directory, where the files ``stdout`` and ``stderr`` take its output.
    """
    gc.freeze()  # what is shared with the other processes stays shared
    os.setsid()
    # As in a terminal; where the tests run in the background Ctrl-C is ignored, and inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
