"""The network: its exact shape, and the two forms of its convolutions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from train.networks import actor_critic, convolution
from train.run.network import build_network
from train.run.request import TrainConfig
from train.run.resolve import resolve


def shapes(params):
    return {"/".join(map(str, path)): leaf[...].shape for path, leaf in nnx.to_flat_state(params)}


def build(channels, form="patches"):
    return actor_critic.build(jax.random.key(0), channels, form, 0.5, 0.3)


def observe(batch, channels, key=1):
    """Random observations."""
    vision_key, telemetry_key = jax.random.split(jax.random.key(key))
    vision = jax.random.randint(vision_key, (batch, 84, 84, channels), 0, 256).astype(jnp.uint8)
    return {"vision": vision, "telemetry": jax.random.normal(telemetry_key, (batch, 9))}


@pytest.mark.parametrize("frames", [1, 4])
def test_layers_are_exactly_those_of_the_specification(frames):
    kernels = {k: v for k, v in shapes(build(3 * frames)[1]).items() if k.endswith("kernel")}
    assert kernels == {
        "vision/first/kernel": (8, 8, 3 * frames, 32),
        "vision/second/kernel": (4, 4, 32, 64),
        "vision/third/kernel": (3, 3, 64, 64),
        "telemetry_first/kernel": (9, 64),
        "telemetry_second/kernel": (64, 64),
        "fusion/kernel": (3200, 512),
        "actor_hidden/kernel": (512, 256),
        "actor_out/kernel": (256, 2),
        "critic_hidden/kernel": (512, 256),
        "critic_out/kernel": (256, 1),
    }


def test_telemetry_only_variant_takes_no_picture():
    graph, params = build(0)
    mean, log_std, value = nnx.merge(graph, params)({"telemetry": jnp.zeros((5, 9))})
    assert (mean.shape, log_std.shape, value.shape) == ((5, 2), (2,), (5,))
    assert not any("vision" in name or "fusion" in name for name in shapes(params))


@pytest.mark.parametrize(
    ("size", "stride", "channels", "side"),
    [(8, 4, 3, 84), (4, 2, 8, 20), (3, 1, 8, 9), (4, 2, 3, 21)],
)
def test_one_convolution_in_both_forms(size, stride, channels, side):
    image_key, kernel_key = jax.random.split(jax.random.key(size))
    images = jax.random.normal(image_key, (2, side, side, channels))
    kernel = jax.random.normal(kernel_key, (size, size, channels, 5))
    expected = convolution.lax_convolution(images, kernel, stride)
    found = convolution.patch_convolution(images, kernel, stride)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_whole_network_agrees_in_both_forms_with_gradients():
    observation = observe(3, 3)
    params = build(3)[1]

    def value_and_gradient(form):
        graph, _ = build(3, form)

        def loss(params):
            mean, _, value = nnx.merge(graph, params)(observation)
            return jnp.sum(mean * jnp.asarray([1.0, -2.0])) + jnp.sum(value**2)

        return jax.value_and_grad(loss)(params)

    expected, expected_gradient = value_and_gradient("lax")
    found, found_gradient = value_and_gradient("patches")
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    pairs = zip(jax.tree.leaves(found_gradient), jax.tree.leaves(expected_gradient), strict=True)
    for a, b in pairs:
        # float32 sums of up to 10^5 terms in another order; a wrong patch would be off by the
        # size of the gradient.
        np.testing.assert_allclose(a, b, atol=1e-4 * float(jnp.max(jnp.abs(b)) + 1e-3))


def test_bytes_are_scaled_to_one_inside_the_first_layer():
    first = convolution.Convolution(
        3, 4, size=8, stride=4, form="patches", rngs=nnx.Rngs(0), input_scale=1 / 255
    )
    white = jnp.full((1, 8, 8, 3), 255, jnp.uint8)
    expected = jnp.sum(first.kernel[...], axis=(0, 1, 2))
    np.testing.assert_allclose(first(white)[0, 0, 0], expected, rtol=1e-4, atol=1e-5)


def test_the_untrained_policy_rolls_forward_without_steering():
    graph, params = build(0)
    mean, log_std, _ = nnx.merge(graph, params)(
        {"telemetry": jax.random.normal(jax.random.key(4), (50, 9))}
    )
    np.testing.assert_allclose(np.mean(mean, axis=0), [0.0, 0.3], atol=0.05)
    np.testing.assert_allclose(np.exp(log_std), 0.5, rtol=1e-6)


def test_kernels_start_orthogonal():
    params = build(3)[1]
    kernel = np.asarray(params["vision"]["third"]["kernel"][...]).reshape(-1, 64)
    np.testing.assert_allclose(kernel.T @ kernel, 2 * np.eye(64), atol=1e-4)


@pytest.mark.slow
def test_bfloat16_computes_with_the_same_float32_parameters():
    encoder = partial(actor_critic.VisionEncoder, precision="bfloat16")
    graph, params = actor_critic.build(
        jax.random.key(0), 3, "patches", 0.5, 0.3, encoder, "bfloat16"
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}

    observation = observe(8, 3)
    half = nnx.merge(graph, params)
    whole = nnx.merge(*build(3))

    # 8 bits of a product's factors and sums of products of random signs: a relative error of some
    # 2^-8 of the typical size, for pictures of noise.
    visual = half.vision(observation["vision"])
    expected = np.asarray(whole.vision(observation["vision"]))
    assert visual.dtype == jnp.bfloat16
    difference = np.asarray(visual, np.float32) - expected
    assert 1e-4 < np.sqrt(np.mean(difference**2)) / np.sqrt(np.mean(expected**2)) < 0.02

    for found, known in zip(half(observation), whole(observation), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, known, atol=0.03 * float(jnp.max(jnp.abs(known))))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_network_of_a_run_computes_inside_in_the_precision_asked_for(precision):
    settings = resolve(TrainConfig(precision=precision), "cpu")

    def run(key):
        graph, params = build_network(settings.network, key)
        network = nnx.merge(graph, params)
        observation = observe(2, 3)
        telemetry = network.telemetry_second(network.telemetry_first(observation["telemetry"]))
        visual = network.vision(observation["vision"])
        fused = network.fusion(jnp.concatenate([visual, telemetry], axis=-1))
        heads = network.actor_hidden(fused), network.critic_hidden(fused)
        return params, (telemetry, visual, fused, *heads), network(observation)

    params, inside, outputs = jax.eval_shape(run, jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves((params, outputs))} == {jnp.dtype("float32")}
    assert {leaf.dtype for leaf in inside} == {jnp.dtype(precision)}


def test_a_cpu_gets_the_matrix_product():
    assert convolution.convolution_form("cpu") == "patches"
    assert convolution.convolution_form("gpu") == "lax"
