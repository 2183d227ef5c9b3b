"""One command as several processes that share devices, for what each leaves of them idle."""

import itertools
import os
import shutil
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

    While one compiles, another trains. They are dealt out to the GPUs, those that
    CUDA_VISIBLE_DEVICES names or else all; each may take up to its share of a GPU's memory as it
    needs it, unless XLA_PYTHON_CLIENT_MEM_FRACTION or _PREALLOCATE say otherwise. Returns the
    largest exit status, 130 where a person stopped them: that goes to all, and they are waited
    for. Raises ``UsageError`` for a number of jobs that is none.
    """
    check_within("--jobs", jobs, least=1)
    line = [sys.executable, "-m", "agents.cli", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(line, env=env, **pipes) for env in variables(jobs, _gpus())]
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


def variables(jobs: int, gpus: Sequence[str]) -> list[dict[str, str]]:
    """Return the variables of each process: its GPU, and its share of that one's memory."""
    share = SHARED / -(-jobs // max(len(gpus), 1))
    memory = {"MEM_FRACTION": f"{share:.3f}", "PREALLOCATE": "false"}
    common = {f"XLA_PYTHON_CLIENT_{name}": value for name, value in memory.items()} | os.environ
    gpu_of = itertools.cycle([{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus] or [{}])
    return [common | gpu for gpu in itertools.islice(gpu_of, jobs)]


def _gpus() -> list[str]:
    """Return the GPUs' names; without JAX, which would take their memory."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name]
    if not shutil.which("nvidia-smi"):
        return []
    ask = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.split()


def _show(number: int, printed: IO[str] | None) -> None:
    for text in printed or ():
        console.print(f"{number}: {text.rstrip()}")
