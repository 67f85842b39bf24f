"""The measures of circuits, as a table for people and as figures for JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kart_jax.cli.output import emit_json, table

if TYPE_CHECKING:
    from kart_jax.track.derive import Circuit

# Heading, figure and digits of the columns that hold numbers.
LENGTHS = (
    ("length m", "length", 0),
    ("narrowest m", "narrowest", 1),
    ("tightest radius m", "tightest_radius", 1),
    ("longest straight m", "longest_straight", 0),
)


def circuit_figures(circuit: "Circuit") -> dict[str, Any]:
    """Measure a circuit, for JSON; lengths in m."""
    from kart_jax.track.generate import measure_circuit

    found = measure_circuit(circuit.line)
    return {
        "name": circuit.name,
        "title": circuit.title,
        "length": found.length,
        "narrowest": found.width,
        "tightest_radius": found.tightest,
        "longest_straight": found.straight,
        "corners": found.corners,
        "gates": len(circuit.gates),
        "sectors": [float(s) for s in circuit.sectors],
    }


def measure_table(figures: list[dict[str, Any]]) -> str:
    """Return the measures of circuits as text, a line each."""
    head = ["track", *(heading for heading, _, _ in LENGTHS), "corners", "gates", "title"]
    rows = [
        [
            one["name"],
            *(f"{one[key]:.{digits}f}" for _, key, digits in LENGTHS),
            str(one["corners"]),
            str(one["gates"]),
            one["title"],
        ]
        for one in figures
    ]
    return table(head, rows, words=(0, len(head) - 1))


def print_measures(names: Sequence[str], as_json: bool) -> None:
    """Read and measure tracks, and print what was found; the first bad one ends it."""
    from kart_jax.track import derive

    figures = [circuit_figures(derive.load_circuit(name)) for name in names]
    if as_json:
        emit_json({"tracks": figures})
    elif figures:
        print(measure_table(figures))
    else:
        print("no track is known here; make one with kart track new NAME")
