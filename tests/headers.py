#!/usr/bin/env python3
"""Every public header compiles alone, without a warning, as C11, C17, C++17 and C++20 with gcc and clang.

usage: headers.py [--abi DIR] [--self-test] [HEADER...]
"""
import argparse
import concurrent.futures
import pathlib
import shutil
import subprocess
import sys
import tempfile

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wshadow", "-Wundef", "-Wstrict-prototypes"]
# The C compiler and the C++ compiler of each family, and the four language versions.
FAMILIES = {"gcc": ("gcc", "g++"), "clang": ("clang", "clang++")}
STANDARDS = {"c11": "c", "c17": "c", "c++17": "c++", "c++20": "c++"}


def compile_alone(header, family, standard, macros):
    """Compiles a file that includes the header twice and nothing else; the compiler's words on failure."""
    language = STANDARDS[standard]
    compiler = FAMILIES[family][0 if language == "c" else 1]
    warnings = [w for w in WARNINGS if language == "c" or w != "-Wstrict-prototypes"]
    source = "".join(f"#define {m} 1\n" for m in macros) + f"#include <{header.name}>\n" * 2
    # C and C++ both want at least one declaration in a translation unit.
    source += "typedef int not_empty;\n"
    command = [compiler, "-x", language, f"-std={standard}", "-fsyntax-only", *warnings,
               f"-I{header.parent}", "-"]
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return result.stderr if result.returncode else None


def check(headers):
    tasks = [(header, family, standard, macros) for header in headers for family in FAMILIES
             for standard in STANDARDS for macros in ((), ("FLAGOS_BUILD", "FLAGOS_PLUGIN_BUILD"))]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        outputs = list(pool.map(lambda task: compile_alone(*task), tasks))
    return [f"{header.name} as {standard} with {family}{' for its implementer' if macros else ''}:\n{output}"
            for (header, family, standard, macros), output in zip(tasks, outputs) if output], len(tasks)


def self_test():
    faults = {
        "cpp_only.h": "class flagos_x;\n",                                # fails as C
        "c_only.h": "typedef int class;\n",                               # fails as C++
        "c2x.h": "#include <stdint.h>\nenum flagos_e : uint32_t { A };\n",  # fails as C11
        "not_alone.h": "uint32_t flagos_f(void);\n",                      # needs another header first
        "no_guard.h": "struct flagos_s { int a; };\n",                    # cannot be included twice
        "extension.h": "#ifndef H\n#define H\nstruct flagos_s { int a; struct { int b; }; int c[0]; };\n#endif\n",
    }
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        good = root / "good.h"
        good.write_text("#ifndef G\n#define G\n#include <stdint.h>\nuint32_t flagos_f(void);\n#endif\n")
        failures += check([good])[0]
        for name, text in faults.items():
            header = root / name
            header.write_text(text)
            if not check([header])[0]:
                failures.append(f"planted {name}, not seen: {text}")
    return failures, len(faults)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--abi", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "abi")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("headers", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    missing = [name for pair in FAMILIES.values() for name in pair if not shutil.which(name)]
    if missing:
        print(f"headers: skipped: not installed: {', '.join(missing)}")
        return 77
    if arguments.self_test:
        problems, planted = self_test()
        done = f"{planted} planted faults were seen"
    else:
        headers = arguments.headers or sorted(arguments.abi.glob("*.h"))
        problems, count = check([header.resolve() for header in headers])
        if not headers:
            problems = [f"no header in {arguments.abi}"]
        done = f"{len(headers)} headers, {count} compilations without a word"
    for line in problems:
        print(f"headers: {line}", file=sys.stderr)
    if not problems:
        print(f"headers: {done}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
