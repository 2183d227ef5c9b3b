"""The recurrence over several devices gives what it gives on one."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from functools import partial
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from ssmrl.scan import linear_scan

jax.config.update("jax_num_cpu_devices", 2)
name = sys.argv[1]
mesh = Mesh(np.array(jax.devices()), ("batch",))
keys = jax.random.split(jax.random.key(0), 5)
T, B, N = 16, 4, 64
radius = jax.random.uniform(keys[0], (N,), minval=0.5)
angle = 6 * jax.random.uniform(keys[4], (N,))
a = jnp.concatenate([radius * jnp.cos(angle), radius * jnp.sin(angle)])
b = jax.random.normal(keys[1], (T, B, 2 * N))
start = jax.random.bernoulli(keys[2], 0.2, (T, B))
h = jax.random.normal(keys[3], (B, 2 * N))

def run(name, reduce, a, b, start, h):
    def loss(a, b, h):
        x = linear_scan(a, b, start, initial_state=h, planar=True, implementation=name)
        return jnp.sin(x).sum(), x
    (_, x), (da, db, dh) = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(a, b, h)
    return x, reduce(da), db, dh

expected = jax.jit(partial(run, "sequential", lambda da: da))(a, b, start, h)
rows, first = P(None, "batch"), P("batch")
specs = (P(), rows, rows, first)
own = partial(run, name, lambda da: jax.lax.psum(da, "batch"))
by_hand = jax.shard_map(
    own, mesh=mesh, in_specs=specs, out_specs=(rows, P(), rows, first), check_vma=False
)
cut = [jax.device_put(v, NamedSharding(mesh, spec)) for v, spec in zip((a, b, start, h), specs)]
for program in (by_hand, partial(run, name, lambda da: da)):
    for found, wanted in zip(jax.jit(program)(*cut), expected, strict=True):
        scale = float(jnp.abs(wanted).max())
        np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-5)
    print(found.sharding.num_devices)
"""


@pytest.mark.parametrize("name", ["sequential", "associative"])
def test_two_devices_equal_one(name):
    """In a ``shard_map`` over sequences, and with the arrays alone sharded.

    The GPU kernel is not among them: its interpreter knows one device.
    """
    command = [sys.executable, "-c", PROGRAM, name]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["2", "2"]
