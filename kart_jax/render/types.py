"""What the view is given: the pose of a kart, the look of the world, and the size of the
picture."""

import dataclasses
import math

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.errors import InputError


class Pose(struct.PyTreeNode):
    """Where one kart is and how its chassis leans; ISO 8855, every field ()."""

    x: chex.Array  # m, world, centre of gravity
    y: chex.Array  # m, world
    yaw: chex.Array  # rad, counter-clockwise from world x
    roll: chex.Array  # rad, positive = right side down
    pitch: chex.Array  # rad, positive = nose down
    steering_wheel: chex.Array  # rad, positive = turned to the left, as the driver sees it


class Appearance(struct.PyTreeNode):
    """How the world looks and where the eye is; traced, so every field may differ per
    environment."""

    asphalt: chex.Array  # (3,) 0..255 sRGB, as all colours here
    rubber: chex.Array  # (3,) the rubbered line
    line: chex.Array  # (3,) edge lines and the light squares of the start line
    kerb_a: chex.Array  # (3,) kerb blocks, first colour
    kerb_b: chex.Array  # (3,) kerb blocks, second colour
    grass: chex.Array  # (3,)
    barrier_a: chex.Array  # (3,) barrier blocks, first colour
    barrier_b: chex.Array  # (3,) barrier blocks, second colour
    trees: chex.Array  # (3,) the skyline behind the circuit
    sky_top: chex.Array  # (3,) sky high up
    sky_bottom: chex.Array  # (3,) sky at the horizon, and the haze in front of distant things
    body: chex.Array  # (3,) own bodywork
    gloves: chex.Array  # (3,) own gloves
    light: chex.Array  # () factor on every colour; 1 = as given
    camera_height: chex.Array  # () m, eye above the ground
    camera_setback: chex.Array  # () m, eye behind the centre of gravity
    camera_pitch: chex.Array  # () rad, look down relative to the chassis
    barrier_height: chex.Array  # () m
    grain: (
        chex.Array
    )  # () grey levels, standard deviation of the texture of asphalt and grass, fixed to the ground
    noise: (
        chex.Array
    )  # () grey levels, standard deviation of the camera's noise, fixed to the pixel
    seed: (
        chex.Array
    )  # () int32, chooses the camera's noise; change it with every frame for live noise


def default_appearance() -> Appearance:
    """A dry summer day, seen by a driver of average height; arrays are float32."""

    def colour(r: float, g: float, b: float) -> chex.Array:
        return jnp.asarray([r, g, b], jnp.float32)

    def number(value: float) -> chex.Array:
        return jnp.asarray(value, jnp.float32)

    return Appearance(
        asphalt=colour(104, 105, 110),
        rubber=colour(62, 62, 66),
        line=colour(244, 244, 240),
        kerb_a=colour(208, 34, 32),
        kerb_b=colour(240, 238, 232),
        grass=colour(82, 132, 52),
        barrier_a=colour(28, 60, 140),
        barrier_b=colour(232, 232, 228),
        trees=colour(52, 86, 58),
        sky_top=colour(66, 124, 204),
        sky_bottom=colour(198, 220, 238),
        body=colour(222, 60, 20),
        gloves=colour(30, 32, 38),
        light=number(1.0),
        camera_height=number(0.85),
        camera_setback=number(0.30),
        camera_pitch=number(math.radians(12.0)),
        barrier_height=number(0.95),
        grain=number(4.0),
        noise=number(0.0),
        seed=jnp.asarray(0, jnp.int32),
    )


@dataclasses.dataclass(frozen=True)
class ViewConfig:
    """Size and optics of the picture; hashable, fixed at compile time."""

    height: int = 84
    """Rows in pixels, 8 to 4320."""
    width: int = 84
    """Columns in pixels, 8 to 7680."""
    fov: float = math.radians(90.0)
    """Horizontal field of view in radians, 20° to 140°."""
    sky: float = math.radians(23.0)
    """Angle in radians above the picture's middle from which on nothing but sky is drawn; pi / 2
    draws everything everywhere. The default is 11° above the horizon of the default camera: room
    for the top of a barrier at one kart's width (8°) or for the trees (4.3°) while the chassis
    pitches or rolls by 3° and more."""
    ground: float = math.radians(18.0)
    """The same angle from which on no ground is drawn, at most `sky`: 6° above the default camera's
    horizon."""
    cockpit: bool = True
    """Whether the own kart is drawn, in the lower half of the picture; no sky is drawn there then,
    which a camera that looks down by less than the chassis pitches and rolls would show."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        right_angle = math.radians(90.0)
        bounds = {
            "height": (8, 4320),
            "width": (8, 7680),
            "fov": (math.radians(20.0), math.radians(140.0)),
            "sky": (0.0, right_angle),
            "ground": (0.0, right_angle),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            whole = name not in ("height", "width") or isinstance(value, int)
            if not (whole and low <= value <= high):
                kind = "a whole number " if name in ("height", "width") else ""
                raise InputError(
                    f"ViewConfig: {name} is {value}; allowed is {kind}{low:.4g} to {high:.4g}"
                )
        if self.ground > self.sky:
            raise InputError(
                f"ViewConfig: ground is {self.ground}; allowed is sky ({self.sky}) or less"
            )

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.width / math.tan(0.5 * self.fov)

    @property
    def sky_rows(self) -> int:
        """Rows of pure sky at the top."""
        return self._row_above(self.sky)

    @property
    def ground_row(self) -> int:
        """First row that may show ground."""
        return self._row_above(self.ground)

    @property
    def cockpit_row(self) -> int:
        """First row that may show the own kart; the number of rows if it is not drawn."""
        return (self.height + 1) // 2 if self.cockpit else self.height

    def _row_above(self, angle: float) -> int:
        """First row whose upper side is less than `angle` above the picture's middle."""
        return max(0, math.floor(0.5 * self.height - self.focal * math.tan(min(angle, 1.57))))

    @property
    def wall_rays(self) -> int:
        """Directions in which the barrier is searched, `focal` of them per unit of left / forward:
        one per column and a quarter more, for cameras that are pitched and rolled."""
        return round(1.25 * self.width)

    @property
    def wall_steps(self) -> int:
        """Steps of the search for the barrier: more where a pixel is finer."""
        return 10 + self.width // 40
