"""One command as several processes that share a device, for what each leaves of it idle."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO, Any

from agents.run import console
from ssmrl.train.config import check_within

SHARED = 0.7  # of a GPU's memory; CUDA graphs need the rest


def run_jobs(arguments: Sequence[str], jobs: int) -> int:
    """Run ``ssmrl ARGUMENTS`` as ``jobs`` processes, and show what they print by number.

    While one compiles, another trains. Each may take its share of the GPU's memory, unless
    XLA_PYTHON_CLIENT_MEM_FRACTION says otherwise. Returns the largest exit status, 130 where a
    person stopped them: that goes to all, and they are waited for. Raises ``UsageError`` for a
    number of jobs that is none.
    """
    check_within("--jobs", jobs, least=1)
    share = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{SHARED / jobs:.3f}"}
    line = [sys.executable, "-m", "agents.cli", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(line, env=share | os.environ, **pipes) for _ in range(jobs)]
    asked = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the processes, too
    try:
        readers = [
            threading.Thread(target=_show, args=(number, process.stdout))
            for number, process in enumerate(processes, 1)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        return max(abs(process.wait()) for process in processes)
    finally:
        signal.signal(signal.SIGINT, asked)


def _show(number: int, printed: IO[str] | None) -> None:
    for text in printed or ():
        console.print(f"{number}: {text.rstrip()}")
