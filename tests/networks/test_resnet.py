"""The ResNet-18 backbone: features as in plain NumPy, what learns of it, and what is refused."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from ring_env import RingEnv
from ring_runs import run
from weight_files import forward, random_resnet, write_safetensors, write_zip

from kart_jax import cli
from kart_jax.env.config import EnvConfig
from kart_jax.errors import InputError
from train.evaluation import load_policy
from train.networks import actor_critic, distribution, policy, resnet, weight_file
from train.ppo import frame_store, minibatches, surrogate
from train.ppo.config import PPOConfig
from train.ppo.hyperparameters import Hyperparameters
from train.run import prepare
from train.run.request import TrainConfig

STATE = random_resnet()
LAYERS = 20  # 1 + 4 stages of 4 + 3 shortcuts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds `file`, the random ResNet-18."""
    folder = tmp_path_factory.mktemp("weights")
    write_safetensors(folder / "file", STATE)
    return folder


@pytest.fixture(scope="module")
def pretrained(folder):
    return resnet.load(folder / "file")


def pictures(batch, side, frames):
    """(batch, side, side, 3 frames) uint8: blocks of one colour, so that directions matter."""
    rng = np.random.default_rng(side)
    small = rng.integers(0, 256, (batch, 7, 7, 3 * frames), dtype=np.uint8)
    return small.repeat(-(-side // 7), axis=1).repeat(-(-side // 7), axis=2)[:, :side, :side]


@pytest.mark.parametrize("form", [pytest.param("patches", marks=pytest.mark.slow), "lax"])
def test_features_of_stacked_frames_equal_those_of_the_network_in_numpy(pretrained, form):
    stack = pictures(1, 84, 2)
    graph, params = nnx.split(resnet.ResNet18(6, form, weights=pretrained))
    found = np.asarray(jax.jit(nnx.merge(graph, params))(stack))
    expected = forward(STATE, stack.reshape(84, 84, 2, 3).transpose(2, 3, 0, 1)).reshape(1, 1024)
    assert found.dtype == np.float32 and 0.1 < expected.std() < 10.0
    assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()


def test_layers_are_converted_one_by_one(pretrained):
    """Every number of a kernel is in its place, and scale and offset are those of the formula."""
    assert len(pretrained) == LAYERS
    for name, layer in resnet.LAYERS.items():
        kernel = pretrained[name].kernel
        np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), STATE[f"{name}.weight"])
        x = np.linspace(-2.0, 2.0, layer.outputs)
        gain, bias, mean, variance = (
            STATE[f"{layer.norm}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        expected = (x - mean) / np.sqrt(variance + 1e-5) * gain + bias
        np.testing.assert_allclose(
            x * pretrained[name].scale + pretrained[name].offset, expected, atol=1e-5
        )


@pytest.mark.parametrize("prefix", ["module.", "backbone.", "module.backbone."])
def test_prefixes_and_half_precision_are_taken(tmp_path, prefix):
    half = {
        prefix + k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in STATE.items()
    }
    write_zip(tmp_path / "file", {"state_dict": half})
    found = resnet.load(tmp_path / "file")["layer3.0.downsample.0"].kernel
    expected = STATE["layer3.0.downsample.0.weight"].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(found.transpose(3, 2, 0, 1), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"layer4.1.bn2.running_var": None},
            "has no layer4.1.bn2.running_var; give the state dict of torchvision's",
        ),
        (
            {"conv1.weight": np.zeros((64, 3, 3, 3))},
            "conv1.weight has shape (64, 3, 3, 3), a ResNet-18's has (64, 3,",
        ),
        (
            {"layer1.2.conv1.weight": np.zeros((64, 64, 3, 3))},
            "holds layer1.2.conv1.weight, which a ResNet-18 does",
        ),
        (
            {"layer2.0.bn1.bias": np.full(128, np.nan)},
            "layer2.0.bn1.bias holds numbers that are not finite",
        ),
        ({"bn1.weight": np.full(64, 1e300)}, "bn1.weight holds numbers that are not finite"),
        ({"bn1.running_var": np.full(64, -0.1)}, "bn1.running_var holds variances below 0"),
    ],
)
def test_another_network_is_refused(monkeypatch, tmp_path, change, words):
    changed = {name: array for name, array in (STATE | change).items() if array is not None}
    with np.errstate(over="ignore"):
        changed = {name: array.astype(np.float32) for name, array in changed.items()}
    monkeypatch.setattr(weight_file, "read", lambda path: changed)
    with pytest.raises(InputError) as caught:
        resnet.load(tmp_path / "file")
    assert str(caught.value).startswith(f"{tmp_path / 'file'}: {words}")


def test_a_bad_file_ends_the_command_with_2_and_leaves_no_run(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"\x80\x02cposix\nsystem\nX\x07\x00\x00\x00echo no\x85R.")
    command = f"train --backbone resnet18 --backbone-weights {tmp_path / 'file'}"
    assert cli.main([*command.split(), "--runs-dir", str(tmp_path / "runs")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "its pickle wants posix.system" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("trainable", range(5))
def test_only_kernels_of_the_last_stages_learn(trainable):
    encoder = partial(resnet.ResNet18, trainable=trainable)
    params = jax.eval_shape(
        lambda key: actor_critic.build(key, 12, "lax", 0.5, 0.3, encoder)[1], jax.random.key(0)
    )
    learning, frozen = actor_critic.split_frozen(params)

    shapes = {
        "/".join(map(str, path)): leaf.get_value().shape
        for path, leaf in nnx.to_flat_state(learning)
    }
    kernels = [name for name in shapes if name.startswith("vision")]
    # Four kernels per stage; stages 2 to 4 have one more, in the shortcut.
    assert len(kernels) == [0, 5, 10, 15, 19][trainable]
    assert all(
        name.endswith("kernel") and name > f"vision/layers/layer{5 - trainable}" for name in kernels
    )
    assert len(jax.tree.leaves(frozen)) == 3 * LAYERS - len(kernels)
    assert shapes["fusion/kernel"] == (4 * 512 + 64, 512)


def learn(pretrained, trainable):
    """One update on four pictures of 33x33 pixels.

    Returns the parameters before and after, the optimiser's state, and what was kept of the views.
    """
    encoder = partial(resnet.ResNet18, trainable=trainable, weights=pretrained)
    graph, params = actor_critic.build(jax.random.key(0), 3, "lax", 0.5, 0.3, encoder)
    config = PPOConfig(
        2, 2, epochs=1, minibatch_size=2, learning_rate=1e-3, ent_coef=0.0, target_kl=100.0
    )
    observation = {"vision": jnp.asarray(pictures(4, 33, 1)), "telemetry": jnp.ones((4, 9))}
    pre_tanh = jax.random.normal(jax.random.key(1), (4, 2))

    def update(params):
        network = nnx.merge(graph, params)
        encoded = network.encode_frozen(observation)
        mean, log_std, value = network(encoded)
        batch = surrogate.Batch(
            telemetry=encoded["telemetry"],
            features=encoded.get("features"),
            pre_tanh_action=pre_tanh,
            log_prob=distribution.log_prob(pre_tanh, mean, log_std),
            value=value,
            advantage=jnp.asarray([1.0, -1.0, 0.5, -0.5]),
            target=jnp.ones(4),
            weight=jnp.ones(4),
        )

        store = None
        if "vision" in encoded:  # a roll-out of two steps of two karts
            frames = encoded["vision"].reshape(2, 2, *encoded["vision"].shape[1:])
            store = frame_store.store_frames(frames[0], frames, jnp.zeros((2, 2), bool))

        optimiser = minibatches.optimiser(config.max_grad_norm)
        opt_state = optimiser.init(actor_critic.split_frozen(params)[0])
        after, _ = minibatches.update_minibatches(
            minibatches.Agent(graph, params, opt_state),
            minibatches.Samples(batch, store),
            minibatches.permutation(jax.random.key(2), config.shape),
            jnp.float32(1e-3),
            Hyperparameters.from_config(config, updates=1),
        )
        return after.params, after.opt_state, encoded

    return params, *jax.jit(update)(params)


@pytest.mark.parametrize("trainable", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_frozen_numbers_stay_bit_for_bit_and_take_no_memory_in_the_optimiser(pretrained, trainable):
    before, after, opt_state, encoded = learn(pretrained, trainable)
    assert jax.tree.structure(before) == jax.tree.structure(after)

    learning, frozen = actor_critic.split_frozen(before)
    learned, still_frozen = actor_critic.split_frozen(after)
    for old, new in zip(jax.tree.leaves(frozen), jax.tree.leaves(still_frozen), strict=True):
        assert np.asarray(old).tobytes() == np.asarray(new).tobytes()
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), learning, learned)
    assert all(jax.tree.leaves(moved))  # all that is not frozen learns, kernels of stage 4 included

    count = sum(leaf.size for leaf in jax.tree.leaves(learning))
    kept = sum(leaf.size for leaf in jax.tree.leaves(opt_state))
    assert kept == 2 * count + 1  # two moments each, and a counter
    assert set(encoded) == {"telemetry", "features" if trainable == 0 else "vision"}


def backbone_of(params):
    """Bytes of every number of the backbone, by layer and kind, kernels as in the file."""
    layers = params["vision"]["layers"]
    return {
        (name, part): np.asarray(layers[name.replace(".", "_")][part].get_value()).tobytes()
        for name in resnet.LAYERS
        for part in ("kernel", "scale", "offset")
    }


@pytest.mark.slow
def test_a_run_is_resumed_watched_and_fine_tuned_without_the_file(
    monkeypatch, tmp_path, pretrained
):
    ring = RingEnv(config=EnvConfig(frame_stack=1, vision=True))
    monkeypatch.setattr(prepare, "make_env", lambda config: ring)
    write_safetensors(tmp_path / "file", STATE)
    config = TrainConfig(
        backbone="resnet18",
        backbone_weights=str(tmp_path / "file"),
        vector_envs=2,
        rollout_steps=4,
        minibatch_size=4,
        epochs=2,
        timesteps=16,
        runs_dir=str(tmp_path),
        save_name="frozen",
    )
    wanted = {
        (name, part): np.asarray(getattr(layer, part)).tobytes()
        for name, layer in pretrained.items()
        for part in ("kernel", "scale", "offset")
    }

    frozen, result, _ = run(config)
    assert result.steps == 16 and result.failure is None
    assert backbone_of(frozen.state.params) == wanted
    (tmp_path / "file").unlink()

    driver, settings = load_policy.load_policy("frozen", str(tmp_path))
    assert (settings.network.backbone, settings.network.backbone_trainable) == ("resnet18", 0)
    assert backbone_of(driver.params) == wanted
    observation = frozen.state.observation
    expected = policy.Policy(params=frozen.state.params, graph=frozen.graph)(observation)
    np.testing.assert_array_equal(driver(observation), expected)

    again, result, notes = run(
        TrainConfig(resume_from="frozen", timesteps=24, runs_dir=str(tmp_path))
    )
    assert result.steps == 24 and notes == [] and backbone_of(again.state.params) == wanted

    tuned, result, notes = run(
        TrainConfig(resume_from="frozen", backbone_trainable=1, runs_dir=str(tmp_path))
    )
    assert "starting a new run from the driver of" in notes[0] and result.failure is None
    moved = {
        place
        for place, numbers in backbone_of(tuned.state.params).items()
        if numbers != wanted[place]
    }
    assert moved == {(name, "kernel") for name, layer in resnet.LAYERS.items() if layer.stage == 4}
