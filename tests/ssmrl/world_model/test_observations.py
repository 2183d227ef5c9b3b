"""The encoder and the decoder of observations, part by part."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssmrl.world_model.observations import Decoder, Encoder
from ssmrl.world_model.parts import Image, Integers, Numbers, OneHots, unpack

PARTS = (OneHots((2, 1)), Integers(2, 0, 2), Numbers(2), Image(5, 6, 2, True))
LEAD = (3, 2)
PACKED = (
    jax.random.randint(jax.random.key(0), (*LEAD, 2), 0, 2).astype(jnp.uint8),
    jax.random.randint(jax.random.key(1), (*LEAD, 2), 0, 3).astype(jnp.uint8),
    jax.random.normal(jax.random.key(2), (*LEAD, 2)),
    jax.random.randint(jax.random.key(3), (*LEAD, 60), 0, 256).astype(jnp.uint8),
)
HIDDEN = jax.random.normal(jax.random.key(4), (*LEAD, 7))
ENCODER, DECODER = Encoder(PARTS, (8, 4)), Decoder(PARTS, (9,))
ENCODE = jax.jit(ENCODER.init)(jax.random.key(5), PACKED)
DECODE = DECODER.init(jax.random.key(6), HIDDEN, PACKED, method="log_prob")


@jax.jit
def encode(packed):
    return ENCODER.apply(ENCODE, packed)


@jax.jit
def told(hidden, packed):
    call = lambda method, *args: DECODER.apply(DECODE, *args, method=method)  # noqa: E731
    return (
        call("log_prob", hidden, packed),
        call("log_probs", hidden, packed),
        call("most_likely", hidden),
    )


def test_sequences_are_encoded_moment_by_moment():
    features = encode(PACKED)
    assert features.shape == (*LEAD, 4)
    alone = jnp.stack([encode(tuple(x[t] for x in PACKED)) for t in range(LEAD[0])])
    np.testing.assert_allclose(features, alone, rtol=1e-5, atol=1e-6)


def test_every_entry_of_every_part_is_seen():
    features = np.asarray(encode(PACKED))
    for i, x in enumerate(PACKED):
        for entry in range(0, x.shape[-1], 7):
            other = (*PACKED[:i], x.at[..., entry].set(1 - x[..., entry]), *PACKED[i + 1 :])
            changed = abs(np.asarray(encode(other)) - features).max(-1) > 0
            np.testing.assert_array_equal(changed, x[..., entry] != 1 - x[..., entry])


def test_images_go_through_convolutions():
    p = ENCODE["params"]
    assert p["Image_3"]["Cells"]["Dense_0"]["kernel"].shape == (9 * 2, 16)
    assert p["MLP"]["Dense_0"]["kernel"].shape[0] == 3 + 6 + 2 + 5 * 6 * 16
    assert set(DECODE["params"]["heads_3"]) == {"Seen", "Cells", "Pixels"}


def test_layers_work_in_a_dtype_likelihoods_in_float32():
    half = Encoder(PARTS, (8, 4), jnp.bfloat16).apply(ENCODE, PACKED)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), encode(PACKED), atol=0.1)
    decoder = Decoder(PARTS, (9,), jnp.bfloat16)
    found = decoder.apply(DECODE, HIDDEN, PACKED, method="log_probs")
    assert found.dtype == jnp.float32
    full = told(HIDDEN, PACKED)[1]
    np.testing.assert_allclose(found, full, rtol=0.05, atol=0.05)
    assert abs(found - full).max() > 1e-3
    assert {x.dtype for x in jax.tree.leaves((ENCODE, DECODE))} == {jnp.dtype("float32")}


def test_the_likelihood_of_all_is_that_of_the_parts():
    total, each, _ = told(HIDDEN, PACKED)
    assert total.shape == LEAD
    assert each.shape == (*LEAD, len(PARTS))
    np.testing.assert_allclose(total, each.sum(-1), rtol=1e-6)
    assert (each < 0).all()


@pytest.mark.parametrize(("i", "values"), [(0, [range(3), range(2)]), (1, [range(3)] * 2)])
def test_probabilities_of_all_categories_sum_to_one(i, values):
    every = np.array(list(itertools.product(*values)), np.uint8)
    total = 0.0
    for value in every:
        packed = list(PACKED)
        packed[i] = jnp.broadcast_to(value, (*LEAD, 2))
        total += np.exp(told(HIDDEN, tuple(packed))[1][..., i])
    np.testing.assert_allclose(total, np.ones(LEAD), rtol=1e-5)


def test_the_likeliest_is_likelier_than_anything_else():
    _, each, likeliest = told(HIDDEN, PACKED)
    assert likeliest.shape == (*LEAD, 3 + 2 + 2 + 60)
    packed = tuple(
        part.pack(x)
        for part, x in zip(PARTS, jnp.split(likeliest, [3, 5, 7], axis=-1), strict=True)
    )
    np.testing.assert_array_equal(unpack(PARTS, packed), likeliest)
    most = told(HIDDEN, packed)[1]
    assert (most >= each).all()
    np.testing.assert_allclose(most[..., 2], np.zeros(LEAD), atol=1e-9)


def test_the_decoder_learns_what_it_is_shown():
    """Gradient descent on one observation, whose likeliest then is what was shown."""
    shown = tuple(x[:1, 0] for x in PACKED)
    hidden = HIDDEN[:1, 0]

    @jax.jit
    def descend(params):
        def loss(params):
            return -DECODER.apply(params, hidden, shown, method="log_prob").sum()

        step = lambda p, _: (jax.tree.map(lambda x, g: x - 0.02 * g, p, jax.grad(loss)(p)), None)  # noqa: E731
        return jax.lax.scan(step, params, length=400)[0]

    found = DECODER.apply(descend(DECODE), hidden, method="most_likely")
    np.testing.assert_allclose(found, unpack(PARTS, shown), atol=0.05)
