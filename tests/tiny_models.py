"""World models of a few numbers, around every kind of memory, and windows to show them."""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ssmrl import memory
from ssmrl.nets.distributional import SymexpBins
from ssmrl.nets.heads import CategoricalHead
from ssmrl.world_model.actor_critic import ImaginingActorCritic
from ssmrl.world_model.latents import Latents
from ssmrl.world_model.moments import Carry, Observed
from ssmrl.world_model.parts import Numbers, OneHots

T, B, EVERY = 6, 3, 2  # steps and streams of a window, steps of a piece of it
KEY = jax.random.key(0)
FEATURES = 4
KNOWN = FEATURES + 3 * (2 * 3) + 2  # numbers in ``y``
SMALL: dict[str, dict[str, Any]] = {
    "s5": {"state_size": 4, "num_layers": 2},
    "transformer": {"num_heads": 2, "num_layers": 1, "context": 4},
    "mlp": {"num_layers": 1},
}
MEMORIES = {
    **{name: memory.make(name, features=4, **SMALL.get(name, {})) for name in memory.names()},
    "s5-learned-start": memory.make("s5", features=4, learned_start=True, **SMALL["s5"]),
}
PARTS = (Numbers(2), OneHots((3,)))


class Likeliest(Latents):
    """Takes the likeliest class where ``Latents`` draws one, with the same gradient."""

    def draw(self, key: jax.Array, log_probs: jax.Array) -> jax.Array:
        return self.mode(log_probs)


class Window(NamedTuple):
    """What a model is shown, [T, B]."""

    packed: tuple[Any, ...]
    action: Any
    start: Any


def make_network(name: str, likeliest: bool = True, **options: Any) -> ImaginingActorCritic:
    """Return a model of few numbers, whose latents are the likeliest or else drawn."""
    latents = (Likeliest if likeliest else Latents)(groups=2, classes=3)
    own: dict[str, Any] = {
        "memory": MEMORIES[name],
        "parts": PARTS,
        "action_size": 2,
        "action_head": CategoricalHead(2),
        "latents": latents,
        "look": "output" if name == "transformer" else "gated",
        "units": 4,
        "bins": SymexpBins(9, 2.0),
    }
    sizes = ("encoder_sizes", "decoder_sizes", "head_sizes", "policy_sizes")
    return ImaginingActorCritic(**{**own, **dict.fromkeys(sizes, (4,)), **options})


@cache
def apply(network: ImaginingActorCritic, method: str) -> Any:
    """Return a method as a jitted function of parameters and its arguments."""
    fixed = ("every",) if method == "observe" else ()
    return jax.jit(partial(network.apply, method=method), static_argnames=fixed)


@cache
def _shapes_of(network: ImaginingActorCritic) -> Any:
    window, key = make_window(batch=1), jax.random.key(0)
    seen = jax.tree.map(lambda x: x[0], window.packed), window.start[0], key
    return jax.eval_shape(network.init, key, network.initial_carry((1,)), *seen)


def make_params(network: ImaginingActorCritic, seed: int = 0, scale: float = 0.5) -> Any:
    """Return parameters of a model of ``PARTS``, of which none is zero."""
    return filled(_shapes_of(network), seed, scale)


def filled(shapes: Any, seed: int = 0, scale: float = 0.5) -> Any:
    """Return parameters of these shapes, of which none is zero."""
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda v: rng.normal(0, scale, v.shape).astype(np.float32), shapes)
    layers = params["params"].get("memory", {}).get("layers", {})
    if "lambda_re" in layers:
        layers["lambda_re"] -= 1.0  # stable
        layers["log_step"] -= 1.0
    return params


def make_window(steps: int = T, batch: int = B, seed: int = 0) -> Window:
    """Return what was seen and done, with starts out of phase: none in the last stream."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(0, 2, (steps, batch, 2)).astype(np.float32)
    categories = rng.integers(0, 4, (steps, batch, 1)).astype(np.uint8)
    action = rng.normal(0, 2, (steps, batch, 2)).astype(np.float32)
    start = np.zeros((steps, batch), bool)
    for step, stream in ((3, 0), (0, 1), (1, 1), (4, 1)):
        if step < steps and stream < batch - 1:
            start[step, stream] = True
    return Window((numbers, categories), action, start)


def make_carry(network: ImaginingActorCritic, batch: int = B, seed: int = 0) -> Carry:
    """Return what stands in the middle of an episode."""
    rng = np.random.default_rng(seed)
    empty = network.initial_carry((batch,))

    def fill(x: Any) -> Any:
        is_float = np.issubdtype(x.dtype, np.floating)
        numbers = rng.normal(size=x.shape) if is_float else np.full(x.shape, 2)
        return numbers.astype(x.dtype)  # of integers there is the age of a Transformer's ring

    return Carry(
        memory_state=jax.tree.map(fill, empty.memory_state),
        album=rng.random(empty.album.shape) < 0.5,
        latent=rng.integers(0, 3, empty.latent.shape).astype(empty.latent.dtype),
        changed=rng.random(empty.changed.shape) < 0.5,
        action=rng.normal(size=empty.action.shape).astype(np.float32),
        start=np.arange(batch) % 2 == 0,
    )


def at_once(
    network: ImaginingActorCritic, params: Any, carry: Carry, window: Window, every: int = EVERY
) -> tuple[Carry, Observed]:
    """Return what ``observe`` does."""
    return apply(network, "observe")(params, carry, *window, KEY, every=every)


def where(start: Any, yes: Any, no: Any) -> jax.Array:
    """Return ``yes`` of the rows that are asked for, with any axes after, and ``no`` of others."""
    return jnp.where(start.reshape(start.shape + (1,) * (yes.ndim - start.ndim)), yes, no)


def assert_close(got: Any, want: Any) -> None:
    """Of trees: the same shapes and dtypes, and within 1e-4 of the greatest number, or of 1."""
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        scale = max(1, np.abs(np.asarray(w, np.float32)).max())
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-4 * scale)
