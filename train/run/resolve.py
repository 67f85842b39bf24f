"""How a request becomes a run: defaults by machine and profile, the saved run, the given flags."""

from kart_jax.errors import InputError
from train.declaration import build, declared_defaults, flatten, with_computed
from train.networks.config import BackboneName
from train.run.config import RunConfig
from train.run.defaults import MACHINES, PROFILES, Values
from train.run.request import TrainConfig


def resolve(
    request: TrainConfig, backend: str, saved: RunConfig | None = None, devices: int = 1
) -> RunConfig:
    """Fix every number of a run.

    Args:
        request: what is asked for.
        backend: JAX backend, "cpu" or another.
        saved: the run to go on from; it stands in for every flag that was not given.
        devices: that share the karts of a new run unless the request says otherwise.

    Returns:
        The run. InputError when the numbers do not fit together, or the backbone with the saved
        run.
    """
    declared: Values = declared_defaults(RunConfig)
    before: Values = {} if saved is None else flatten(saved)
    given: Values = request.given
    known = {**declared, **before, **given}
    _check_backbone(known["backbone"], request.backbone_weights, saved)

    # Each layer wins over those before it.
    layers: tuple[Values, ...] = (
        declared,
        MACHINES[backend == "cpu", known["telemetry_only"]],
        {"shards": request.devices or devices},
        PROFILES[known["profile"]],
        before,
        {} if request.profile is None else PROFILES[request.profile],
        given,
    )
    merged = {name: value for layer in layers for name, value in layer.items()}
    return build(RunConfig, with_computed(RunConfig, merged))


def _check_backbone(backbone: BackboneName, weights: str | None, saved: RunConfig | None) -> None:
    """Raise `InputError` unless backbone, weights and saved run fit together.

    A new pretrained backbone comes with weights, and only that; a resumed one stays.
    """
    if saved is not None and backbone != saved.network.backbone:
        raise InputError(
            f"--backbone is {backbone}, but the run to go on from has {saved.network.backbone}; "
            "leave it out, or begin a new run without --resume-from"
        )
    if saved is not None and weights is not None:
        raise InputError(
            f"--backbone-weights is {weights}, but the run to go on from brings its weights "
            "along; leave it out"
        )
    if saved is None and backbone == "nature" and weights is not None:
        raise InputError(
            f"--backbone-weights is {weights}, but nature starts from none; add --backbone resnet18"
        )
    if saved is None and backbone != "nature" and weights is None:
        raise InputError(
            f"--backbone is {backbone}, but there are no weights for it; add --backbone-weights "
            "with the .pth or .safetensors file of a pretrained one"
        )
