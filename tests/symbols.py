#!/usr/bin/env python3
"""What our libraries export: libflagos the functions of flagos.h, a plugin flagos_plugin_open alone.

usage: symbols.py core LIBRARY HEADER | symbols.py plugins FOLDER... | symbols.py self-test
"""
import pathlib
import re
import subprocess
import sys
import tempfile

VERSION = "FLAGOS_1.0"


def exported(library):
    """{name: version} of the defined dynamic symbols; the version node itself is left out."""
    output = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", str(library)],
                            capture_output=True, text=True, check=True).stdout
    symbols = {}
    for line in output.splitlines():
        kind, symbol = line.split()[-2:]
        name, _, version = symbol.replace("@@", "@").partition("@")
        if kind != "A":
            symbols[name] = version
    return symbols


def declared(header):
    text = re.sub(r"/\*.*?\*/", "", pathlib.Path(header).read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(re.findall(r"^FLAGOS_API\b[^;{]*?\b(flagos_\w+)\s*\(", text, flags=re.MULTILINE))


def check_core(library, header):
    symbols, wanted = exported(library), declared(header)
    name = pathlib.Path(library).name
    if not wanted:
        yield f"{header} declares no FLAGOS_API function"
    for symbol in sorted(wanted - symbols.keys()):
        yield f"{name} does not export {symbol}, which {pathlib.Path(header).name} declares"
    for symbol in sorted(symbols.keys() - wanted):
        yield f"{name} exports {symbol}, which {pathlib.Path(header).name} does not declare"
    for symbol in sorted(symbols.keys() & wanted):
        if symbols[symbol] != VERSION:
            yield f"{name}: {symbol} has version '{symbols[symbol]}', not {VERSION}"


def check_plugin(library):
    symbols = sorted(exported(library))
    if symbols != ["flagos_plugin_open"]:
        yield f"{library.name} exports {', '.join(symbols[:8]) or 'nothing'}; it must export flagos_plugin_open alone"


def check_plugins(folders):
    libraries = [path for folder in folders for path in sorted(pathlib.Path(folder).glob("*.so"))]
    if not libraries:
        yield f"no plugin in {', '.join(map(str, folders))}"
    for library in libraries:
        yield from check_plugin(library)


def build(folder, name, code, script=None):
    source, library = folder / f"{name}.c", folder / f"{name}.so"
    source.write_text(code)
    options = []
    if script:
        (folder / f"{name}.map").write_text(script)
        options = [f"-Wl,--version-script={folder / name}.map"]
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source), *options], check=True)
    return library


def self_test():
    failures = []

    def expect(what, problems, count):
        problems = list(problems)
        if len(problems) != count:
            failures.append(f"{what}: {count} problems expected, found {problems}")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        header = folder / "h.h"
        header.write_text("/* FLAGOS_API int flagos_no(void); */\n#define FLAGOS_API\n"
                          "FLAGOS_API int flagos_a(void);\nFLAGOS_API const char* flagos_b(\n  int x);\n")
        both = "int flagos_a(void) { return 0; }\nconst char* flagos_b(int x) { return x ? \"a\" : \"b\"; }\n"
        versioned = "FLAGOS_1.0 { global: flagos_*; local: *; };"
        expect("good core", check_core(build(folder, "good", both, versioned), header), 0)
        expect("no version", check_core(build(folder, "plain", both), header), 2)
        expect("one missing", check_core(build(folder, "miss", both.splitlines()[0], versioned), header), 1)
        expect("one too many", check_core(
            build(folder, "more", both + "int flagos_c(void) { return 0; }", versioned), header), 1)
        expect("foreign name", check_core(build(
            folder, "foreign", both + "int helper;", "FLAGOS_1.0 { global: *; };"), header), 1)
        opened = "int flagos_plugin_open(void) { return 0; }\n"
        plugins = folder / "p"
        expect("no plugins", check_plugins([plugins]), 1)
        plugins.mkdir()
        build(plugins, "good", opened, "{ global: flagos_plugin_open; local: *; };")
        expect("good plugin", check_plugins([plugins]), 0)
        build(plugins, "more", opened + "int helper(void) { return 0; }\n")
        build(plugins, "none", "static int x(void) { return 0; }\nint (*volatile y)(void) = x;\n",
              "{ local: *; };")
        expect("bad plugins", check_plugins([plugins]), 2)
    return failures


def main():
    mode, arguments = sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:]
    if mode == "core" and len(arguments) == 2:
        problems = list(check_core(*arguments))
        done = f"{pathlib.Path(arguments[0]).name} exports exactly what the header declares, in {VERSION}"
    elif mode == "plugins" and arguments:
        problems = list(check_plugins(arguments))
        done = "every plugin exports flagos_plugin_open alone"
    elif mode == "self-test" and not arguments:
        problems, done = self_test(), "planted faults were seen"
    else:
        print(__doc__, file=sys.stderr)
        return 2
    for line in problems:
        print(f"symbols: {line}", file=sys.stderr)
    if not problems:
        print(f"symbols: {done}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
