#!/usr/bin/env python3
"""Compares what the plugin declares of the vendor's interfaces with the vendor's own headers, where a machine has them:
numbers, sizes and offsets of structs, and what functions take and give.

usage: compare_headers.py [--compiler CXX] [FOLDER]
  FOLDER  has cuda.h, and perhaps nvrtc.h, nccl.h and cublasLt.h; default: $CUDA_HOME/include, then the usual places
Exit code: 0 all is the same, 1 something differs, 77 no headers.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Our header, the list of functions, the vendor's header.
PARTS = [
    ("cuda.hpp", "driver_symbols.inc", "cuda.h"),
    ("cuda.hpp", "nvrtc_symbols.inc", "nvrtc.h"),
    ("nccl.hpp", "nccl_symbols.inc", "nccl.h"),
    ("cublaslt.hpp", "cublaslt_symbols.inc", "cublasLt.h"),
]
# Declared as it was in an old version, on purpose: the library takes shorter structs.
SHORTER = {"ncclConfig_t"}

PRELUDE = """
#include <cstddef>
#include <tuple>
#include <type_traits>
// As a call passes it: pointers, integers and floating numbers of a size.
template <typename A, typename B>
constexpr bool is_alike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
                          std::is_floating_point_v<A> == std::is_floating_point_v<B> &&
                          std::is_class_v<A> == std::is_class_v<B>;
template <typename A, typename B>
struct Same : std::false_type {};
template <typename R, typename S, typename... A, typename... B>
  requires(sizeof...(A) == sizeof...(B))
struct Same<R(A...), S(B...)> : std::bool_constant<is_alike<R, S> && (is_alike<A, B> && ...)> {};
"""


def enumerators(text):
    for block in re.findall(r"^enum[^{;]*\{(.*?)\};", text, re.S | re.M):
        yield from re.findall(r"(\w+) = (?:-?\w+)", block)


def structs(text):
    """Names, each with its members, but for those in braces of their own."""
    for name, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", text, re.S | re.M):
        while re.search(r"\{[^{}]*\}", body):
            body = re.sub(r"\{[^{}]*\}", " ", body)
        members = []
        for line in re.sub(r"//.*", "", body).split(";"):
            line = re.sub(r"=[^,;]*", "", line)
            members += [re.sub(r"\[.*", "", part).split()[-1].lstrip("*") for part in line.split(",") if part.split()]
        yield name, members


def functions(text):
    text = re.sub(r"//.*", "", text)
    for start in re.finditer(r"^(?:SYMBOL|OPTIONAL)\((\w+),", text, re.M):
        depth, at = 1, start.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        yield start.group(1), " ".join(text[start.end():at - 1].split())


def checks_of(part):
    ours, symbols, vendor = part
    header = (HERE / ours).read_text()
    own = header
    if vendor == "cuda.h":
        own = header.split("// ---- NVRTC")[0]
    elif vendor == "nvrtc.h":
        own = header.split("// ---- NVRTC")[1]
    for name in enumerators(own):
        yield name, f"own_{name} == (long long){name}"
    for name, members in structs(own):
        if name not in SHORTER:
            yield f"size of {name}", f"sizeof(flagos::nvidia::{name}) == sizeof(::{name})"
        for member in members:
            yield (f"{name}.{member}", f"offsetof(flagos::nvidia::{name}, {member}) == offsetof(::{name}, {member}) && "
                   f"sizeof(flagos::nvidia::{name}::{member}) == sizeof(::{name}::{member})")
    for name, declared in functions((HERE / symbols).read_text()):
        yield f"function {name}", f"Same<flagos_{name}, decltype(::{name})>::value"


def source_of(part, checks):
    ours, symbols, vendor = part
    lines = [f'#include "plugins/nvidia/{ours}"', "namespace flagos::nvidia {"]
    lines += [f"using flagos_{name} = {declared};" for name, declared in functions((HERE / symbols).read_text())]
    lines += ["}", *(f"using flagos::nvidia::flagos_{name};" for name, _ in functions((HERE / symbols).read_text()))]
    # Some of the vendor's numbers are macros.
    names = [name for name, check in checks if check.startswith("own_")]
    lines += [f"constexpr long long own_{name} = (long long)flagos::nvidia::{name};" for name in names]
    # With the names that libcuda exports, none of them a macro for a newer one.
    lines += ["#define __CUDA_API_VERSION_INTERNAL 1", f"#include <{vendor}>", PRELUDE]
    lines += [f'static_assert({check}, "{name}");' for name, check in checks]
    return "\n".join(lines) + "\n"


def compare(compiler, folder, part):
    """How many things are the same, and what the compiler says of the others."""
    checks = list(checks_of(part))
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch) / "compare.cpp"
        file.write_text(source_of(part, checks))
        run = subprocess.run(
            [compiler, "-std=c++20", "-fsyntax-only", "-w", "-fmax-errors=0", f"-I{ROOT}", f"-I{ROOT}/abi", "-isystem", folder,
             str(file)], capture_output=True, text=True, check=False)
    wrong = [line for line in run.stderr.splitlines() if "error:" in line]
    return len(checks) - len(wrong), wrong


def folder_with_headers(given):
    homes = [os.environ.get(name, "") for name in ("CUDA_HOME", "CUDA_PATH")]
    for folder in [given] if given else [*(f"{home}/include" for home in homes if home), "/usr/local/cuda/include",
                                         "/usr/local/include", "/usr/include"]:
        if (pathlib.Path(folder) / "cuda.h").exists():
            return folder
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("folder", nargs="?")
    arguments = parser.parse_args()
    folder = folder_with_headers(arguments.folder)
    if folder is None:
        print("skipped: there is no cuda.h on this machine")
        return 77
    failed = False
    for part in PARTS:
        vendor = part[2]
        if not (pathlib.Path(folder) / vendor).exists():
            print(f"{vendor}: not in {folder}")
            continue
        same, wrong = compare(arguments.compiler, folder, part)
        print(f"{vendor}: {same} numbers, layouts and functions are the same, {len(wrong)} differ")
        for line in wrong:
            print(line)
        failed = failed or bool(wrong)
    return 1 if failed else 0


sys.exit(main())
