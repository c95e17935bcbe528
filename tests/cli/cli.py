#!/usr/bin/env python3
"""Runs every subcommand of `flagos` with good and bad input.

usage: cli.py PART --flagos PROGRAM --plugin FILE --sample PROGRAM
       [--cpu-plugin FILE] [--driver-plugins FILE...]
PART is usage, info, doctor, no_device, certify, trace, bench, ops or kernel. FILE is the skeleton plugin, PROGRAM a sample that runs
on it. The driver plugins drive devices through a vendor-neutral loader: OpenCL, Vulkan.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile


class Shell:
    def __init__(self, arguments, folder):
        self.flagos, self.plugin, self.sample = arguments.flagos, arguments.plugin, arguments.sample
        self.driver_plugins, self.cpu_plugin = arguments.driver_plugins, arguments.cpu_plugin
        self.folder = folder
        self.failures = []
        self.checks = 0

    def expect(self, condition, what):
        self.checks += 1
        if not condition:
            self.failures.append(what)

    def run(self, *arguments, **environment):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FLAGOS_")}
        given = {"FLAGOS_PLUGIN_FILES": self.plugin, "FLAGOS_LOG_LEVEL": "off", "XDG_DATA_HOME": str(self.folder / "none"), **environment}
        kept |= {k: v for k, v in given.items() if v is not None}
        return subprocess.run([self.flagos, *map(str, arguments)], capture_output=True, text=True, timeout=250,
                              env=kept, cwd=self.folder, stdin=subprocess.DEVNULL)

    def good(self, *arguments, **environment):
        done = self.run(*arguments, **environment)
        self.expect(done.returncode == 0, f"{arguments}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done

    # Wrong use or a thing that cannot be done: the code, and one sentence that holds the words.
    def bad(self, code, words, *arguments, **environment):
        done = self.run(*arguments, **environment)
        self.expect(done.returncode == code, f"{arguments}: exit {done.returncode}, expected {code}: {done.stderr}")
        self.expect(done.stderr.count("\n") == 1 and done.stderr.startswith("flagos"),
                    f"{arguments}: not one sentence: {done.stderr!r}")
        self.expect(words in done.stderr, f"{arguments}: '{words}' is not in: {done.stderr}")
        return done


def test_usage(shell):
    shell.bad(2, "a command is missing")
    shell.bad(2, "there is no command 'infos'; there are info, doctor", "infos")
    shell.bad(2, "there is no command '--jsno'", "--jsno")
    shell.bad(2, "there is no command ''", "")
    for command in ["info", "doctor", "certify", "trace", "version"]:
        shell.bad(2, "no-such-option", command, "--no-such-option")
        expect_help = shell.good(command, "--help").stdout
        shell.expect("Usage" in expect_help and command in expect_help, f"{command} --help: {expect_help}")
    for command in ["info", "version"]:
        shell.bad(2, "'extra' is one too many", command, "extra")
    listed = shell.good("--help").stdout
    for command in ["info", "doctor", "certify", "trace", "bench", "version"]:
        shell.expect(f"  {command} " in listed, f"--help does not list {command}")
    version = shell.good("version").stdout
    shell.expect(re.match(r"flagos \d+\.\d+\.\d+\nABI implemented 1\.0 to 1\.\d+, ", version), f"version: {version}")
    shell.expect(shell.good("--version").stdout == version, "--version is not version")


def test_info(shell):
    info = json.loads(shell.good("info", "--json").stdout)
    shell.expect(info["version"]["abi"].startswith("1."), f"info: {info['version']}")
    shell.expect([c["verdict"] for c in info["candidates"]] == ["loaded"], f"info: {info['candidates']}")
    shell.expect(info["candidates"][0]["name"] == "skeleton", f"info: {info['candidates']}")
    device = info["devices"][0]
    shell.expect(device["id"] == "skeleton:0" and "error" not in device, f"info: {device}")
    shell.expect(set(device["features"].values()) <= {"absent", "emulated", "native"}, f"info: {device['features']}")
    # It fills required slots only: nothing but pinned memory is its own.
    shell.expect(device["features"]["graph"] == "emulated", f"info: {device['features']}")
    shell.expect(device["features"]["recover"] == "absent", f"info: {device['features']}")
    shell.expect([f["name"] for f in device["formats"]] == ["elf-so"], f"info: {device['formats']}")
    shell.expect(device["free_bytes"] <= device["memory_bytes"], f"info: {device}")
    text = shell.good("info").stdout
    for words in ["Plugins (1)", "Devices (1)", "skeleton:0: Skeleton device", "native", "emulated", "absent", "elf-so"]:
        shell.expect(words in text, f"info: '{words}' is not in: {text}")
    empty = shell.folder / "empty"
    empty.mkdir()
    shell.bad(1, "no_such_plugin.so", "info", FLAGOS_PLUGIN_FILES=str(empty / "no_such_plugin.so"))
    none = shell.good("info", FLAGOS_PLUGIN_FILES="").stdout
    shell.expect("Devices (0)" in none and "flagos doctor" in none, f"info without plugins: {none}")


def test_doctor(shell):
    done = shell.good("doctor")
    shell.expect(f"ok   {shell.plugin}: loaded" in done.stdout, f"doctor: {done.stdout}")
    shell.expect(done.stdout.endswith("1 usable device\n"), f"doctor: {done.stdout}")
    report = json.loads(shell.good("doctor", "--json", shell.plugin).stdout)
    shell.expect(report["usable_devices"] == 1, f"doctor: {report}")
    shell.expect(report["plugins"][0]["devices"][0]["id"] == "skeleton:0", f"doctor: {report}")
    missing = shell.run("doctor", "/no/such/plugin.so", "nosuchname")
    shell.expect(missing.returncode == 1, f"doctor of missing files: exit {missing.returncode}")
    shell.expect("FAIL /no/such/plugin.so: missing" in missing.stdout, f"doctor: {missing.stdout}")
    shell.expect("nosuchname" in missing.stdout and "0 usable devices" in missing.stdout, f"doctor: {missing.stdout}")
    both = shell.good("doctor", "/no/such/plugin.so", shell.plugin)
    shell.expect("FAIL" in both.stdout and "ok  " in both.stdout, f"doctor: {both.stdout}")
    by_hand = shell.good("doctor", "--probe", shell.plugin).stdout.splitlines()
    shell.expect(len(by_hand) == 2 and json.loads(by_hand[0])["verdict"] == "loaded" and by_hand[1] == "closed",
                 f"doctor --probe by hand: {by_hand}")
    nothing = shell.run("doctor", FLAGOS_PLUGIN_FILES="")
    shell.expect(nothing.returncode == 1 and "0 usable devices" in nothing.stdout, f"doctor: {nothing.stdout}")


# Plugins that find no device say what is missing and what to install; each of these has one sentence for it.
def test_no_device(shell):
    empty = shell.folder / "no_drivers"
    empty.mkdir()
    hidden = {"OCL_ICD_VENDORS": str(empty), "VK_DRIVER_FILES": str(empty / "none.json"),
              "VK_ICD_FILENAMES": str(empty / "none.json")}
    for plugin in shell.driver_plugins:
        done = shell.run("doctor", plugin, **hidden)
        shell.expect(done.returncode == 1, f"doctor {plugin} without a driver: exit {done.returncode}")
        shell.expect(f"FAIL {plugin}: loaded" in done.stdout, f"doctor {plugin} without a driver: {done.stdout}")
        says = [line for line in done.stdout.splitlines() if line.strip().startswith("says: ")]
        shell.expect(len(says) == 1 and "install" in says[0] and "Debian" in says[0],
                     f"doctor {plugin} without a driver: {done.stdout}")
        shell.expect("advice: do what the plugin says" in done.stdout, f"doctor {plugin} without a driver: {done.stdout}")
        report = json.loads(shell.run("doctor", "--json", plugin, **hidden).stdout)
        shell.expect(len(report["plugins"][0]["says"]) == 1, f"doctor --json {plugin}: {report}")
        shell.expect(report["usable_devices"] == 0, f"doctor --json {plugin}: {report}")


def test_certify(shell):
    shell.bad(2, "needs a PLUGIN", "certify")
    shell.bad(2, "--level takes core or full; it is 'hard'", "certify", shell.plugin, "--level", "hard")
    shell.bad(2, "one too many", "certify", shell.plugin, "another")
    shell.bad(1, "there is no plugin file '/no/such.so'", "certify", "/no/such.so")
    shell.bad(1, "nosuchname", "certify", "nosuchname")
    out = shell.folder / "report"
    done = shell.good("certify", shell.plugin, "--out", out, "--jobs", "1", "--", "--only", "dev.count.stable")
    shell.expect(f"report: {out}" in done.stdout, f"certify: {done.stdout}")
    shell.expect("no certificate" in done.stdout, f"certify of a part: {done.stdout}")
    packages = list(out.glob("flagos-conformance-*.tar.zst"))
    shell.expect(len(packages) == 1 and f"package: {packages[0]}" in done.stdout, f"certify: {packages} {done.stdout}")
    verified = shell.run("conformance", "verify", packages[0], "--plugin", shell.plugin)
    shell.expect(verified.returncode == 2 and "NO CERTIFICATE" in verified.stdout, f"conformance verify: {verified}")
    shell.good("conformance", "diff", packages[0], out)
    shell.good("matrix", packages[0], "--out", shell.folder / "matrix.html")
    shell.expect("<h1>" in (shell.folder / "matrix.html").read_text(), "matrix wrote no page")
    shell.bad(3, "no package 'none'", "conformance", "verify", "none")
    shell.expect(any(out.glob("*.json")) and any(out.glob("*.html")), f"certify left {list(out.glob('*'))}")
    shell.good("certify", shell.plugin, "--", "--only", "dev.count.stable")
    made = [path.name for path in shell.folder.glob("flagos-report-skeleton-*")]
    shell.expect(len(made) == 1, f"certify without --out left {made}")
    broken = shell.run("certify", shell.plugin, "--", "--no-such-option")
    shell.expect(broken.returncode == 3, f"certify with a wrong argument: exit {broken.returncode}")


def test_trace(shell):
    shell.bad(2, "trace needs a program", "trace")
    shell.bad(2, "trace needs a program", "trace", "--")
    shell.bad(1, "'/no/such/program' cannot be started", "trace", "--", "/no/such/program")
    trace = shell.folder / "t.json"
    done = shell.good("trace", "-o", trace, "--", shell.sample, "--device", "skeleton:0")
    shell.expect("flagos_kernel_launch" in done.stdout, f"trace: {done.stdout}")
    shell.expect("0 wrong" in done.stdout and str(trace) in done.stdout, f"trace: {done.stdout}")
    events = json.loads(trace.read_text())["traceEvents"]
    shell.expect(any(e["name"] == "flagos_memory_copy" and e["ph"] == "X" for e in events), "trace: no copy in it")
    shell.good("trace", "--", shell.sample)
    shell.expect((shell.folder / "flagos-trace.json").is_file(), "trace: no default file")
    shell.bad(1, "wrote no trace", "trace", "-o", trace, "--", "/bin/true")
    shell.expect(not trace.exists(), "an old trace passed for the new one")
    failing = shell.run("trace", "-o", trace, "--", shell.sample, "--device", "nothing:0")
    shell.expect(failing.returncode == 1 and "ended with 1" in failing.stderr, f"trace: {failing.stderr}")


def test_bench(shell):
    shell.bad(2, "bench needs to know what", "bench")
    shell.bad(2, "there is no benchmark 'speed'; there are dispatch, ops and comm", "bench", "speed")
    shell.expect("dispatch" in shell.good("bench", "--help").stdout, "bench --help does not list dispatch")
    program = pathlib.Path(shell.flagos).parent / "flagos_bench_dispatch"
    if program.exists():
        shell.good("bench", "dispatch", "--benchmark_list_tests")
    else:
        shell.bad(1, "-DFLAGOS_BUILD_BENCH=ON", "bench", "dispatch")


# Records as the operators' tests write them.
def test_ops(shell):
    def record(name, device, lacks, failed, operators):
        path = shell.folder / name
        path.write_text(json.dumps({"device": device, "seed": 1, "cases": 3, "failed": failed, "lacks": lacks, "operators": operators}))
        return path

    def result(types, verdict="pass"):
        return {"result": verdict, "calls": 2, "types": types}

    floats = ["float16", "bfloat16", "float32"]
    first = record("a.json", "here", [], 0, {"sqrt": result(["float32"]), "exp": result(["float32"])})
    second = record("b.json", "here", [], 0, {"sqrt": result(["float16", "bfloat16", "float64"])})
    other = record("c.json", "there", ["float64"], 0, {"sqrt": result(floats), "exp": result(floats)})
    out = shell.good("ops", "list", "--family", "unary", "--status", first, "--status", second, "--status", other).stdout
    shell.expect(re.search(r"^here: 2 of \d+ pass, 1 of them in all their types \(6 calls in 6 test cases of 2 runs, 0 failed\)", out, re.M),
                 out)
    shell.expect(re.search(r"^there: 2 of \d+ pass, 2 of them in all their types but float64, which it lacks", out, re.M), out)
    shell.expect(re.search(r"^sqrt .* pass +pass *$", out, re.M), out)
    shell.expect(re.search(r"^exp .* pass in 1 of 4 types +pass *$", out, re.M), out)
    shell.expect(re.search(r"^log .* - +- *$", out, re.M), out)
    # One run that failed fails the operator, and the command.
    broken = record("d.json", "here", [], 1, {"sqrt": result([], "fail")})
    done = shell.run("ops", "list", "--status", first, "--status", broken)
    shell.expect(done.returncode == 1 and re.search(r"^here: 1 of \d+ pass", done.stdout, re.M), done.stdout)
    rows = json.loads(shell.good("ops", "list", "--json", "--status", first).stdout)
    shell.expect([row["status"]["here"]["not_tried"] for row in rows if row["name"] == "sqrt"] == [["float16", "bfloat16", "float64"]],
                 "types that were not tried")
    (shell.folder / "e.json").write_text('{"device": "here", "operators": {"sqrt": "pass"}}')
    shell.bad(1, "holds no results of operators", "ops", "list", "--status", shell.folder / "e.json")
    shell.bad(1, "cannot read the results", "ops", "list", "--status", shell.folder / "none.json")
    shell.bad(1, "there is no family", "ops", "list", "--family", "none")


def test_run(shell):
    shell.bad(2, "a program is missing", "run")
    shell.bad(2, "0 ranks cannot be started", "run", "-n", "0", "--", "/bin/true")
    shell.bad(1, "cannot be started", "run", "--", "/nonexistent/program")
    shell.good("run", "-n", "3", "/bin/sh", "-c", 'test "$FLAGOS_COMM_SIZE" = 3 && test ${#FLAGOS_COMM_ID} = 256')
    ranks = shell.good("run", "-n", "3", "--devices", "cpu,cpu:0", "--", "/bin/sh", "-c",
                       'echo "$FLAGOS_COMM_RANK $FLAGOS_COMM_DEVICE"').stdout
    shell.expect(sorted(ranks.splitlines()) == ["0 cpu", "1 cpu:0", "2 cpu"], f"run: {ranks}")
    shell.bad(3, "rank 1 ended with 3", "run", "--", "/bin/sh", "-c", "exit $((FLAGOS_COMM_RANK * 3))")
    bench = pathlib.Path(shell.flagos).parent / "flagos_bench_comm"
    if bench.exists():
        rows = shell.good("run", "-n", "2", "--", bench, "--max", "4096", "--iterations", "3").stdout.splitlines()
        shell.expect(len(rows) > 3 and all(row.split()[-1] == "0" for row in rows[1:]), f"bench comm: {rows}")


SCALE = """flagos.tile 1.0

kernel @scale(%x: ptr<f32> {readonly}, %y: ptr<f32>, %n: i32, %a: f32) {
  %0 = view %x, %n {shape=[?], strides=[1]} : view<f32, 1>
  %1 = program_id {axis=0} : i32
  %2 = const {value=64} : i32
  %3 = mul %1, %2 : i32
  %4 = load %0, %3 : tile<64xf32>
  %5 = full %a : tile<64xf32>
  %6 = mul %4, %5 : tile<64xf32>
  %7 = view %y, %n {shape=[?], strides=[1]} : view<f32, 1>
  store %7, %3, %6
}
"""


def write_npy(path, values):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(values)},), }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() +
                     struct.pack(f"<{len(values)}f", *values))


def read_npy(path):
    data = path.read_bytes()
    (size,) = struct.unpack("<H", data[8:10])
    return list(struct.unpack(f"<{(len(data) - 10 - size) // 4}f", data[10 + size:]))


def test_kernel(shell):
    file, x, y = shell.folder / "scale.tile", shell.folder / "x.npy", shell.folder / "y.npy"
    file.write_text(SCALE)
    write_npy(x, [float(i) for i in range(100)])
    cpu = {"FLAGOS_PLUGIN_FILES": shell.cpu_plugin, "FLAGOS_KERNEL_CACHE": str(shell.folder / "cache")}

    shell.expect(shell.good("kernel", "print", file).stdout == SCALE, "print is not the canonical text")
    shell.expect("kernel scale of 4 arguments" in shell.good("kernel", "verify", file).stdout, "verify names no kernel")
    wrong = shell.folder / "wrong.tile"
    wrong.write_text(SCALE.replace("mul %4, %5", "mul %4, %1"))
    done = shell.run("kernel", "verify", wrong)
    shell.expect(done.returncode == 1 and f"{wrong}:10:" in done.stderr and "one fault found" in done.stderr,
                 f"verify of a wrong module: {done.stderr}")
    wrong.write_bytes(bytes(range(256)) * 4096)
    shell.expect(shell.run("kernel", "verify", wrong).returncode == 1, "garbage was taken for a module")

    set_arguments = ["--grid", "2", "--set", f"x={x}", "--set", "y=zeros:f32[100]", "--set", "n=100", "--set", "a=2.5"]
    expected = [2.5 * i for i in range(100)]
    for how in [["--device", "cpu"], ["--device", "cpu:0"], ["--interpret"]]:
        y.unlink(missing_ok=True)
        shell.good("kernel", "run", file, *how, *set_arguments, "-o", f"y={y}", **cpu)
        shell.expect(y.exists() and read_npy(y) == expected, f"run {how}: wrong result")
    y.unlink()
    shell.good("kernel", "run", file, *set_arguments, "-o", f"y={y}", **cpu, FLAGOS_CC="none")  # the interpreter
    shell.expect(read_npy(y) == expected, "run without a compiler: wrong result")
    bench = shell.good("kernel", "bench", file, *set_arguments, "--seconds", "0.05", **cpu).stdout
    shell.expect("load from memory" in bench and "launch and wait" in bench, f"bench: {bench}")

    source = shell.folder / "scale.cc"
    shell.good("kernel", "compile", file, "--target", "cpu", "--emit", "source", "-o", source, **cpu)
    shell.expect("scale" in source.read_text(), "the source has no kernel")
    for target, words in [("cuda-sm_90", "__global__"), ("opencl-c;threads=64", "__kernel"), ("glsl", "void main"),
                          ("gnu-c++;isa=x86-64-v2", "flagos_cpu_kernel_scale")]:
        shell.good("kernel", "compile", file, "--target", target, "--emit", "source", "-o", source)
        shell.expect(words in source.read_text(), f"{target}: no '{words}' in the source")
    # What a kernel prints reaches the log, through the interpreter where the lowering cannot print.
    printing = shell.folder / "printing.tile"
    printing.write_text("""flagos.tile 1.0

kernel @say(%n: i32) {
  print %n {message="n is"}
}
""")
    done = shell.good("kernel", "run", printing, "--set", "n=41", **cpu, FLAGOS_LOG_LEVEL="info")
    shell.expect("n is" in done.stderr and "41" in done.stderr, f"print: {done.stderr}")
    opencl = {"FLAGOS_PLUGIN_FILES": next((p for p in shell.driver_plugins if "opencl" in p), "")}
    if "opencl:0" in shell.good("info", **opencl).stdout:  # through the driver's printf
        done = shell.good("kernel", "run", printing, "--device", "opencl:0", "--set", "n=41", **opencl)
        shell.expect("program (0, 0, 0): n is 41\n" in done.stdout, f"print on opencl: {done.stdout}")
    # An assertion that does not hold fails the run, and its words reach the log.
    failing = shell.folder / "failing.tile"
    failing.write_text("""flagos.tile 1.0

kernel @check(%n: i32) {
  %0 = const {value=3} : i32
  %1 = lt %n, %0 : i1
  assert %1 {message="n is below three"}
}
""")
    shell.good("kernel", "run", failing, "--set", "n=2", **cpu)
    for compiler in [{}, {"FLAGOS_CC": "none"}]:
        done = shell.run("kernel", "run", failing, "--set", "n=3", **cpu, **compiler, FLAGOS_LOG_LEVEL="info")
        shell.expect(done.returncode == 1 and "EXECUTION_FAILED" in done.stderr and "n is below three" in done.stderr,
                     f"a failed assertion: {done.stderr}")
    blob = shell.folder / "scale.blob"
    if shutil.which("clang") or shutil.which("g++"):
        shell.good("kernel", "compile", file, "--target", "cpu", "-o", blob, **cpu)
        shell.expect(blob.read_bytes().startswith(b"FLTILEB"), "the blob does not begin as one")
        pack = shell.folder / "pack"
        shell.good("kernel", "compile", file, "--target", "cpu", "--pack", pack, **cpu)
        shell.expect(len(list(pack.iterdir())) == 1, "the pack has not one file")
        y.unlink()
        # With the pack it runs without a compiler, and says nothing of the interpreter.
        done = shell.good("kernel", "run", file, *set_arguments, "-o", f"y={y}", **cpu, FLAGOS_CC="none",
                          FLAGOS_KERNEL_PACKS=str(pack), FLAGOS_LOG_LEVEL="warning")
        shell.expect(read_npy(y) == expected and done.stderr == "", f"run from a pack: {done.stderr}")

    x_values = [float(i) for i in range(100)]
    write_npy(x, x_values)
    # Compilers that do not do their work; a disk that takes nothing.
    for name, body, words in [("hangs", "sleep 600", "did not end in 1 s"), ("fails", "echo no >&2; exit 7", "exited with code 7"),
                              ("garbage", "for last; do :; done; while [ \"$1\" != -o ]; do shift; done; echo x > \"$2\"",
                               "that are no object")]:
        script = shell.folder / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o700)
        shell.bad(1, words, "kernel", "run", file, *set_arguments, **cpu, FLAGOS_CC=str(script), FLAGOS_CPU_COMPILE_SECONDS="1")
    shell.bad(1, "cannot be started", "kernel", "run", file, *set_arguments, **cpu, FLAGOS_CC=str(shell.folder / "none-such"))
    no_disk = cpu | {"FLAGOS_KERNEL_CACHE": "/dev/null/cache", "FLAGOS_LOG_LEVEL": "warning"}
    done = shell.good("kernel", "run", file, *set_arguments, "-o", f"y={y}", **no_disk)
    shell.expect(done.stderr.count("\n") == 1 and "are not kept" in done.stderr, f"a disk that takes nothing: {done.stderr}")
    # Several processes that compile the same kernel at once, twice.
    fresh = cpu | {"FLAGOS_KERNEL_CACHE": str(shell.folder / "fresh")}
    outputs = [shell.folder / f"y{i}.npy" for i in range(4)]
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda out: shell.good("kernel", "run", file, *set_arguments, "-o", f"y={out}", **fresh), outputs))
        shell.expect(all(read_npy(out) == expected for out in outputs), "processes at once: wrong result")
    shell.expect(len(list((shell.folder / "fresh").iterdir())) == 1, "processes at once: not one entry")

    shell.bad(2, "kernel needs a command", "kernel")
    shell.bad(2, "kernel has no command 'prin'", "kernel", "prin")
    shell.bad(2, "kernel print needs a file", "kernel", "print")
    shell.bad(1, "cannot be read", "kernel", "print", shell.folder / "none-such")
    shell.bad(1, "is a folder", "kernel", "print", shell.folder)
    shell.bad(2, "needs a --target", "kernel", "compile", file, "-o", blob, **cpu)
    shell.bad(2, "either --output or --pack", "kernel", "compile", file, "--target", "cpu", **cpu)
    shell.bad(2, "not source or blob", "kernel", "compile", file, "--target", "cpu", "--emit", "x", "-o", blob, **cpu)
    shell.bad(1, "there is no device 'gpu'; there are: cpu:0", "kernel", "compile", file, "--target", "gpu", "-o", blob, **cpu)
    shell.bad(2, "only --emit source", "kernel", "compile", file, "--target", "cuda-sm_90", "-o", blob, **cpu)
    shell.bad(1, "x86-64-v9", "kernel", "compile", file, "--target", "cpu", "--isa", "x86-64-v9", "-o", blob, **cpu)
    shell.bad(2, "argument 'x' is missing", "kernel", "run", file, **cpu)
    shell.bad(2, "no argument 'z'", "kernel", "run", file, *set_arguments, "--set", "z=1", **cpu)
    shell.bad(2, "gives 'a' twice", "kernel", "run", file, *set_arguments, "--set", "a=1", **cpu)
    shell.bad(2, "is no value of its type", "kernel", "run", file, *set_arguments[:-1], "a=two", **cpu)
    shell.bad(2, "is no number", "kernel", "run", file, "--grid", "x", *set_arguments[2:], **cpu)
    shell.bad(2, "has no array 'a'", "kernel", "run", file, *set_arguments, "-o", f"a={y}", **cpu)
    shell.bad(1, "there is no kernel 'other'; there are: scale", "kernel", "run", file, "--kernel", "other", *set_arguments, **cpu)
    x.write_bytes(b"garbage")
    shell.bad(1, "no .npy file", "kernel", "run", file, *set_arguments, **cpu)


def main():
    tests = {"usage": test_usage, "info": test_info, "doctor": test_doctor, "no_device": test_no_device, "certify": test_certify,
             "trace": test_trace, "bench": test_bench, "ops": test_ops, "run": test_run, "kernel": test_kernel}
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=tests)
    for name in ["flagos", "plugin", "sample"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--cpu-plugin")
    parser.add_argument("--driver-plugins", nargs="*", default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(arguments, pathlib.Path(folder).resolve())
        tests[arguments.part](shell)
    for line in shell.failures:
        print(f"cli: {line}", file=sys.stderr)
    print(f"cli {arguments.part}: {shell.checks} checks, {len(shell.failures)} failed")
    return 1 if shell.failures else 0


if __name__ == "__main__":
    sys.exit(main())
