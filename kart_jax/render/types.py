"""What the view is given: a kart's pose, how the world and the kart look, the picture's size."""

import dataclasses
import math

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.errors import InputError


class Pose(struct.PyTreeNode):
    """Where one kart is, how its chassis leans and how it steers; ISO 8855, every field ()."""

    x: chex.Array  # m, world, centre of gravity
    y: chex.Array  # m, world
    yaw: chex.Array  # rad, counter-clockwise from world x
    roll: chex.Array  # rad, positive = right side down
    pitch: chex.Array  # rad, positive = nose down
    steering_wheel: chex.Array  # rad, positive = turned to the left, as the driver sees it
    road_wheel: chex.Array  # rad, mean angle of the front wheels, positive = left


class Body(struct.PyTreeNode):
    """The measures of the own kart that are drawn; every field ().

    `body.appearance_of` derives them from a kart; `front_wheel` says within which ranges front
    wheels are drawn.
    """

    front_axle: chex.Array  # m, ahead of the centre of gravity
    half_track: chex.Array  # m, middle of the kart to the middle of a front wheel
    tyre_radius: chex.Array  # m, front
    nose: chex.Array  # m, front of the bodywork ahead of the centre of gravity
    half_width: chex.Array  # m, half the width of the bodywork at the nose


class Appearance(struct.PyTreeNode):
    """How world and kart look and where the eye is; traced: each field may differ per kart."""

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
    bodywork: chex.Array  # (3,) own bodywork
    gloves: chex.Array  # (3,) own gloves
    light: chex.Array  # () factor on every colour; 1 = as given
    camera_height: chex.Array  # () m, eye above the ground
    camera_setback: chex.Array  # () m, eye behind the centre of gravity
    camera_pitch: chex.Array  # () rad, how far the eye looks down in the chassis
    kerb_width: chex.Array  # () m, of every kerb
    barrier_height: chex.Array  # () m
    body: Body  # measures of the own kart
    grain: chex.Array  # () grey levels, deviation of the texture of asphalt and grass
    noise: chex.Array  # () grey levels, standard deviation of the camera's noise
    seed: chex.Array  # () int32, chooses the camera's noise; another in every frame = live noise


def default_body() -> Body:
    """Return the body of the standard kart; arrays are float32."""
    return Body(
        front_axle=_number(0.62),
        half_track=_number(0.56),
        tyre_radius=_number(0.127),
        nose=_number(1.30),
        half_width=_number(0.36) + _number(0.12),  # the flat middle and the rounded end
    )


def default_appearance() -> Appearance:
    """Return a dry summer day, seen by a driver of average height; arrays are float32."""
    return Appearance(
        asphalt=_colour(104, 105, 110),
        rubber=_colour(62, 62, 66),
        line=_colour(244, 244, 240),
        kerb_a=_colour(208, 34, 32),
        kerb_b=_colour(240, 238, 232),
        grass=_colour(82, 132, 52),
        barrier_a=_colour(28, 60, 140),
        barrier_b=_colour(232, 232, 228),
        trees=_colour(52, 86, 58),
        sky_top=_colour(66, 124, 204),
        sky_bottom=_colour(198, 220, 238),
        bodywork=_colour(222, 60, 20),
        gloves=_colour(30, 32, 38),
        light=_number(1.0),
        camera_height=_number(0.85),
        camera_setback=_number(0.30),
        camera_pitch=_number(math.radians(12.0)),
        kerb_width=_number(0.80),
        barrier_height=_number(0.95),
        body=default_body(),
        grain=_number(4.0),
        noise=_number(0.0),
        seed=jnp.asarray(0, jnp.int32),
    )


def _colour(red: float, green: float, blue: float) -> chex.Array:
    """Return a colour (3,)."""
    return jnp.asarray([red, green, blue], jnp.float32)


def _number(value: float) -> chex.Array:
    """Return a number ()."""
    return jnp.asarray(value, jnp.float32)


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
    """Angle in radians above the picture's middle from which on nothing but sky is drawn.

    pi / 2 draws everything everywhere. The default is 11° above the horizon of the default camera:
    room for the top of a barrier at one kart's width (8°) or for the trees (4.3°) while the chassis
    pitches or rolls by 3° and more.
    """
    ground: float = math.radians(18.0)
    """The same angle from which on no ground is drawn, at most `sky`.

    The default is 6° above the horizon of the default camera.
    """
    cockpit: bool = True
    """Whether the own kart is drawn, in the lower half of the picture.

    No sky is drawn there then, which a camera that looks down by less than the chassis pitches and
    rolls would show.
    """

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
            counted = name in ("height", "width")
            fits = isinstance(value, int) or not counted
            if not (fits and low <= value <= high):
                kind = "a whole number " if counted else ""
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

    @property
    def wall_rays(self) -> int:
        """Directions in which the barrier is searched.

        There are `focal` of them per unit of left / forward: one per column and a quarter more, for
        cameras that are pitched and rolled.
        """
        return round(1.25 * self.width)

    @property
    def wall_steps(self) -> int:
        """Steps of the search for the barrier: more where a pixel is finer."""
        return 10 + self.width // 40

    def _row_above(self, angle: float) -> int:
        """Return the first row whose upper side is less than `angle` above the picture's middle."""
        return max(0, math.floor(0.5 * self.height - self.focal * math.tan(min(angle, 1.57))))
