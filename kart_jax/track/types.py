"""What a track is on the device: centre-line samples, cell index, gates, sectors and start grid.

A `Tracks` is always a stack: every array starts with the axis T of circuits, so that one jitted
step serves karts on different circuits; a kart carries the int32 index of its circuit. The samples
run in the driving direction at one spacing per circuit, and sample 0 lies on the start/finish line.

The cell index names, for each square cell of the plane, the sample nearest to the middle of the
cell: one look-up there, one row of `samples`, and the local circle through that row give arc length
and offset to the accuracy of the circle (see `query.locate`), at any resolution. What varies along
the line carries its slope in the same row, so that a query is continuous from sample to sample with
a single look-up.
"""

import enum

import chex
from flax import struct


class SampleColumn(enum.IntEnum):
    """Columns of one centre-line sample; metres and 1/m, offsets positive to the left."""

    X = 0  # m, east of the origin of the picture
    Y = 1  # m, north of it
    TX = 2  # unit tangent in the driving direction, east
    TY = 3  # the same, north
    CURVATURE = 4  # 1/m, positive = left-hand bend
    HALF_LEFT = 5  # m, centre line to the left edge of the asphalt
    HALF_RIGHT = 6  # m, centre line to the right edge of the asphalt
    BARRIER_LEFT = 7  # m, centre line to the left barrier
    BARRIER_RIGHT = 8  # m, centre line to the right barrier
    KERB_LEFT = 9  # 0..1, how much of a kerb lies outside the left edge
    KERB_RIGHT = 10  # 0..1, the same on the right
    RUBBER = 11  # m, offset of the middle of the rubbered line

    # How much a column changes per metre of arc length.
    CURVATURE_SLOPE = 12  # 1/m²
    HALF_LEFT_SLOPE = 13
    HALF_RIGHT_SLOPE = 14
    BARRIER_LEFT_SLOPE = 15
    BARRIER_RIGHT_SLOPE = 16
    RUBBER_SLOPE = 17
    KERB_LEFT_SLOPE = 18  # 1/m
    KERB_RIGHT_SLOPE = 19  # 1/m


SLOPES = {  # column -> the column that holds how much it changes per metre
    SampleColumn.CURVATURE: SampleColumn.CURVATURE_SLOPE,
    SampleColumn.HALF_LEFT: SampleColumn.HALF_LEFT_SLOPE,
    SampleColumn.HALF_RIGHT: SampleColumn.HALF_RIGHT_SLOPE,
    SampleColumn.BARRIER_LEFT: SampleColumn.BARRIER_LEFT_SLOPE,
    SampleColumn.BARRIER_RIGHT: SampleColumn.BARRIER_RIGHT_SLOPE,
    SampleColumn.RUBBER: SampleColumn.RUBBER_SLOPE,
    SampleColumn.KERB_LEFT: SampleColumn.KERB_LEFT_SLOPE,
    SampleColumn.KERB_RIGHT: SampleColumn.KERB_RIGHT_SLOPE,
}


class Tracks(struct.PyTreeNode):
    """A stack of T circuits as fixed-shape device arrays (see the module docstring)."""

    samples: chex.Array  # (T, N, 20) float32, by `SampleColumn`; past `count` row 0 repeats
    count: chex.Array  # (T,) int32, samples in use
    spacing: chex.Array  # (T,) float32, m between samples; count * spacing = length
    length: chex.Array  # (T,) float32, m, lap length along the centre line
    cells: chex.Array  # (T, H, W) uint16, nearest sample of each cell; row 0 is the south edge
    origin: chex.Array  # (T, 2) float32, m, south-west corner of cell (0, 0)
    extent: chex.Array  # (T, 2) float32, m east and north, of the circuit's cells without padding
    gates: chex.Array  # (T, G) float32, m, arc lengths, ascending, 0 = start line; padded with inf
    gate_count: chex.Array  # (T,) int32, gates in use
    sectors: chex.Array  # (T, 3) float32, m, arc length where each sector starts; the first is 0
    grid_s: chex.Array  # (T, P) float32, m, arc length of each start-grid slot, before the line
    grid_n: chex.Array  # (T, P) float32, m, offset of each slot
    cell_size: float = struct.field(pytree_node=False, default=1.0)  # m, side of a cell

    @property
    def size(self) -> int:
        """Number of circuits T in the stack."""
        return self.count.shape[0]


class TrackPoint(struct.PyTreeNode):
    """Where a point of the plane lies relative to one circuit; every field has the shape of x."""

    s: chex.Array  # (...) m, arc length in [0, length)
    n: chex.Array  # (...) m, offset from the centre line, positive = left
    tx: chex.Array  # (...) unit tangent at s, east
    ty: chex.Array  # (...) unit tangent at s, north
    curvature: chex.Array  # (...) 1/m, positive = left-hand bend
    half_left: chex.Array  # (...) m, centre line to left edge
    half_right: chex.Array  # (...) m, centre line to right edge
    edge: chex.Array  # (...) m, distance past the nearer asphalt edge: negative on the asphalt
    barrier: chex.Array  # (...) m, distance left to the nearer barrier: negative behind it
    kerb: chex.Array  # (...) 0..1, kerb present beyond the nearer edge
    rubber: chex.Array  # (...) m, offset of the rubbered line
