#!/usr/bin/env python3
"""Operators of flagos beside PyTorch's, on the processor, in turns.

usage: bench/ops_pytorch.py [--build build/release] [--only NAME] [--seconds S] [--rounds N]

Runs flagos_bench_ops and the same operators of PyTorch (python3-torch, or one that pip installed) by turns, with the
same number of threads, and prints for each case the median over the rounds of PyTorch's time over ours: above 1, flagos
is faster.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

try:
    import torch
except ImportError:
    sys.exit("ops_pytorch: there is no PyTorch; apt-get install python3-torch, or pip install torch")

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "int64": torch.int64}


def ones(shape, dtype):
    return torch.ones(shape, dtype=DTYPES[dtype])


def rms_norm(x, weight):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * weight


def call_of(op, dtype, shape):
    """A function that does what the case does, or None where PyTorch has nothing alike."""
    transposed = shape.endswith(" transposed")
    added = " + " in shape
    sizes = [int(n) for n in shape.strip("[]").split(" ")[0].split("x")]
    if op == "mm":
        a, b = ones(sizes[:2], dtype), ones(sizes[1:], dtype)
        return lambda: torch.mm(a, b)
    x = ones(sizes, dtype)
    out = torch.empty_like(x)
    if op == "copy" and transposed:
        t = ones(sizes[::-1], dtype).t()
        return lambda: out.copy_(t)
    y = ones(sizes[-1:] if added else sizes, dtype)
    dim = int(shape.split(" dim ")[1]) if " dim " in shape else None
    weight = y if y.dim() == 1 else y[0]
    table = {
        "add": lambda: torch.add(x, y, out=out),
        "mul": lambda: torch.mul(x, y, out=out),
        "exp": lambda: torch.exp(x, out=out),
        "silu": lambda: torch.nn.functional.silu(x),
        "gelu": lambda: torch.nn.functional.gelu(x),
        "silu_and_mul": lambda: torch.nn.functional.silu(x) * y,
        "softmax": lambda: torch.softmax(x, -1),
        "rms_norm": lambda: rms_norm(x, weight),
        "layer_norm": lambda: torch.nn.functional.layer_norm(x, weight.shape, weight, weight),
        "sum": lambda: torch.sum(x) if dim is None else torch.sum(x, dim),
        "cumsum": lambda: torch.cumsum(x, dim),
    }
    return table.get(op)


def seconds_of(call, budget):
    call()
    best, spent = 1e30, 0.0
    while spent < budget:
        start = time.perf_counter()
        call()
        took = time.perf_counter() - start
        best, spent = min(best, took), spent + took
    return best


def flagos_cases(arguments):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "ops.json"
        subprocess.run([str(pathlib.Path(arguments.build) / "bin" / "flagos_bench_ops"), "--seconds", str(arguments.seconds),
                        "--only", arguments.only, "--mib", str(arguments.mib), "--json", str(path)],
                       check=True, stdout=subprocess.DEVNULL)
        report = json.loads(path.read_text())
    return {(c["op"], c["dtype"], c["shape"]): c["seconds"] for c in report["cases"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mib", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    ratios, ours = {}, {}
    for _ in range(arguments.rounds):
        for case, own in flagos_cases(arguments).items():
            call = call_of(*case)
            if call is None:
                continue
            try:
                peer = seconds_of(call, arguments.seconds)
            except RuntimeError:  # PyTorch has no such kernel for the processor
                continue
            ratios.setdefault(case, []).append(peer / own)
            ours.setdefault(case, []).append(own)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads; its time over ours")
    for case, values in ratios.items():
        op, dtype, shape = case
        print(f"{op:<14} {dtype:<10} {shape:<28} {statistics.median(ours[case]) * 1e6:>10.1f} us "
              f"{statistics.median(values):>6.2f} x")


if __name__ == "__main__":
    main()
