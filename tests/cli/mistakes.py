"""Commands with a mistake, and what the one sentence about it holds."""

MISTAKES = [
    (
        "drvie",
        "the command is drvie; allowed are train, eval, play, drive, track, telemetry, bench, "
        "modal; did you mean "
        "drive?",
    ),
    ("--foo", "the flag is --foo"),
    (
        "track chek",
        "the command is chek; allowed are list, check, preview, new, import, generate, sync; "
        "did you mean",
    ),
    (
        "drive --lapz 3",
        "unrecognized options: --lapz, 3; did you mean --laps? see kart drive --help",
    ),
    (
        "drive --laps three",
        "kart: --laps is three; it must be a whole number written in digits, such as 20; see "
        "kart drive --help",
    ),
    ("drive --laps 0", "--laps is 0; allowed are 1 to 1000"),
    (
        "train --timesteps 1e6",
        "kart: --timesteps is 1e6; it must be a whole number written in digits, such as 20; see",
    ),
    (
        "train --learning-rate fast",
        "kart: --learning-rate is fast; it must be a number, such as 0.5; see kart train",
    ),
    (
        "telemetry plot run.csv --lap 1.5",
        "kart: --lap is 1.5; it must be a whole number written in digits",
    ),
    (
        "track new mine --metres-per-pixel 1,5",
        "kart: --metres-per-pixel is 1,5; it must be a number, such as 0.5;",
    ),
    ("drive --laps", "kart: --laps has no value; write one behind it; see kart drive --help"),
    (
        "drive --kart f1",
        "kart: --kart is f1; allowed are junior_max, kz2, mini_max, ok, okj, rental_gx270, "
        "senior_max;",
    ),
    (
        "drive --kart spaceship",  # its complaint breaks before the last full stop
        "kart: --kart is spaceship; allowed are junior_max, kz2, mini_max, ok, okj, "
        "rental_gx270, senior_max;",
    ),
    (
        "train --kart f1",
        "kart: --kart is f1; allowed are junior_max, kz2, mini_max, ok, okj, rental_gx270, "
        "senior_max;",
    ),
    (
        "train --profile bold",
        "kart: --profile is bold; allowed are aggressive, conservative; see kart train --help",
    ),
    ("drive --video drive.avi", "--video is drive.avi; the file must end in .mp4 or .gif"),
    ("drive --track-name nowhere", 'track is "nowhere", which does not exist'),
    ("drive --track-name nowhere.csv", "nowhere.csv"),
    ("telemetry plot", "missing from kart telemetry plot: FILE"),
    ("telemetry plot nothing.csv", "nothing.csv: no such file"),
    ("telemetry laps nothing.csv", "nothing.csv: no such file"),
    ("track generate --count 0", "--count is 0; allowed are 1 to 10000"),
    ("track generate --seed -1", "--seed is -1"),
    ("track new bad/name", "name is 'bad/name'"),
    ("track import nothing.csv", "nothing.csv"),
    ("eval nothing", "nothing: is no training run"),
    ("eval nothing --search-laps 5", "--search-laps is 5; allowed are 33 to 1000000"),
    (
        "drive --driver fastest --line given",
        "--line is given; with --driver fastest the line is searched",
    ),
    (
        "drive --search-laps 100",
        "--search-laps is for --driver fastest; leave it out or choose that driver",
    ),
    ("play nothing", "nothing: is no training run"),
    ("train --save-name a/b", "--save-name is 'a/b'"),
    ("train --save-name a\x07b", "--save-name is 'a\\x07b'"),
    ("drive --track-name generated:0-3", "which names 4 circuits; choose one: generated:0"),
    (
        "play nothing --track-name generated:5-6",
        "which names 2 circuits; choose one: generated:5",
    ),
    (
        "track generate --metres-per-pixel 10",
        "metres_per_pixel is 10, which makes the narrowest place",
    ),
    (
        "telemetry plot run.csv --out page.gif",
        "--out is page.gif; the file must end in .png or .pdf or .svg",
    ),
    ("train --devices 9999999", "--devices is 9999999; it must be from 1 to 1024"),
    ("train --devices 0", "--devices is 0; it must be from 1 to 1024"),
    ("train --frame-stack 1000000", "--frame-stack is 1000000; it must be from 1 to 64"),
    (
        "drive --plot /dev/null/x.png",
        "/dev/null/x.png: cannot be written (/dev/null is no folder); give a path in",
    ),
    (
        "drive --telemetry /dev/null/x/y.csv",
        "/dev/null/x/y.csv: cannot be written (/dev/null is no folder)",
    ),
    (
        "play nothing --gif /dev/null/x.gif",
        "/dev/null/x.gif: cannot be written (/dev/null is no folder)",
    ),
    (
        f"drive --telemetry {'a' * 300}.csv",
        "cannot be written (File name too long); give another path",
    ),
    (f"eval {'a' * 300}", "File name too long; give another path"),
    (f"track check {'a' * 300}", "1 to 255 bytes in each part"),
    (
        f"train --seed {'9' * 5000}",
        "99999999999999999999... has 5000 characters; allowed are 4096 in one word",
    ),
    (
        "train --learning-rate 1e308",
        "--learning-rate is 1e+308; it must be above 0, up to 1e+38",
    ),
]
