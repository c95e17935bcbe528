#!/usr/bin/env python3
"""Checks that hot calls through core allocate nothing, lock nothing, and cost the same few instructions with 1 and
with 6 plugins loaded, and beside plugins of real drivers. Instructions are counted by valgrind, so the answer does not
depend on the machine's load.

usage: run.py PROGRAM FOLDER_OF_NULL_PLUGINS [PLUGIN_BESIDE]..."""
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAM, PLUGINS = sys.argv[1:3]
BESIDE = sys.argv[3:]
# What a call may cost beyond the plugin's own function, in instructions: what it costs today with some room for another
# compiler. At two instructions a nanosecond and more all of them are far below the 30 ns that a launch may cost.
LIMITS = {"launch": 330, "launch_arguments": 700, "launch_prepared": 190, "copy": 320, "fill": 320, "record": 170,
          "wait_event": 170}


def run(call, plugins, count, prefix=(), beside=()):
    command = [*prefix, PROGRAM, PLUGINS, str(plugins), call, str(count), *beside]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def instructions(call, plugins, beside=(), calls=1000):
    """Instructions of one call: the difference between two runs of different length."""
    totals = []
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        for count in (1000, 1000 + calls):
            text = run(call, plugins, count, tool, beside).stderr
            totals.append(int(re.search(r"Collected : (\d+)", text).group(1)))
    return (totals[1] - totals[0]) / calls


def main():
    for call in LIMITS:
        print(call, run(call, 6, 10000).stdout.strip())
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: instructions were not counted")
        return
    base = instructions("direct", 1)
    failed = False
    for call, limit in LIMITS.items():
        one, six = instructions(call, 1) - base, instructions(call, 6) - base
        # A range check walks a tree whose depth depends on the addresses that the system happened to give.
        spread = 40 if call in ("copy", "fill") else 1
        good = abs(one - six) < spread and max(one, six) <= limit
        failed |= not good
        print(f"{call:18} {one:7.1f} instructions with 1 plugin, {six:7.1f} with 6; at most {limit}"
              f"{'' if good else '  FAILED'}")
    if BESIDE:
        # Threads of the drivers are counted, too: so many calls that what they do at their start does not show.
        alone, together = instructions("launch", 1), instructions("launch", 1, BESIDE, 200000)
        good = together < alone + 2
        failed |= not good
        print(f"launch             {alone - base:7.1f} instructions alone, {together - base:7.1f} beside {len(BESIDE)} real "
              f"driver{'s' if len(BESIDE) > 1 else ''}{'' if good else '  FAILED'}")
    sys.exit(1 if failed else 0)


main()
