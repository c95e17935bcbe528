#!/usr/bin/env python3
"""Who may include whom, and where no vendor's name may stand.

usage: layering.py [--root DIR] [--self-test]

The self-test plants one violation of each rule in a copy of nothing but itself and expects to see it.
"""
import argparse
import pathlib
import re
import sys
import tempfile

SOURCES = {".c", ".h", ".cpp", ".hpp", ".inc", ".in", ".cc", ".hh"}
FOLDERS = ["abi", "base", "core", "plugins", "ops", "comm", "compiler", "conformance", "samples",
           "tools", "tests", "bench", "bindings"]
ABI_HEADER = re.compile(r"^(abi/)?flagos[a-z_]*\.h$")
C_STANDARD = {"assert.h", "complex.h", "ctype.h", "errno.h", "fenv.h", "float.h", "inttypes.h",
              "iso646.h", "limits.h", "locale.h", "math.h", "setjmp.h", "signal.h", "stdalign.h",
              "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h",
              "stdnoreturn.h", "string.h", "tgmath.h", "threads.h", "time.h", "uchar.h", "wchar.h",
              "wctype.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
VENDORS = re.compile(r"cuda|nvidia|ascend|cambricon|opencl|vulkan|(?<![a-z])(?:cann|cnrt)(?![a-z])",
                     re.IGNORECASE)

# folder -> the folders of this tree that it may include, beside itself
MAY_INCLUDE = {
    "abi": set(),
    "base": {"abi"},
    "core": {"abi", "base"},
    "plugins": {"abi", "base"},
    "ops": {"abi", "base"},
    "comm": {"abi", "base"},
    "compiler": {"abi", "base"},
    # ops/testing: calls of operators and their results, which its category num shares with the operators' tests.
    "conformance": {"abi", "ops/testing"},
    "samples": {"abi"},
}


def target_folder(root, including, name):
    """The top folder of this tree that an include names, or None for a library's or system's."""
    if ABI_HEADER.match(name):
        return "abi"
    for base in (including.parent, root):
        path = (base / name).resolve()
        if path.is_file() and root in path.parents:
            return path.relative_to(root).parts[0]
    first = pathlib.PurePosixPath(name).parts[0]
    return first if first in FOLDERS and "/" in name else None


def plugin_of(root, path):
    parts = path.resolve().relative_to(root).parts
    return parts[1] if parts[0] == "plugins" and len(parts) > 2 else None


def may_include(folder, target, name):
    allowed = MAY_INCLUDE.get(folder, set(FOLDERS))
    return target in allowed or any(name.startswith(part + "/") for part in allowed if "/" in part)


def check_includes(root, path, text):
    folder = path.relative_to(root).parts[0]
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        name = match.group(1) or match.group(2)
        where = f"{path.relative_to(root)}:{number}"
        target = target_folder(root, path, name)
        if folder == "abi":
            if target != "abi" and name not in C_STANDARD:
                yield f"{where}: abi/ includes {name}; it may include the C standard library only"
        elif target == "plugins" and folder != "plugins":
            yield f"{where}: {folder}/ includes {name}; nobody includes plugins/"
        elif target == "plugins" and plugin_of(root, path):
            included = (path.parent / name) if (path.parent / name).is_file() else root / name
            if included.is_file() and plugin_of(root, included) != plugin_of(root, path):
                yield f"{where}: one plugin includes another: {name}"
        elif target and target != folder and not may_include(folder, target, name):
            allowed = ", ".join(sorted(MAY_INCLUDE[folder])) or "nothing"
            yield f"{where}: {folder}/ includes {name}; of this tree it may include {allowed}"


def check_vendor_names(root, path, text):
    for number, line in enumerate(text.splitlines(), 1):
        match = VENDORS.search(line)
        if match:
            yield f"{path.relative_to(root)}:{number}: core/ names a vendor: {match.group(0)}"


def check(root):
    """All violations below root, and the number of files that were read."""
    violations, count = [], 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SOURCES and not (folder == "core" and path.name == "CMakeLists.txt"):
                continue
            if not path.is_file():
                continue
            count += 1
            text = path.read_text(encoding="utf-8", errors="replace")
            violations += check_includes(root, path, text)
            if folder == "core":
                violations += check_vendor_names(root, path, text)
    return violations, count


PLANTED = {
    "abi/a.h": "#include <unistd.h>\n",
    "abi/b.h": '#include "base/x.hpp"\n',
    "base/a.cpp": '#include "core/y.hpp"\n',
    "core/a.cpp": "// for CUDA only\n",
    "core/b.cpp": "int nvidia_count;\n",
    "core/c.cpp": '#include "plugins/cpu/z.hpp"\n',
    "core/d.cpp": "void* cnrt_handle;\n",
    "ops/a.cpp": '#include "core/y.hpp"\n',
    "comm/a.cpp": '#include "../core/y.hpp"\n',
    "conformance/a.cpp": '#include "base/x.hpp"\n',
    "conformance/b.cpp": '#include "ops/table.hpp"\n',
    "samples/01/a.cpp": '#include "core/y.hpp"\n',
    "tools/a.cpp": '#include "plugins/cpu/z.hpp"\n',
    "plugins/other/a.cpp": '#include "plugins/cpu/z.hpp"\n',
    "plugins/other/b.cpp": '#include "../cpu/z.hpp"\n',
}
ALLOWED = {
    "abi/flagos.h": "#include <stdint.h>\n",
    "abi/flagos_plugin.h": '#include "flagos.h"\n',
    "base/x.hpp": "#include <flagos.h>\n#include <vector>\n",
    "core/y.hpp": '#include "base/x.hpp"\n#include <spdlog/spdlog.h>\n// cannot, scanner\n',
    "plugins/cpu/z.hpp": '#include "base/x.hpp"\n#include <flagos_plugin.h>\n',
    "plugins/cpu/w.cpp": '#include "z.hpp"\n#include "plugins/cpu/z.hpp"\n',
    "conformance/x.cpp": '#include "conformance/x.hpp"\n#include "ops/testing/y.hpp"\n#include <flagos.h>\n',
    "tests/t.cpp": '#include "core/y.hpp"\n',
}


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        for name, text in ALLOWED.items():
            write(root, name, text)
        failures += [f"clean tree: unexpected: {line}" for line in check(root)[0]]
        for name, text in PLANTED.items():
            write(root, name, text)
            if not any(line.startswith(f"{name}:") for line in check(root)[0]):
                failures.append(f"planted in {name}, not seen: {text.strip()}")
            (root / name).unlink()
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        problems = self_test()
        done = f"{len(PLANTED)} planted violations were seen"
    else:
        problems, count = check(arguments.root.resolve())
        if count == 0:
            problems = [f"no source file below {arguments.root}"]
        done = f"{count} files keep the layers"
    for line in problems:
        print(f"layering: {line}", file=sys.stderr)
    if not problems:
        print(f"layering: {done}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
