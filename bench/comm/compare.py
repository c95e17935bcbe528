#!/usr/bin/env python3
"""Times collectives of flagos, Open MPI (also over UCX) and Gloo side by side, and prints a table in Markdown.

usage: bench/comm/compare.py BIN [--quick] [--write docs/performance.md] [--minutes N]
                             [--ranks 2,4] [--operations all_reduce,...] [--dtypes float32,bfloat16]
                             [--min 8] [--max 268435456] [--factor 8] [--rounds 1]

BIN is the folder of flagos, flagos_bench_comm, flagos_bench_comm_mpi and flagos_bench_comm_gloo. Ranks are processes of this
host. The libraries take turns at each operation; of several rounds the best mean counts. What is not installed, or does not
have the operation, is left out. --quick takes four sizes and at most ten minutes: what would come later is left out, and said.
--write puts the table into a file, between the lines "<!-- collectives: begin -->" and "<!-- collectives: end -->".
Operations that only move bytes are timed in one dtype.
"""
import argparse
import datetime
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

BEGIN, END = "<!-- collectives: begin -->", "<!-- collectives: end -->"
REDUCE = ("all_reduce", "reduce_scatter")
WIDTH = {"float32": 4, "bfloat16": 2}
BLOCKS = ("all_gather", "reduce_scatter", "all_to_all")


def run(command, seconds):
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=max(1, seconds))
    except subprocess.TimeoutExpired as expired:
        # What came until then is as good as ever.
        return (expired.stdout or b"").decode()
    return done.stdout if done.returncode == 0 else ""


def flagos(given, ranks, operation, dtype, seconds):
    out = run([given.folder / "flagos", "run", "-n", str(ranks), given.folder / "flagos_bench_comm", "--operation", operation,
               "--dtype", dtype, "--min", given.min, "--max", given.max, "--factor", given.factor], seconds)
    rows = (line.split() for line in out.splitlines())
    return {int(row[0]): (float(row[1]), float(row[2]), int(row[4]), row[5]) for row in rows if len(row) == 6 and row[0].isdigit()}


def peer(program, extra):
    def measure(given, ranks, operation, dtype, seconds):
        if shutil.which("mpirun") is None or not (given.folder / program).exists():
            return {}
        with tempfile.TemporaryDirectory() as place:
            out = run(["mpirun", "--oversubscribe", *extra, "-n", str(ranks), given.folder / program, operation, dtype,
                       given.min, given.max, given.factor, place], seconds)
        rows = (line.split() for line in out.splitlines())
        return {int(row[0]): (float(row[1]), float(row[2]), int(row[3]), "") for row in rows if len(row) == 4 and row[0].isdigit()}
    return measure


# Open MPI takes UCX by itself only where there is a fabric.
libraries = {
    "flagos": flagos,
    "Open MPI": peer("flagos_bench_comm_mpi", ["--mca", "pml", "ob1"]),
    "Open MPI, UCX": peer("flagos_bench_comm_mpi", ["--mca", "pml", "ucx", "--mca", "pml_ucx_tls", "any", "--mca",
                                                    "pml_ucx_devices", "any"]),
    "Gloo": peer("flagos_bench_comm_gloo", []),
}


class Table:
    def __init__(self):
        self.lines = ["| operation | dtype | ranks | bytes | way | " + " | ".join(f"{name}, us" for name in libraries) +
                      " | best other / flagos |", "| --- " * (len(libraries) + 6) + "|"]
        self.ratios = []  # (bytes, ratio)
        self.wrong = 0

    def add(self, operation, dtype, ranks, best):
        for size, (mean, _, _, way) in sorted(best["flagos"].items()):
            if operation in BLOCKS and size < ranks * WIDTH[dtype]:
                continue  # nothing is moved: others do not even meet
            others = [best[name].get(size) for name in libraries if name != "flagos"]
            known = [row[0] for row in others if row]
            cells = [f"{mean:.1f}" if mean >= 10 else f"{mean:.2f}"]
            cells += [(f"{row[0]:.1f}" if row[0] >= 10 else f"{row[0]:.2f}") if row else "-" for row in others]
            ratio = "-"
            if known:
                self.ratios.append((size, min(known) / mean))
                ratio = f"{min(known) / mean:.2f}"
            self.lines.append(f"| {operation} | {dtype} | {ranks} | {size:,} | {way} | " + " | ".join(cells) + f" | {ratio} |")
            print(self.lines[-1], flush=True)

    def summary(self):
        large = sorted(ratio for size, ratio in self.ratios if size >= 1 << 20)
        small = sorted(ratio for size, ratio in self.ratios if size <= 64)
        said = []
        if large:
            said.append(f"From 1 MiB on flagos is {large[0]:.2f} to {large[-1]:.2f} times as fast as the best of the others, "
                        f"{large[len(large) // 2]:.2f} in the middle; at least 1.2 in {sum(r >= 1.2 for r in large)} of {len(large)} rows.")
        if small:
            said.append(f"Up to 64 bytes it is {small[0]:.2f} to {small[-1]:.2f} times as fast.")
        return " ".join(said)


def about():
    version = run(["mpirun", "--version"], 10).split("\n")[0].replace("mpirun (Open MPI)", "Open MPI") if shutil.which("mpirun") else ""
    return (f"Mean of whole operations with their wait, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start, "
            f"{datetime.date.today()}{', ' + version if version else ''}; Gloo: TCP on loopback. "
            "Operations that only move bytes were timed in one dtype.")


def write(path, text):
    old = path.read_text()
    if BEGIN not in old or END not in old:
        sys.exit(f"compare.py: {path} has no lines '{BEGIN}' and '{END}' to put the table between")
    head, rest = old.split(BEGIN, 1)
    path.write_text(head + BEGIN + "\n" + text + "\n" + END + rest.split(END, 1)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--ranks", default="2,4")
    parser.add_argument("--operations", default="all_reduce,all_gather,reduce_scatter,broadcast,all_to_all")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--min", default="8")
    parser.add_argument("--max", default="268435456")
    parser.add_argument("--factor")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    given.factor = given.factor or ("512" if given.quick else "8")
    minutes = given.minutes or (9.5 if given.quick else 24 * 60)
    until = time.monotonic() + 60 * minutes
    dtypes = given.dtypes.split(",")
    jobs = [(operation, dtype, ranks) for ranks in map(int, given.ranks.split(",")) for operation in given.operations.split(",")
            for dtype in (dtypes if operation in REDUCE else dtypes[:1])]
    table, head, left_out = Table(), about(), []
    print("\n".join(table.lines), flush=True)
    for number, (operation, dtype, ranks) in enumerate(jobs):
        best = {name: {} for name in libraries}
        # Each library gets its part of the time that is left, so that a slow one does not take the others'.
        for _ in range(given.rounds):
            for place, (name, measure) in enumerate(libraries.items()):
                turns = (len(jobs) - number) * len(libraries) * given.rounds - place
                left = until - time.monotonic()
                rows = measure(given, ranks, operation, dtype, min(900, 2 * left / turns + 5)) if left > 1 else {}
                for size, row in rows.items():
                    table.wrong += row[2]
                    if size not in best[name] or row[0] < best[name][size][0]:
                        best[name][size] = row
        table.add(operation, dtype, ranks, best)
        if not best["flagos"]:
            left_out.append(f"{operation} of {dtype} on {ranks} ranks")
    text = head + "\n\n" + "\n".join(table.lines) + "\n\n" + table.summary()
    if left_out:
        text += " Left out, since the time was over or a run failed: " + ", ".join(left_out) + "."
    print("\n" + text.split("\n")[-1])
    if given.write:
        write(given.write, text)
    if table.wrong:
        print(f"{table.wrong} wrong results", file=sys.stderr)
    return 1 if table.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
