"""A memory in use: parameters, inputs with starts in them, and what comes of both."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

T, B = 8, 3
START = 4  # row 0 starts an episode here, row 1 at every step from here on, row 2 never
TREE = Any  # of NumPy arrays


class Slopes(NamedTuple):
    """What a method returns, and the derivatives of its weighted sum."""

    state: TREE
    y_TxBxH: np.ndarray
    d_variables: TREE
    d_state: list[np.ndarray]  # of the leaves that are floating
    d_x_TxBxF: np.ndarray


class Tried:
    """Runs a memory's methods, compiled once each, on inputs of ``num_features`` numbers.

    All that it holds and returns are NumPy arrays: what is not the memory's compiles nothing.
    """

    def __init__(self, memory: Any, num_features: int):
        self.memory = memory
        rng = np.random.default_rng(0)
        draw = lambda *shape: np.asarray(rng.normal(size=shape), np.float32)  # noqa: E731
        self.x, self.other_x, self.later_x = draw(3, T, B, num_features)
        self.weights = draw(T, B, memory.features)  # of the outputs, in the sum to derive
        self.start = np.zeros((T, B), bool)
        self.start[START, 0] = self.start[START:, 1] = True
        self.no_start = np.zeros((T, B), bool)
        self.start_at_once = self.no_start.copy()
        self.start_at_once[0] = True
        self._scan = jax.jit(partial(memory.apply, method="scan"))
        self._scan_slopes = jax.jit(partial(_slopes, partial(memory.apply, method="scan")))
        self._step_slopes = jax.jit(partial(_slopes, self._steps))

    def _steps(self, variables: TREE, state: TREE, x: jax.Array, start: jax.Array) -> Any:
        step = partial(self.memory.apply, variables, method="step")
        return jax.lax.scan(lambda state, inputs: step(state, *inputs), state, (x, start))

    @cached_property
    def empty(self) -> TREE:
        """The initial state."""
        return jax.device_get(self.memory.initial_state((B,)))

    @cached_property
    def made(self) -> TREE:
        """The variables as step makes them."""
        init = jax.jit(partial(self.memory.init, method="step"))
        return jax.device_get(init(jax.random.key(0), self.empty, self.x[0], self.no_start[0]))

    @cached_property
    def variables(self) -> TREE:
        """Those made, but none all zero, since that would hide what it is a factor of."""
        rng = np.random.default_rng(1)

        def filled(leaf: np.ndarray) -> np.ndarray:
            noise = 0.1 * rng.normal(size=leaf.shape)
            return leaf if leaf.any() else noise.astype(leaf.dtype)

        return jax.tree.map(filled, self.made)

    @cached_property
    def state(self) -> TREE:
        """A state as it comes from an earlier scan."""
        return self.scan(self.empty, self.later_x, self.no_start)[0]

    @cached_property
    def other_state(self) -> TREE:
        """Another such state."""
        return self.scan(self.empty, self.other_x, self.no_start)[0]

    @cached_property
    def by_scan(self) -> Slopes:
        """What a scan of x from the state gives, with derivatives."""
        return self.slopes(self.state, self.x, self.start, self.weights, of_state=1.0)

    @cached_property
    def by_steps(self) -> Slopes:
        """What repeated steps give instead."""
        inputs = self.state, self.x, self.start, self.weights
        return self.slopes(*inputs, by_steps=True, of_state=1.0)

    def by_states(self, scan_states: Callable, every: int) -> Slopes:
        """What a function like ``ssmrl.memory.scan_states`` gives, as ``by_scan``.

        The last state and those after every ``every``-th step stand in the place of a state.
        """

        def run(*inputs: Any) -> Any:
            last, y, states = self.memory.apply(*inputs, every, method=scan_states)
            return (last, states), y

        inputs = self.variables, self.state, self.x, self.start, self.weights, np.float32(1)
        return Slopes(*jax.device_get(jax.jit(partial(_slopes, run))(*inputs)))

    def scan(
        self, state: TREE, x: np.ndarray, start: np.ndarray, variables: TREE = None
    ) -> tuple[TREE, np.ndarray]:
        """Return the state and y after a scan; pieces of a sequence compile anew."""
        return jax.device_get(self._scan(variables or self.variables, state, x, start))

    def outputs(self, state: TREE, x: np.ndarray) -> np.ndarray:
        """Return y over the sequence with its starts and over T later steps, [2 T, B, H]."""
        state, y = self.scan(state, x, self.start)
        return np.concatenate([y, self.scan(state, self.later_x, self.no_start)[1]])

    def slopes(
        self,
        state: TREE,
        x: np.ndarray,
        start: np.ndarray,
        weights: np.ndarray,
        variables: TREE = None,
        *,
        by_steps: bool = False,
        of_state: float = 0.0,
    ) -> Slopes:
        """Return what the scan, or repeated steps, give, and the derivatives of sum(weights * y).

        The sum of the last state's numbers is added ``of_state`` times.
        """
        run = self._step_slopes if by_steps else self._scan_slopes
        inputs = variables or self.variables, state, x, start, weights, np.float32(of_state)
        return Slopes(*jax.device_get(run(*inputs)))


def _slopes(
    run: Callable, variables: TREE, state: TREE, x: Any, start: Any, weights: Any, of_state: Any
) -> Slopes:
    leaves, tree = jax.tree.flatten(state)

    def weighted(variables: TREE, floats: list[jax.Array], x: jax.Array) -> Any:
        rest = iter(floats)
        given = [next(rest) if is_floating(leaf) else leaf for leaf in leaves]
        last, y = run(variables, jax.tree.unflatten(tree, given), x, start)
        total = jnp.sum(weights * y.astype(jnp.float32))
        for leaf in filter(is_floating, jax.tree.leaves(last)):
            total += of_state * jnp.sum(leaf.astype(jnp.float32))
        return total, (last, y)

    floats = [leaf for leaf in leaves if is_floating(leaf)]
    derive = jax.grad(weighted, argnums=(0, 1, 2), has_aux=True)
    derivatives, results = derive(variables, floats, x)
    return Slopes(*results, *derivatives)


def is_floating(leaf: Any) -> bool:
    """Return whether the leaf holds floating numbers."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)
