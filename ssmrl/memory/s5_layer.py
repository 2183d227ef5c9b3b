"""One S5 layer: state-space model, gate, skip."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ssmrl.errors import UsageError
from ssmrl.memory import s5_init
from ssmrl.memory.base import check_positive
from ssmrl.memory.hippo import blocks_of_hippo
from ssmrl.registry import did_you_mean
from ssmrl.scan import IMPLEMENTATIONS, linear_scan
from ssmrl.scan import planar as pl

Discretization = Literal["zoh", "bilinear"]
Norm = Literal["none", "pre", "post", "gate"]
Glu = Literal["full", "half1", "half2", "none"]


class S5Options(nn.Module):
    """The options that a layer and a stack of layers share, checked when a module is made."""

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
    implementation: str | None = None  # of the scan, see ssmrl.scan.linear_scan

    def __post_init__(self):
        check_positive(features=self.features, state_size=self.state_size, blocks=self.blocks)
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
                raise UsageError(f"S5 has no {name} {value!r}{did_you_mean(str(value), known)}")
        if self.state_size % self.blocks:
            raise UsageError(f"blocks={self.blocks} must divide state_size={self.state_size}")
        if self.conj_sym and (self.state_size // self.blocks) % 2:
            raise UsageError(
                f"conj_sym=True halves each block, but state_size={self.state_size} in "
                f"blocks={self.blocks} gives an odd {self.state_size // self.blocks}"
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


class S5Layer(S5Options):
    """x_t = Λ̄ x_{t-1} + B̄ u_t, z = 2 Re(C x) + D u, g = gelu(z), y = u + W g · σ(V g).

    Smith et al. 2023 (arXiv 2208.04933); the block as Lu et al. 2023 (arXiv 2303.03982) run it.
    States are planar from projection to read-out, so both are one real matrix product.
    """

    def setup(self):
        eigenvalues, v = blocks_of_hippo(self.state_size, self.blocks, self.conj_sym)
        self.lambda_re = self.param("lambda_re", lambda _: jnp.asarray(eigenvalues.real, "float32"))
        self.lambda_im = self.param("lambda_im", lambda _: jnp.asarray(eigenvalues.imag, "float32"))
        self.log_step = self.param(
            "log_step", s5_init.init_log_step(self.dt_min, self.dt_max, self.num_states)
        )
        self.b = self.param("b", s5_init.init_b(v, self.features))
        self.c = self.param("c", s5_init.init_c(self.c_init, v, self.features))
        self.d = self.param("d", nn.initializers.normal(1.0), (self.features,))
        if self.glu != "none":
            self.gate = nn.Dense(2 * self.features if self.glu == "full" else self.features)
        if self.norm != "none":
            self.layer_norm = nn.LayerNorm()

    def scan(
        self, x_TxBxH: jax.Array, state_BxN: jax.Array, start_TxB: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Take in T steps; returns y_TxBxH and the last planar state, of N = 2P numbers."""
        lambda_bar_N, b_bar_HxN, c_NxH = self._discretised()
        u_TxBxH = self._before(x_TxBxH)
        states_TxBxN = linear_scan(
            lambda_bar_N,
            u_TxBxH @ b_bar_HxN,
            start_TxB,
            initial_state=state_BxN,
            planar=True,
            implementation=self.implementation,
        )
        return self._after(x_TxBxH, u_TxBxH, states_TxBxN @ c_NxH), states_TxBxN[-1]

    def step(
        self, x_BxH: jax.Array, state_BxN: jax.Array, start_B: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Take in one step, one multiply-add; returns y_BxH and the next state."""
        lambda_bar_N, b_bar_HxN, c_NxH = self._discretised()
        u_BxH = self._before(x_BxH)
        state_BxN = jnp.where(start_B[..., None], 0, state_BxN)
        lambda_bar = pl.split(_as_rank_of(state_BxN, lambda_bar_N), planar=True)
        kept = pl.join(pl.multiply(lambda_bar, pl.split(state_BxN, planar=True)))
        state_BxN = kept + u_BxH @ b_bar_HxN
        return self._after(x_BxH, u_BxH, state_BxN @ c_NxH), state_BxN

    def _discretised(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return planar Λ̄ [2P] and B̄ [H, 2P], and the real C [2P, H] of the read-out."""
        lambda_re = jnp.minimum(self.lambda_re, -1e-4) if self.clip_eigenvalues else self.lambda_re
        eigenvalues = lax.complex(lambda_re, self.lambda_im)
        dt = self.step_rescale * jnp.exp(self.log_step)
        if self.discretization == "zoh":
            lambda_bar = jnp.exp(eigenvalues * dt)
            # expm1, since Λ̄ - 1 would lose most of its digits at the small steps
            b_scale = jnp.expm1(eigenvalues * dt) / eigenvalues
        else:
            half = eigenvalues * (dt / 2)
            lambda_bar = (1 + half) / (1 - half)
            b_scale = dt / (1 - half)
        # B is scaled rather than B u, since there is one B but T x B of the other.
        scale_1xN = pl.from_complex(b_scale)[None]
        b_bar = pl.multiply(pl.split(scale_1xN, planar=True), pl.split(self.b, planar=True))
        # The conjugate states that are not kept add the conjugate outputs: twice the real part.
        c = 2 * self.c if self.conj_sym else self.c
        return pl.from_complex(lambda_bar), pl.join(b_bar), c

    def _before(self, x: jax.Array) -> jax.Array:
        return self.layer_norm(x) if self.norm == "pre" else x

    def _after(self, skip: jax.Array, u: jax.Array, z: jax.Array) -> jax.Array:
        """Return the layer's output from the read-out z: feed-through, gate, skip."""
        z = z + _as_rank_of(u, self.d) * u
        if self.norm == "gate":
            z = self.layer_norm(z)
        g = nn.gelu(z)
        if self.glu == "full":  # the published two Dense(H) as one
            value, gate = jnp.split(self.gate(g), 2, axis=-1)
            g = value * nn.sigmoid(gate)
        elif self.glu == "half1":
            g = g * nn.sigmoid(self.gate(g))
        elif self.glu == "half2":
            g = z * nn.sigmoid(self.gate(g))
        y = skip + g
        return self.layer_norm(y) if self.norm == "post" else y


def _as_rank_of(like: jax.Array, vector: jax.Array) -> jax.Array:
    """Return a vector with leading axes of size one, for products with ``like``."""
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)
