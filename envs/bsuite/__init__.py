"""bsuite's memory and credit assignment tests (Osband et al. 2020), with gymnax's faults mended.

``envs.make("bsuite/memory_len/22")`` is the last setting of a sweep; SWEEPS holds them all.
"""

from collections.abc import Callable
from typing import Any

from envs.bsuite.discounting_chain import DiscountingChain
from envs.bsuite.memory_chain import MemoryChain
from envs.bsuite.umbrella_chain import UmbrellaChain

FACTORIES: dict[str, Callable[..., Any]] = {
    "bsuite/DiscountingChain": DiscountingChain,
    "bsuite/MemoryChain": MemoryChain,
    "bsuite/UmbrellaChain": UmbrellaChain,
}

_UP_TO_TEN = (*range(1, 11), 12, 14, 17, 20, 25)
_LENGTHS = (*_UP_TO_TEN, *range(30, 101, 10))

_EXPERIMENTS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "memory_len": (
        "bsuite/MemoryChain",
        [{"memory_length": n, "num_bits": 1} for n in _LENGTHS],
    ),
    "memory_size": (
        "bsuite/MemoryChain",
        [{"memory_length": 2, "num_bits": n} for n in (*_UP_TO_TEN, 30, 40)],
    ),
    "discounting_chain": (
        "bsuite/DiscountingChain",
        [{"mapping_seed": n} for n in range(20)],
    ),
    "umbrella_length": (
        "bsuite/UmbrellaChain",
        [{"chain_length": n, "n_distractor": 20} for n in _LENGTHS],
    ),
    "umbrella_distract": (
        "bsuite/UmbrellaChain",
        [{"chain_length": 20, "n_distractor": n} for n in _LENGTHS],
    ),
}

# bsuite's own settings by its ids: an environment's name and its arguments. ``envs.make`` takes the
# ids, ``envs.names`` leaves them out: a hundred would bury the others. bsuite plays 10,000
# episodes of each, and 1000 of discounting_chain.
SWEEPS: dict[str, tuple[str, dict[str, Any]]] = {
    f"bsuite/{experiment}/{number}": (name, settings)
    for experiment, (name, all_settings) in _EXPERIMENTS.items()
    for number, settings in enumerate(all_settings)
}
