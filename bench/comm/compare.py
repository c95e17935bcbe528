#!/usr/bin/env python3
"""Times collectives of flagos, Open MPI (also over UCX) and Gloo side by side, and prints a table in Markdown.

usage: bench/comm/compare.py BIN [--ranks 2,4] [--operations all_reduce,...] [--min 8] [--max 67108864] [--rounds 1]

BIN is the folder of flagos, flagos_bench_comm, flagos_bench_comm_mpi and flagos_bench_comm_gloo. Ranks are processes of this
host, float32. The libraries take turns at each operation; of several rounds the best mean counts. What is not installed is
left out, and said.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


def run(command, variables):
    environment = {**os.environ, **variables, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    return done.stdout if done.returncode == 0 else None


def flagos(folder, ranks, operation, limits):
    with tempfile.TemporaryDirectory() as place:
        rows = os.path.join(place, "rows.json")
        out = run([folder / "flagos", "run", "-n", str(ranks), folder / "flagos_bench_comm", "--operation", operation,
                   "--min", limits[0], "--max", limits[1], "--json", rows], {})
        if out is None:
            return None
        with open(rows) as file:
            found = json.load(file)
        return {row["bytes"]: (row["mean_us"], row["wrong"], row["algorithm"]) for row in found}


def peer(program, extra):
    def measure(folder, ranks, operation, limits):
        if shutil.which("mpirun") is None or not (folder / program).exists():
            return None
        with tempfile.TemporaryDirectory() as place:
            out = run(["mpirun", "--oversubscribe", *extra, "-n", str(ranks), folder / program, operation, *limits, place],
                      {})
        if out is None:
            return None
        rows = (line.split() for line in out.splitlines())
        return {int(row[0]): (float(row[1]), int(row[3]), "") for row in rows if len(row) == 4}
    return measure


libraries = {
    "flagos": flagos,
    "Open MPI": peer("flagos_bench_comm_mpi", ["--mca", "pml", "ob1"]),
    "Open MPI, UCX": peer("flagos_bench_comm_mpi", ["--mca", "pml", "ucx"]),
    "Gloo": peer("flagos_bench_comm_gloo", []),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--ranks", default="2,4")
    parser.add_argument("--operations", default="all_reduce,all_gather,reduce_scatter,broadcast,all_to_all")
    parser.add_argument("--min", default="8")
    parser.add_argument("--max", default="67108864")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    wrong = 0
    print("| operation | ranks | bytes | algorithm | " + " | ".join(f"{name}, us" for name in libraries) + " | best other / flagos |")
    print("| --- " * (len(libraries) + 5) + "|")
    for operation in given.operations.split(","):
        for ranks in map(int, given.ranks.split(",")):
            best = {name: {} for name in libraries}
            for _ in range(given.rounds):
                for name, measure in libraries.items():
                    rows = measure(given.folder, ranks, operation, (given.min, given.max))
                    for size, row in (rows or {}).items():
                        wrong += row[1]
                        if size not in best[name] or row[0] < best[name][size][0]:
                            best[name][size] = row
            for size, (mean, _, algorithm) in sorted(best["flagos"].items()):
                others = [best[name].get(size) for name in libraries if name != "flagos"]
                known = [row[0] for row in others if row]
                cells = [f"{mean:.1f}"] + [f"{row[0]:.1f}" if row else "-" for row in others]
                ratio = f"{min(known) / mean:.2f}" if known else "-"
                print(f"| {operation} | {ranks} | {size} | {algorithm} | " + " | ".join(cells) + f" | {ratio} |", flush=True)
    if wrong:
        print(f"{wrong} wrong results", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
