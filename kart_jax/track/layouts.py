"""The shipped circuits as tables, and the command that paints them: `python -m
kart_jax.track.layouts [folder]`.

Car circuits are corner sequences (straight lengths, corner radii and angles) as racing guides
describe them; `close` changes each number a little until the lap closes at its real length. Kart
circuits are our own, drawn as polygons with a radius at each corner, which close by themselves.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from kart_jax.track import corners, draw
from kart_jax.track.line import Line


@dataclasses.dataclass(frozen=True)
class Piece:
    """A straight (angle 0) or a bend of one radius."""

    length: float
    """Straight: length, m. Bend: radius, m."""
    angle: float = 0.0
    """Turn in degrees, positive left; 0 = straight."""


@dataclasses.dataclass(frozen=True)
class Sequence:
    """A car circuit as the corner sequence from the start line around to it."""

    title: str
    """One line for lists and previews."""
    lap: float
    """Real length of a lap, m."""
    width: float
    """Asphalt from edge to edge, m."""
    heading: float
    """Direction of the start straight, degrees counter-clockwise from east."""
    pieces: tuple[Piece, ...]
    """From the start line in driving order."""
    blend: float = 5.0
    """Softening of the changes of curvature, m."""
    metres_per_pixel: float = 1.0
    """Scale of the picture."""


@dataclasses.dataclass(frozen=True)
class Polygon:
    """A kart circuit as corner points with radii; the start line lies between the last corner and
    the first."""

    title: str
    """One line for lists and previews."""
    lap: float
    """Length of a lap, m; the corner points are scaled to it."""
    width: float
    """Asphalt from edge to edge, m."""
    corners: tuple[tuple[float, float, float], ...]
    """x m, y m, radius m, in driving order."""
    start: float = 0.6
    """0..1, place of the start line on its straight."""
    blend: float = 2.5
    """Softening of the changes of curvature, m."""
    metres_per_pixel: float = 0.25
    """Scale of the picture."""


def straight(length: float) -> Piece:
    """Piece of `length` m without a turn."""
    return Piece(length)


def left(radius: float, angle: float) -> Piece:
    """Bend of `radius` m to the left by `angle` degrees."""
    return Piece(radius, angle)


def right(radius: float, angle: float) -> Piece:
    """Bend of `radius` m to the right by `angle` degrees."""
    return Piece(radius, -angle)


MONZA = Sequence(
    title="Monza: chicanes, Lesmo, Ascari, Parabolica",
    lap=5793.0,
    width=11.0,
    heading=84.0,
    pieces=(
        *(
            straight(560),
            right(15, 85),
            straight(20),
            left(22, 115),
            straight(20),
            right(60, 25),
        ),  # Rettifilo
        *(straight(130), right(310, 90), straight(400)),  # Curva Grande
        *(left(24, 62), straight(6), right(28, 50), straight(240)),  # Roggia
        *(right(75, 102), straight(190)),  # Lesmo 1
        *(right(55, 66), straight(370), left(500, 10), straight(590)),  # Lesmo 2, Serraglio
        *(
            left(50, 50),
            straight(55),
            right(75, 62),
            straight(50),
            left(110, 58),
            straight(940),
        ),  # Ascari
        *(right(95, 100), right(230, 77), straight(540)),  # Parabolica
    ),
)

SPA = Sequence(
    title="Spa-Francorchamps: La Source, Eau Rouge, Pouhon, Blanchimont",
    lap=7004.0,
    width=12.0,
    heading=122.0,
    pieces=(
        *(straight(260), right(18, 156), straight(200), right(600, 12), straight(330)),  # La Source
        *(left(110, 24), right(110, 58), left(150, 26)),  # Eau Rouge, Raidillon
        *(straight(260), right(450, 18), straight(740)),  # Kemmel
        *(
            right(45, 75),
            straight(30),
            left(45, 70),
            straight(80),
            right(60, 66),
            straight(340),
        ),  # Les Combes, Malmedy
        *(
            right(45, 174),
            straight(100),
            left(60, 60),
            straight(470),
        ),  # Bruxelles, Speaker's Corner
        *(left(120, 84), straight(60), left(130, 74), straight(310)),  # Pouhon
        *(right(75, 82), straight(50), left(85, 76), straight(150)),  # Fagnes
        *(right(75, 84), straight(110), right(130, 66), straight(180)),  # Stavelot, Paul Frere
        *(
            right(600, 40),
            straight(300),
            left(350, 36),
            straight(150),
            left(160, 46),
            straight(330),
        ),  # Blanchimont
        *(
            right(500, 16),
            straight(200),
            right(18, 95),
            straight(20),
            left(18, 120),
            straight(380),
        ),  # Bus Stop
    ),
)

SILVERSTONE = Sequence(
    title="Silverstone: Abbey, Copse, Maggotts and Becketts, Stowe",
    lap=5891.0,
    width=13.0,
    heading=53.0,
    pieces=(
        *(straight(200), right(130, 56), straight(60), left(230, 45), straight(190)),  # Abbey, Farm
        *(
            right(30, 125),
            straight(75),
            left(25, 160),
            straight(60),
            left(110, 58),
            straight(590),
        ),  # to Aintree
        *(left(60, 122), straight(45), right(50, 205), straight(160)),  # Brooklands, Luffield
        *(right(270, 51), straight(330)),  # Woodcote
        *(right(105, 75), straight(80), right(900, 18), straight(60)),  # Copse
        *(
            left(160, 35),
            right(110, 65),
            straight(10),
            left(75, 75),
            right(80, 108),
            left(150, 24),
        ),  # Becketts
        *(
            straight(690),
            right(85, 105),
            straight(40),
            left(700, 18),
            straight(80),
        ),  # Hangar Straight, Stowe
        *(
            left(28, 66),
            straight(30),
            right(35, 66),
            straight(20),
            right(110, 90),
            straight(270),
        ),  # Vale, Club
    ),
)


CIRCUIT = Polygon(
    title="Training circuit: varied and flowing, the first one to learn",
    lap=850.0,
    width=8.5,
    corners=(
        *(
            (140, 0, 16),
            (162, 88, 12),
            (90, 48, 13),
            (104, 132, 20),
            (34, 156, 16),
            (10, 82, 15),
            (-52, 112, 13),
        ),
        *((-74, 32, 24), (-30, 0, 26)),
    ),
)

BEGINNER = Polygon(
    title="Beginner track: wide, with gentle bends",
    lap=550.0,
    width=10.0,
    corners=((140, 0, 32), (152, 78, 28), (75, 56, 45), (2, 92, 28), (-22, 0, 32)),
)

HANGAR_NINE = Polygon(
    title="Hangar Nine: tight rental track with hairpins",
    lap=520.0,
    width=6.5,
    corners=(
        # A hairpin is two corners whose arcs meet halfway, so that it has one apex.
        *(
            (104, 0, 8),
            (108, 66, 10),
            (90, 70, 10),
            (82, 18, 10),
            (64, 18, 10),
            (62, 62, 10),
            (44, 62, 10),
        ),
        *(
            (42, 18, 10),
            (24, 18, 10),
            (22, 44, 14),
            (2, 50, 8),
            (4, 68, 8),
            (-20, 72, 8),
            (-24, 0, 12),
        ),
    ),
)

QUARRY_BOWL = Polygon(
    title="Quarry Bowl: short club circuit, one bend after another",
    lap=880.0,
    width=8.0,
    corners=(
        *(
            (-66, -123, 18),
            (-116, -42, 10),
            (-31, -55, 10),
            (-82, -10, 9),
            (13, 39, 10),
            (-72, 93, 11),
            (-25, 120, 30),
        ),
        *((53, 40, 13), (83, 77, 11), (125, 23, 9), (51, -7, 50), (6, -37, 25), (61, -117, 11)),
    ),
)

WINDMILL_PARK = Polygon(
    title="Windmill Park: club circuit with a long hairpin loop",
    lap=1090.0,
    width=9.0,
    corners=(
        *(
            (-25, -96, 70),
            (14, -135, 9),
            (34, -107, 48),
            (86, -80, 24),
            (162, -17, 11),
            (108, 25, 38),
            (58, 17, 52),
        ),
        *(
            (-3, 76, 11),
            (21, 93, 10),
            (-18, 126, 24),
            (-96, 62, 11),
            (-58, 38, 44),
            (-21, 45, 43),
            (46, -6, 26),
        ),
        *((-18, -67, 11), (-134, 32, 16), (-157, -7, 28)),
    ),
)

ALDER_RING = Polygon(
    title="Alder Ring: fast circuit for racing classes",
    lap=1350.0,
    width=9.5,
    corners=(
        *(
            (172, -104, 21),
            (55, -200, 9),
            (-4, -92, 13),
            (25, -67, 27),
            (-39, 7, 21),
            (-70, -7, 17),
            (-135, 50, 29),
        ),
        *(
            (-109, 79, 41),
            (-78, 93, 26),
            (51, -51, 34),
            (90, -40, 10),
            (-41, 111, 14),
            (4, 142, 29),
            (78, 78, 76),
        ),
    ),
)


def close(sequence: Sequence) -> np.ndarray:
    """Change the numbers of a corner sequence as little as possible so that the lap closes at its
    length.

    Straights may stretch (weight 15 % + 10 m), radii (15 %) and angles (3° + 5 %); the end must
    meet the start in place and direction and the lap must be right, each to a millimetre or so.

    Returns:
        The path (M, 2) m.
    """
    size = np.array([p.length for p in sequence.pieces], float)
    turn = np.radians([p.angle for p in sequence.pieces])
    bend = turn != 0
    size_step = np.where(bend, 0.15 * size, 0.15 * size + 10.0)
    turn_step = np.where(bend, np.radians(3.0) + 0.05 * np.abs(turn), 0.0)
    count = len(size)
    full = 2 * np.pi * np.sign(turn.sum())

    def unpack(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.maximum(size + size_step * z[:count], 0.3 * size), turn + turn_step * z[count:]

    def misfit(z: np.ndarray) -> np.ndarray:
        sizes, angles = unpack(z)
        end, lengths = _ends(sizes, angles, bend)
        hard = [
            end[-1].real,
            end[-1].imag,
            lengths.sum() - sequence.lap,
            100.0 * (angles.sum() - full),
        ]
        return np.concatenate([z, 1e3 * np.array(hard)])

    sizes, angles = unpack(least_squares(misfit, np.zeros(2 * count)).x)
    return _walk(sizes, angles, bend, np.radians(sequence.heading))


def _ends(sizes: np.ndarray, angles: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """End points (P,) as complex m and lengths (P,) m of the pieces, from the origin heading east.

    The chord of an arc of length l and turn a is l sinc(a / 2), at half the turn.
    """
    lengths = np.where(bend, sizes * np.abs(angles), sizes)
    after = np.cumsum(angles)
    chord = lengths * np.sinc(angles / (2 * np.pi))
    return np.cumsum(chord * np.exp(1j * (after - angles / 2))), lengths


def _walk(sizes: np.ndarray, angles: np.ndarray, bend: np.ndarray, heading: float) -> np.ndarray:
    """Points (M, 2) m along the pieces, about `corners.STEP` apart."""
    lengths = np.where(bend, sizes * np.abs(angles), sizes)
    small, part = [], []
    for length, angle in zip(lengths, angles, strict=True):
        count = max(1, round(length / corners.STEP))
        small += [angle / count] * count
        part += [length / count] * count
    ends, _ = _ends(np.array(part), np.array(small), np.zeros(len(part), bool))
    path = np.concatenate([[0.0], ends[:-1]]) * np.exp(1j * heading)
    return np.column_stack([path.real, path.imag])


def line(layout: Sequence | Polygon) -> Line:
    """Build the circuit of a table, at exactly its lap length."""
    half = layout.width / 2
    if isinstance(layout, Sequence):
        path = close(layout)
    else:
        table = np.array(layout.corners)
        path = corners.rounded(
            table[:, :2], corners.fit_radii(table[:, :2], table[:, 2]), layout.start
        )
    for _ in range(2):  # softening shortens the lap by a few metres
        path = path * (layout.lap / corners.soften(path, layout.blend, half, half).length)
    return corners.soften(path, layout.blend, half, half)


STARTER = Polygon(
    title="New track: paint it over",
    lap=700.0,
    width=8.0,
    corners=((150, 0, 18), (165, 70, 14), (100, 80, 20), (60, 45, 20), (0, 90, 14), (-30, 0, 22)),
)

LAYOUTS: dict[str, Sequence | Polygon] = {
    "circuit": CIRCUIT,
    "beginner_track": BEGINNER,
    "hangar_nine": HANGAR_NINE,
    "quarry_bowl": QUARRY_BOWL,
    "windmill_park": WINDMILL_PARK,
    "alder_ring": ALDER_RING,
    "monza": MONZA,
    "spa": SPA,
    "silverstone": SILVERSTONE,
}


def new(
    name: str, folder: str | Path = "tracks", metres_per_pixel: float = 0.25, replace: bool = False
) -> Path:
    """Write a plain kart circuit as a picture to paint on, with its entry in `checkpoints.json`.

    Raises:
        InputError: as `draw.save`.
    """
    return draw.save(line(STARTER), name, folder, metres_per_pixel, STARTER.title, replace)


def main(folder: str = "tracks") -> None:
    """Paint every circuit of `LAYOUTS` into `folder`."""
    for name, layout in LAYOUTS.items():
        draw.save(
            line(layout), name, Path(folder), layout.metres_per_pixel, layout.title, replace=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:2])
