#!/usr/bin/env python3
"""Builds a shared library that is the headers and nothing else, so that abidw and abidiff see the contract alone.

usage: header_library.py OUTPUT [--abi DIR] [--cc COMPILER]

Every exported function gets an empty definition and every type a variable that points to it, since the two tools see
only what a symbol leads to. That libflagos exports these functions, and no others, is for tests/symbols.py to say.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile


def source(folder):
    """A C file that includes the headers and defines what they declare."""
    headers = sorted(folder.glob("*.h"))
    lines = [f'#include "{header.name}"' for header in headers]
    for header in headers:
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", header.read_text(encoding="utf-8"), flags=re.DOTALL)
        for declaration in re.findall(r"^FLAGOS_API\b([^;{]*\));", text, flags=re.MULTILINE):
            lines.append(f"EXPORT {' '.join(declaration.split())} {{ __builtin_unreachable(); }}")
        for name in type_names(text):
            lines.append(f"EXPORT {name}* type_of_{name};")
    return '#define EXPORT __attribute__((visibility("default")))\n' + "\n".join(lines) + "\n"


def type_names(text):
    """The typedefs: of structs, of functions by pointer, and plain ones."""
    names = re.findall(r"^\} (\w+);", text, flags=re.MULTILINE)
    for declaration in re.findall(r"^typedef ([^;{]*);", text, flags=re.MULTILINE):
        name = re.search(r"\(\*(\w+)\)|(\w+)$", declaration.strip())
        names.append(name.group(1) or name.group(2))
    return sorted(set(names))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--abi", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2] / "abi")
    parser.add_argument("--cc", default="cc")
    arguments = parser.parse_args()
    text = source(arguments.abi)
    if "__builtin_unreachable" not in text:
        sys.exit(f"header_library: error: the headers in {arguments.abi} declare no function")
    with tempfile.TemporaryDirectory() as work:
        (pathlib.Path(work) / "headers.c").write_text(text, encoding="utf-8")
        # A relative name, since it stands in the debug information.
        subprocess.run([arguments.cc, "-std=c11", "-g", "-O0", "-shared", "-fPIC",
                        "-I", str(arguments.abi.resolve()), "-Wl,-soname,libflagos.so.1",
                        "-o", str(arguments.output.resolve()), "headers.c"], cwd=work, check=True)


if __name__ == "__main__":
    main()
