"""The shipped circuits as tables, and the command that paints them.

`python -m kart_jax.track.layouts [folder]` writes the pictures; `layout_line` says what the numbers
mean. Car circuits have the lengths of the real ones; the kart circuits are our own.
"""

import sys
from pathlib import Path

from kart_jax.track import draw
from kart_jax.track.layout_line import (
    CornerPolygon,
    CornerSequence,
    Layout,
    build_line,
    left,
    right,
    straight,
)

# fmt: off
MONZA = CornerSequence(
    title="Monza: chicanes, Lesmo, Ascari, Parabolica",
    lap=5793.0,
    width=11.0,
    heading=84.0,
    pieces=(
        # Rettifilo
        straight(560), right(15, 85), straight(20), left(22, 115), straight(20), right(60, 25),
        # Curva Grande
        straight(130), right(310, 90), straight(400),
        # Roggia
        left(24, 62), straight(6), right(28, 50), straight(240),
        # Lesmo 1
        right(75, 102), straight(190),
        # Lesmo 2, Serraglio
        right(55, 66), straight(370), left(500, 10), straight(590),
        # Ascari
        left(50, 50), straight(55), right(75, 62), straight(50), left(110, 58), straight(940),
        # Parabolica
        right(95, 100), right(230, 77), straight(540),
    ),
)

SPA = CornerSequence(
    title="Spa-Francorchamps: La Source, Eau Rouge, Pouhon, Blanchimont",
    lap=7004.0,
    width=12.0,
    heading=122.0,
    pieces=(
        # La Source
        straight(260), right(18, 156), straight(200), right(600, 12), straight(330),
        # Eau Rouge, Raidillon
        left(110, 24), right(110, 58), left(150, 26),
        # Kemmel
        straight(260), right(450, 18), straight(740),
        # Les Combes, Malmedy
        right(45, 75), straight(30), left(45, 70), straight(80), right(60, 66), straight(340),
        # Bruxelles, Speaker's Corner
        right(45, 174), straight(100), left(60, 60), straight(470),
        # Pouhon
        left(120, 84), straight(60), left(130, 74), straight(310),
        # Fagnes
        right(75, 82), straight(50), left(85, 76), straight(150),
        # Stavelot, Paul Frere
        right(75, 84), straight(110), right(130, 66), straight(180),
        # Blanchimont
        right(600, 40), straight(300), left(350, 36), straight(150), left(160, 46), straight(330),
        # Bus Stop
        right(500, 16), straight(200), right(18, 95), straight(20), left(18, 120), straight(380),
    ),
)

SILVERSTONE = CornerSequence(
    title="Silverstone: Abbey, Copse, Maggotts and Becketts, Stowe",
    lap=5891.0,
    width=13.0,
    heading=53.0,
    pieces=(
        # Abbey, Farm
        straight(200), right(130, 56), straight(60), left(230, 45), straight(190),
        # to Aintree
        right(30, 125), straight(75), left(25, 160), straight(60), left(110, 58), straight(590),
        # Brooklands, Luffield
        left(60, 122), straight(45), right(50, 205), straight(160),
        # Woodcote
        right(270, 51), straight(330),
        # Copse
        right(105, 75), straight(80), right(900, 18), straight(60),
        # Becketts
        left(160, 35), right(110, 65), straight(10), left(75, 75), right(80, 108), left(150, 24),
        # Hangar Straight, Stowe
        straight(690), right(85, 105), straight(40), left(700, 18), straight(80),
        # Vale, Club
        left(28, 66), straight(30), right(35, 66), straight(20), right(110, 90), straight(270),
    ),
)

CIRCUIT = CornerPolygon(
    title="Training circuit: varied and flowing, the first one to learn",
    lap=850.0,
    width=8.5,
    corners=(
        (140, 0, 16), (162, 88, 12), (90, 48, 13), (104, 132, 20), (34, 156, 16), (10, 82, 15),
        (-52, 112, 13), (-74, 32, 24), (-30, 0, 26),
    ),
)

BEGINNER = CornerPolygon(
    title="Beginner track: wide, with gentle bends",
    lap=550.0,
    width=10.0,
    corners=((140, 0, 32), (152, 78, 28), (75, 56, 45), (2, 92, 28), (-22, 0, 32)),
)

HANGAR_NINE = CornerPolygon(
    title="Hangar Nine: tight rental track with hairpins",
    lap=520.0,
    width=6.5,
    corners=(
        # A hairpin is two corners whose arcs meet halfway, so that it has one apex.
        (104, 0, 8), (108, 66, 10), (90, 70, 10), (82, 18, 10), (64, 18, 10), (62, 62, 10),
        (44, 62, 10), (42, 18, 10), (24, 18, 10), (22, 44, 14), (2, 50, 8), (4, 68, 8),
        (-20, 72, 8), (-24, 0, 12),
    ),
)

QUARRY_BOWL = CornerPolygon(
    title="Quarry Bowl: short club circuit, one bend after another",
    lap=880.0,
    width=8.0,
    corners=(
        (-66, -123, 18), (-116, -42, 10), (-31, -55, 10), (-82, -10, 9), (13, 39, 10),
        (-72, 93, 11), (-25, 120, 30), (53, 40, 13), (83, 77, 11), (125, 23, 9), (51, -7, 50),
        (6, -37, 25), (61, -117, 11),
    ),
)

WINDMILL_PARK = CornerPolygon(
    title="Windmill Park: club circuit with a long hairpin loop",
    lap=1090.0,
    width=9.0,
    corners=(
        (-25, -96, 70), (14, -135, 9), (34, -107, 48), (86, -80, 24), (162, -17, 11),
        (108, 25, 38), (58, 17, 52), (-3, 76, 11), (21, 93, 10), (-18, 126, 24), (-96, 62, 11),
        (-58, 38, 44), (-21, 45, 43), (46, -6, 26), (-18, -67, 11), (-134, 32, 16), (-157, -7, 28),
    ),
)

ALDER_RING = CornerPolygon(
    title="Alder Ring: fast circuit for racing classes",
    lap=1350.0,
    width=9.5,
    corners=(
        (172, -104, 21), (55, -200, 9), (-4, -92, 13), (25, -67, 27), (-39, 7, 21),
        (-70, -7, 17), (-135, 50, 29), (-109, 79, 41), (-78, 93, 26), (51, -51, 34),
        (90, -40, 10), (-41, 111, 14), (4, 142, 29), (78, 78, 76),
    ),
)
# fmt: on

# Not shipped: what `kart track new` paints as a start.
STARTER = CornerPolygon(
    title="New track: paint it over",
    lap=700.0,
    width=8.0,
    corners=((150, 0, 18), (165, 70, 14), (100, 80, 20), (60, 45, 20), (0, 90, 14), (-30, 0, 22)),
)

LAYOUTS: dict[str, Layout] = {
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


def new_track(
    name: str, folder: str | Path = "tracks", metres_per_pixel: float = 0.25, replace: bool = False
) -> Path:
    """Write a plain kart circuit as a picture to paint on, with its entry in `checkpoints.json`.

    Raises:
        InputError: as `draw.save_track`.
    """
    line = build_line(STARTER)
    return draw.save_track(line, name, folder, metres_per_pixel, STARTER.title, replace)


def main(folder: str = "tracks") -> None:
    """Paint every circuit of `LAYOUTS` into `folder`."""
    for name, layout in LAYOUTS.items():
        line = build_line(layout)
        scale = layout.metres_per_pixel
        draw.save_track(line, name, Path(folder), scale, layout.title, replace=True)


if __name__ == "__main__":
    main(*sys.argv[1:2])
