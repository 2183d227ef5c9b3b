"""Environments of bsuite that gymnax has, with its faults mended."""

from collections.abc import Callable
from typing import Any

from envs.bsuite.memory_chain import MemoryChain

FACTORIES: dict[str, Callable[..., Any]] = {"bsuite/MemoryChain": MemoryChain}
