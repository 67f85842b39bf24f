"""`kart train`: train a driver, then film it and write its telemetry into the run's folder."""

from collections.abc import Sequence

from kart_jax.cli.flags import parse
from train.config import TrainConfig

EXAMPLES = """
kart train --track-name circuit.png
kart train --track-name a.png b.png --timesteps 20000000 --vector-envs 2048 --save-name both
kart train --resume-from circuit-1 --timesteps 2000000
kart train --track-name spa.png --resume-from circuit-1 --profile aggressive
"""


def run(words: Sequence[str]) -> int:
    """Run `kart train`; 130 when it was interrupted after saving."""
    config = parse(TrainConfig, "train", words, EXAMPLES)
    from kart_jax.cli.play import PlayConfig, play
    from train.loop import train

    result = train(config)
    if result.interrupted:
        return 130
    print("filming the driver ...", flush=True)
    figures, _ = play(PlayConfig(run=str(result.folder.path), runs_dir=config.runs_dir))
    for path in figures["files"]:
        print(f"wrote {path}")
    return 0
