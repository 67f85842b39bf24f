"""What may differ from one environment to the next: every leaf is traced, so a batch axis in front
of it is domain randomisation."""

import chex
from flax import struct

from kart_jax.physics.params import AirParams, GroundParams, KartParams
from kart_jax.race.params import RaceParams, RaceRules
from kart_jax.render.types import Appearance


class EpisodeLimits(struct.PyTreeNode):
    """When an episode ends."""

    off_track_time: chex.Numeric = 1.0  # s without a wheel on the track
    stuck_speed: chex.Numeric = 1.0  # m/s
    stuck_time: chex.Numeric = 4.0  # s below it
    wrong_way_speed: chex.Numeric = 1.0  # m/s against the driving direction
    wrong_way_time: chex.Numeric = 2.0  # s above it
    episode_time: chex.Numeric = 120.0  # s, truncation


class StartRange(struct.PyTreeNode):
    """Where and how fast an episode may start; distributions in `randomise`."""

    track: chex.Numeric = -1  # int, index of the circuit; negative = drawn uniformly
    grid: chex.Numeric = 0.0  # 1 = stand on the grid, 0 = roll anywhere along the circuit
    offset: chex.Numeric = 0.5  # 0..1, largest offset as a part of the half-width
    heading_error: chex.Numeric = 0.15  # rad, largest, to either side
    speed: chex.Numeric = 18.0  # m/s, highest speed anywhere
    lateral: chex.Numeric = 8.0  # m/s², lateral acceleration that no start in a bend exceeds
    braking: chex.Numeric = 3.0  # m/s², deceleration with which the bends ahead can be reached


class RewardWeights(struct.PyTreeNode):
    """Weight of each term of `reward.TERMS`, same names."""

    progress: chex.Numeric = 5000.0  # per lap length driven forward on the track
    lap: chex.Numeric = 100.0  # per valid lap
    off_track: chex.Numeric = -150.0  # per second with all wheels off
    wall: chex.Numeric = -100.0  # per second in contact
    slip: chex.Numeric = -2.0  # per rad of drift angle and second
    steering_rate: chex.Numeric = -0.05  # per unit of steering action changed
    terminated: chex.Numeric = -50.0  # once, when the episode ends by a fault


class EnvParams(struct.PyTreeNode):
    """Everything traced of one environment."""

    kart: KartParams  # fields (K, ...); in an environment of one kart without that axis
    appearance: Appearance
    ground: GroundParams = GroundParams()
    air: AirParams = AirParams()
    rules: RaceRules = RaceRules()
    limits: EpisodeLimits = EpisodeLimits()
    start: StartRange = StartRange()
    rewards: RewardWeights = RewardWeights()
    latency: chex.Numeric = 0.0  # s, delay of the actions, up to one control step
    sensor_noise: chex.Numeric = 0.0  # standard deviation of the noise on each scaled channel

    @property
    def race(self) -> RaceParams:
        """What the race is driven with."""
        return RaceParams(kart=self.kart, ground=self.ground, air=self.air, rules=self.rules)
