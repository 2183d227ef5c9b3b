"""Options of agents that are as small as they can be, and how to compile what runs but once."""

from functools import partial

import jax

# An update of a world model takes 35 seconds to compile, with these 6, and next to none to run.
OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
quick_jit = partial(jax.jit, compiler_options=OPTIONS)

TINY_R2I = [
    "--r2i.num-envs", "4", "--r2i.num-steps", "4", "--r2i.train-ratio", "1", "--r2i.batch-size",
    "2", "--r2i.window", "8", "--r2i.replay-steps", "64", "--r2i.num-starts", "4", "--r2i.horizon",
    "3", "--r2i.groups", "4", "--r2i.classes", "4", "--r2i.units", "16", "--r2i.encoder-sizes", "8",
    "--r2i.decoder-sizes", "8", "--r2i.head-sizes", "8", "--r2i.policy-sizes", "8",
]  # fmt: skip
