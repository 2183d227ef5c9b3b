"""Settings for all tests: no promotion of ranks, quiet CPU, one shared compilation cache."""

import os

from compiling import FLAGS

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Threads of JAX's CPU client: the interpreter of GPU kernels deadlocks on two.
os.environ.setdefault("NPROC", "8")
if "QUICK_COMPILING" in os.environ:  # not where programs run for minutes
    os.environ.setdefault("XLA_FLAGS", FLAGS)

import jax

from ssmrl.train.runtime import enable_compilation_cache

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "standard")

enable_compilation_cache()  # the second run of the tests takes half the time
