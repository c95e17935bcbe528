#!/usr/bin/env python3
"""Where our programs and libraries let the loader look for others: never in the folder a program is started in.

usage: run_paths.py FOLDER... | run_paths.py --self-test
"""
import pathlib
import re
import subprocess
import sys
import tempfile


def run_paths(file):
    """The entries of DT_RUNPATH and DT_RPATH; an empty one is the current folder, to the loader."""
    output = subprocess.run(["readelf", "-dW", str(file)], capture_output=True, text=True, check=True).stdout
    lists = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", output)
    return [entry for entries in lists for entry in entries.split(":")]


def is_elf(path):
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF" and path.suffix != ".o"


def check(folders):
    files = [path for folder in folders for path in sorted(pathlib.Path(folder).rglob("*")) if is_elf(path)]
    if not files:
        yield f"no program and no library in {', '.join(map(str, folders))}"
    for file in files:
        wrong = [entry for entry in run_paths(file) if not entry.startswith(("$ORIGIN", "/"))]
        if wrong:
            yield f"{file.name} looks for libraries in {', '.join(repr(entry) for entry in wrong)}: the current folder"


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = folder / "x.c"
        source.write_text("int x;\n")
        for what, path, count in (("none", None, 0), ("origin", "$ORIGIN/../lib", 0), ("empty", "/usr/lib:", 1),
                                  ("relative", "lib", 1)):
            place = folder / what
            place.mkdir()
            options = [] if path is None else [f"-Wl,-rpath,{path}"]
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(place / "libx.so"), str(source), *options], check=True)
            problems = list(check([place]))
            if len(problems) != count:
                failures.append(f"{what}: {count} problems expected, found {problems}")
        (folder / "nothing").mkdir()
        if len(list(check([folder / "nothing"]))) != 1:
            failures.append("nothing to look at went unseen")
    return failures


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    problems = self_test() if sys.argv[1:] == ["--self-test"] else list(check(sys.argv[1:]))
    for line in problems:
        print(f"run_paths: {line}", file=sys.stderr)
    if not problems:
        print("run_paths: nothing is looked for in the current folder")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
