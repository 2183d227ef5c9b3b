"""Options of agents that are as small as they can be, and how to compile what runs but once."""

from functools import partial

import jax
from compiling import OPTIONS

quick_jit = partial(jax.jit, compiler_options=OPTIONS)

TINY_R2I = [
    "--r2i.num-envs", "4", "--r2i.num-steps", "4", "--r2i.train-ratio", "1", "--r2i.batch-size",
    "2", "--r2i.window", "8", "--r2i.replay-steps", "64", "--r2i.num-starts", "4", "--r2i.horizon",
    "3", "--r2i.groups", "4", "--r2i.classes", "4", "--r2i.units", "16", "--r2i.encoder-sizes", "8",
    "--r2i.decoder-sizes", "8", "--r2i.head-sizes", "8", "--r2i.policy-sizes", "8",
]  # fmt: skip
