"""What a run shows while it trains: plain lines, or a bar on a terminal."""

import io
import re
import time

from rich.console import Console

from train.run import console
from train.run.progress import Progress


def test_plain_lines_where_there_is_no_terminal():
    text = io.StringIO()
    with console.Screen(1000, 0, Console(file=text, width=200)) as screen:
        screen.show(
            500, 123.4, Progress(laps=2, best_lap=45.6789, recent_episodes=[[2.0, 300.0, 90.0]])
        )
        screen.show(600, 123.4, Progress())  # too soon for another line
        screen.show(1000, 99.0, Progress())
    lines = text.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(
        "500 of 1,000 steps · 123 steps/s · reward 150 · laps 2 · best lap 45.679 s"
    )
    assert lines[1].startswith("1,000 of 1,000 steps")


def test_the_bar_on_a_terminal_tells_speed_reward_best_lap_and_time_left():
    text = io.StringIO()
    terminal = Console(force_terminal=True, file=text, width=160, color_system=None)
    with console.Screen(1000, 0, terminal) as screen:
        screen.say("run folder runs/x")
        screen.show(
            250, 123.4, Progress(laps=2, best_lap=45.6789, recent_episodes=[[2.0, 300.0, 90.0]])
        )
        time.sleep(0.2)  # the time that is left follows from two different moments
        screen.show(
            500, 123.4, Progress(laps=2, best_lap=45.6789, recent_episodes=[[2.0, 300.0, 90.0]])
        )
    shown = text.getvalue()
    assert "run folder runs/x" in shown
    last = next(line for line in reversed(shown.splitlines()) if "training" in line)
    assert (
        "50%" in last
        and "123 steps/s" in last
        and "reward 150" in last
        and "best lap 45.679 s" in last
    )
    assert re.search(r"left \d\d:\d\d", last)
    assert "of 1,000 steps" not in shown  # the plain lines stay away
