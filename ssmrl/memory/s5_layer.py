"""One S5 layer: state-space model, gate, skip.

x_t = Λ̄ x_{t-1} + B̄ u_t, z = 2 Re(C x) + D u, g = gelu(z), y = u + W g · σ(V g).

Smith et al. 2023 (arXiv 2208.04933); the block as Lu et al. 2023 (arXiv 2303.03982) run it.
States are planar from projection to read-out, so both are one real matrix product. Matrices are
multiplied in the dtype of the layer's input; states are float32 while they are computed, but those
that a scan of bfloat16 leaves, its last among them, are rounded to that.
"""

from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ssmrl.errors import UsageError
from ssmrl.memory import s5_init
from ssmrl.memory.base import check_positive
from ssmrl.memory.hippo import blocks_of_hippo
from ssmrl.nets.affine import add_bias, add_scaled, as_rank_of
from ssmrl.registry import did_you_mean
from ssmrl.scan import IMPLEMENTATIONS, linear_scan
from ssmrl.scan import planar as pl

Discretization = Literal["zoh", "bilinear"]
Norm = Literal["none", "pre", "post", "gate"]
Glu = Literal["full", "half1", "half2", "none"]
MOST_STATES = 4096  # of a layer


class S5Options(nn.Module):
    """The options of a layer, checked when a module is made."""

    features: int = 256  # H, width of inputs and outputs
    state_size: int = 256  # N, states of a layer, counting both of a conjugate pair
    blocks: int = 1  # equal HiPPO blocks on the initial diagonal
    conj_sym: bool = True  # keep one of each conjugate pair, N / 2 complex states
    discretization: Discretization = "zoh"  # zero-order hold, or the bilinear transform
    dt_min: float = 0.001  # smallest initial time step
    dt_max: float = 0.1  # largest initial time step
    step_rescale: float = 1.0  # factor on all time steps, for data sampled at another rate
    clip_eigenvalues: bool = False  # keep the real parts below -1e-4, so that states stay bounded
    norm: Norm = "none"  # LayerNorm of the layer's input, of its output, or before its gate
    glu: Glu = "full"  # gate: W g · σ(V g); half1: g · σ(V g); half2: z · σ(V g); none: g
    c_init: s5_init.CInit = "lecun_normal"  # initial distribution of the read-out
    learned_start: bool = False  # begin episodes from a learnt state, not from zeros
    implementation: str | None = None  # of the scan, see ssmrl.scan.linear_scan

    def __post_init__(self):
        check_positive(features=self.features, state_size=self.state_size, blocks=self.blocks)
        if self.state_size > MOST_STATES:
            raise UsageError(
                f"state_size must be at most {MOST_STATES}, but is {self.state_size}: HiPPO's "
                "eigenvectors are worked out on the CPU"
            )
        choices = {
            "discretization": get_args(Discretization),
            "norm": get_args(Norm),
            "glu": get_args(Glu),
            "c_init": s5_init.C_INITS,
        }
        if self.implementation is not None:
            choices["implementation"] = tuple(IMPLEMENTATIONS)
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f"there is no {name} {value!r}{did_you_mean(str(value), known)}")
        if self.state_size % self.blocks:
            raise UsageError(f"blocks={self.blocks} must divide state_size={self.state_size}")
        if self.conj_sym and (self.state_size // self.blocks) % 2:
            raise UsageError(
                f"conj_sym=True halves each block, but state_size={self.state_size} in "
                f"blocks={self.blocks} gives an odd {self.state_size // self.blocks}; take another "
                "state_size or conj_sym=False"
            )
        if not self.step_rescale > 0:
            raise UsageError(f"step_rescale must be above 0, but is {self.step_rescale}")
        if not 0 < self.dt_min <= self.dt_max:
            raise UsageError(
                f"0 < dt_min <= dt_max must hold, but they are {self.dt_min} and {self.dt_max}"
            )
        super().__post_init__()

    @property
    def num_states(self) -> int:
        """P, the number of complex states of a layer."""
        return self.state_size // 2 if self.conj_sym else self.state_size


class Weights(NamedTuple):
    """What a layer multiplies with; every leaf may have a leading axis of layers."""

    lambda_bar_N: jax.Array  # planar, N = 2P
    b_bar_HxN: jax.Array
    c_NxH: jax.Array
    d_H: jax.Array
    gate: dict[str, jax.Array] | None  # kernel and bias
    layer_norm: dict[str, jax.Array] | None  # scale and bias
    reset_state_N: jax.Array | None = None  # what an episode begins from, planar; zeros if None
    direct_HxH: jax.Array | None = None  # what an input adds to z at once, see with_direct


def init_layer(options: S5Options, key: jax.Array) -> dict[str, Any]:
    """Return the parameters of one layer."""
    eigenvalues, v = blocks_of_hippo(options.state_size, options.blocks, options.conj_sym)
    features = options.features
    keys = jax.random.split(key, 5)
    params: dict[str, Any] = {
        "lambda_re": jnp.asarray(eigenvalues.real, jnp.float32),
        "lambda_im": jnp.asarray(eigenvalues.imag, jnp.float32),
        "log_step": s5_init.init_log_step(
            keys[0], options.dt_min, options.dt_max, options.num_states
        ),
        "b": s5_init.init_b(keys[1], v, features),
        "c": s5_init.init_c(keys[2], options.c_init, v, features),
        "d": jax.random.normal(keys[3], (features,)),
    }
    if options.glu != "none":
        width = 2 * features if options.glu == "full" else features
        kernel = nn.initializers.lecun_normal()(keys[4], (features, width))
        params["gate"] = {"kernel": kernel, "bias": jnp.zeros(width)}
    if options.norm != "none":
        params["layer_norm"] = {"scale": jnp.ones(features), "bias": jnp.zeros(features)}
    if options.learned_start:
        params["reset_state"] = jnp.zeros(2 * options.num_states)
    # Of 32 bits even where JAX's default is 64.
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)


def discretise(options: S5Options, params: dict[str, Any], dtype: Any) -> Weights:
    """Return Λ̄, B̄ and all else that steps need, matrices in ``dtype``."""
    lambda_re = params["lambda_re"]
    lambda_re = jnp.minimum(lambda_re, -1e-4) if options.clip_eigenvalues else lambda_re
    eigenvalues = lax.complex(lambda_re, params["lambda_im"])
    dt = options.step_rescale * jnp.exp(params["log_step"])
    if options.discretization == "zoh":
        lambda_bar = jnp.exp(eigenvalues * dt)
        # expm1, since Λ̄ - 1 would lose most of its digits at the small steps
        b_scale = jnp.expm1(eigenvalues * dt) / eigenvalues
    else:
        half = eigenvalues * (dt / 2)
        lambda_bar = (1 + half) / (1 - half)
        b_scale = dt / (1 - half)
    # B is scaled rather than B u, since there is one B but T x B of the other.
    b_bar = pl.multiply_whole(pl.from_complex(b_scale)[..., None, :], params["b"])
    # The conjugate states that are not kept add the conjugate outputs: twice the real part.
    c = 2 * params["c"] if options.conj_sym else params["c"]
    return Weights(
        lambda_bar_N=pl.from_complex(lambda_bar),
        b_bar_HxN=b_bar.astype(dtype),
        c_NxH=c.astype(dtype),
        d_H=params["d"].astype(dtype),
        gate=jax.tree.map(lambda v: v.astype(dtype), params.get("gate")),
        layer_norm=params.get("layer_norm"),
        reset_state_N=params.get("reset_state"),
    )


def scan_layer(
    options: S5Options,
    w: Weights,
    x_TxBxH: jax.Array,
    state_BxN: jax.Array,
    start_TxB: jax.Array | None,
    kept: int | slice,
) -> tuple[jax.Array, jax.Array]:
    """Take in T steps; returns y_TxBxH and the float32 planar states after the steps ``kept``.

    Where ``start`` is None, here as in :func:`step_layer`, nothing is forgotten.
    """
    u_TxBxH = _before(options, w, x_TxBxH)
    states_TxBxN = linear_scan(
        w.lambda_bar_N,
        u_TxBxH @ w.b_bar_HxN,
        start_TxB,
        initial_state=state_BxN,
        reset_state=w.reset_state_N,
        planar=True,
        implementation=options.implementation,
    )
    z_TxBxH = add_scaled(states_TxBxN @ w.c_NxH, w.d_H, u_TxBxH)
    return _after(options, w, x_TxBxH, z_TxBxH), states_TxBxN[kept].astype(jnp.float32)


def with_direct(w: Weights) -> Weights:
    """Return weights with 2 Re(C B̄) + D, which shortens a step on a GPU.

    z_t = (2 Re(C B̄) + D) u_t + 2 Re(C Λ̄ x_{t-1}): the second term does not need the input, so a
    step waits for one matrix product where it waited for two, at the price of a third one.
    """
    direct_HxH = jnp.matmul(w.b_bar_HxN, w.c_NxH, preferred_element_type=jnp.float32)
    diagonal_HxH = jnp.vectorize(jnp.diag, signature="(h)->(h,h)")(w.d_H)
    return w._replace(direct_HxH=(direct_HxH + diagonal_HxH).astype(w.c_NxH.dtype))


def step_layer(
    options: S5Options,
    w: Weights,
    x_BxH: jax.Array,
    state_BxN: jax.Array,
    start_B: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """Take in one step, one multiply-add; returns y_BxH and the next state."""
    u_BxH = _before(options, w, x_BxH)
    kept_BxN = state_BxN
    if start_B is not None:
        reset: jax.Array | int = 0
        if w.reset_state_N is not None:
            reset = as_rank_of(state_BxN, w.reset_state_N)
        kept_BxN = jnp.where(start_B[..., None], reset, state_BxN)
    kept_BxN = pl.multiply_whole(as_rank_of(kept_BxN, w.lambda_bar_N), kept_BxN)
    read_BxN = kept_BxN.astype(x_BxH.dtype)
    if w.direct_HxH is not None:  # ready before the input is; fused with the next state it is not
        kept_BxN, read_BxN = lax.optimization_barrier((kept_BxN, read_BxN))
    state_BxN = kept_BxN + jnp.matmul(u_BxH, w.b_bar_HxN, preferred_element_type=jnp.float32)
    if w.direct_HxH is not None:
        z_BxH = read_BxN @ w.c_NxH + u_BxH @ w.direct_HxH
    else:
        z_BxH = add_scaled(state_BxN.astype(x_BxH.dtype) @ w.c_NxH, w.d_H, u_BxH)
    return _after(options, w, x_BxH, z_BxH), state_BxN


def _before(options: S5Options, w: Weights, x: jax.Array) -> jax.Array:
    return _layer_norm(w, x) if options.norm == "pre" else x


def _after(options: S5Options, w: Weights, skip: jax.Array, z: jax.Array) -> jax.Array:
    """Return the layer's output from the read-out z: gate, skip."""
    if options.norm == "gate":
        z = _layer_norm(w, z)
    g = nn.gelu(z)
    if w.gate is not None:
        gated = add_bias(g @ w.gate["kernel"], w.gate["bias"])
        if options.glu == "full":  # the published two Dense(H) as one
            g = _gated_linear_unit(gated)
        else:
            g = (z if options.glu == "half2" else g) * nn.sigmoid(gated)
    y = skip + g
    return _layer_norm(w, y) if options.norm == "post" else y


@jax.custom_vjp
def _gated_linear_unit(x: jax.Array) -> jax.Array:
    """Return v · σ(g) of x = [v | g] on the last axis."""
    v, g = jnp.split(x, 2, axis=-1)
    return v * nn.sigmoid(g)


def _gated_linear_unit_bwd(x: jax.Array, dy: jax.Array) -> tuple[jax.Array]:
    if jax.default_backend() == "cpu":
        v, g = jnp.split(x, 2, axis=-1)
        sigma = nn.sigmoid(g)
        dv = dy * sigma
        return (jnp.concatenate([dv, dv * v * (1 - sigma)], axis=-1),)
    # The same over pairs (v, g): one pass, where XLA for a GPU makes two of the lines above (29
    # microseconds at [8192, 512] on an H100). On a CPU this form takes twice as long.
    pairs = x.reshape(*x.shape[:-1], 2, x.shape[-1] // 2)
    v, g = pairs[..., :1, :], pairs[..., 1:, :]
    sigma = nn.sigmoid(g)
    is_v = jnp.expand_dims(jnp.array([[True], [False]]), tuple(range(x.ndim - 1)))
    slopes = jnp.where(is_v, sigma, v * sigma * (1 - sigma))
    return ((slopes * dy[..., None, :]).reshape(x.shape),)


_gated_linear_unit.defvjp(lambda x: (_gated_linear_unit(x), x), _gated_linear_unit_bwd)


def _layer_norm(w: Weights, x: jax.Array) -> jax.Array:
    assert w.layer_norm is not None
    standard = nn.standardize(x.astype(jnp.float32), epsilon=1e-6)
    scale, bias = (as_rank_of(x, w.layer_norm[name]) for name in ("scale", "bias"))
    return (standard * scale + bias).astype(x.dtype)
