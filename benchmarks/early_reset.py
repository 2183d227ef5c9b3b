"""S5 that forgets when Recall to Imagine does as released: one step too early, in scans alone.

Its operator is given the flags of the steps with one more, for the state before the first, which
was put before the last flag and not before the first (``np.insert(dones, -1, 0)`` in
``recall2imagine/ssm/common.py``). So the last step of an episode begins the next one as far as
learning goes; acting, step by step, resets where it should. For the experiment ``r2i/ablations``.
"""

import jax
import jax.numpy as jnp

from ssmrl.memory.s5 import S5, State


class EarlyReset(S5):
    """See this file's docstring; options as those of :class:`ssmrl.memory.S5`."""

    def _scan(
        self, state: State, x_TxBxF: jax.Array, start_TxB: jax.Array, kept: int | slice
    ) -> tuple[State, jax.Array]:
        never = jnp.zeros_like(start_TxB[:1])
        # The cut is for a scan of one step, whose flag is its own.
        early_TxB = jnp.concatenate([start_TxB[1:-1], never, start_TxB[-1:]])[-len(start_TxB) :]
        return super()._scan(state, x_TxBxF, early_TxB, kept)
