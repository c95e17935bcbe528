#!/usr/bin/env python3
"""The binary face of the headers: every struct, member, slot, constant and function, as text.

usage: layout.py check GOLDEN | layout.py print | layout.py self-test
       [--abi DIR] [--cc COMPILER]

Sizes and offsets come from the compiler: a C program is written from the struct definitions and run.
The parser knows the restricted style of our headers and stops at what it does not understand.
"""
import argparse
import difflib
import pathlib
import re
import subprocess
import sys
import tempfile

HEADERS = ["flagos.h", "flagos_plugin.h", "flagos_cpu_kernel.h", "flagos_compiler.h", "flagos_ops.h", "flagos_comm.h"]


class ParseError(Exception):
    pass


def squeeze(text):
    return re.sub(r"\s*([(),;*])\s*", r"\1", re.sub(r"\s+", " ", text)).replace("*", "* ").strip()


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)


def split_macros(text):
    """(the text without preprocessor lines, [(name, parameters and body)])."""
    macros, rest = [], []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.lstrip().startswith("#"):
            rest.append(line)
            continue
        match = re.match(r"\s*#\s*define\s+(\w+)(\([^)]*\))?\s*(.*)", line)
        if match and (match.group(2) or match.group(3)):
            macros.append((match.group(1), squeeze(f"{match.group(2) or ''} {match.group(3)}")))
    return "\n".join(rest), macros


def split_top(text, separator):
    """Splits at separators that stand outside of every bracket."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in "({[") - (char in ")}]")
        if char == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def parse_members(struct, body, prefix=""):
    """[(member path, declaration)]; a nested named struct or union gives itself and its members."""
    members = []
    for declaration in split_top(body, ";"):
        nested = re.match(r"^(union|struct)\s*\{(.*)\}\s*(\w*)((?:\[\w+\])*)$", declaration, re.DOTALL)
        if nested:
            kind, inner, name, _ = nested.groups()
            path = f"{prefix}{name}." if name else prefix
            if name:
                members.append((prefix + name, kind))
            members += parse_members(struct, inner, path)
            continue
        if "{" in declaration or ":" in declaration or "," in re.sub(r"\(.*\)", "", declaration, flags=re.DOTALL):
            raise ParseError(f"{struct}: cannot read the member '{squeeze(declaration)}'")
        match = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", declaration) or re.search(
            r"(\w+)\s*(?:\[\s*\w+\s*\]\s*)*$", declaration)
        if not match:
            raise ParseError(f"{struct}: cannot read the member '{squeeze(declaration)}'")
        members.append((prefix + match.group(1), squeeze(declaration)))
    return members


def brace_body(text, start):
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return text[start + 1:index], index + 1
    raise ParseError("a brace is not closed")


def parse(text):
    """Structs, constants, macros, functions and types of one header."""
    text, macros = split_macros(without_comments(text))
    structs, constants = [], []
    for match in re.finditer(r"\b(struct|union|enum)\s*(\w*)\s*\{", text):
        # A nested one is part of the struct around it.
        before = text[:match.start()]
        outside = re.sub(r'extern\s*"C"\s*\{', "", before)
        if outside.count("{") > outside.count("}"):
            continue
        body, end = brace_body(text, match.end() - 1)
        if match.group(1) == "enum":
            constants += [item.split("=")[0].strip() for item in split_top(body, ",")]
            continue
        name = re.match(r"\s*(\w*)\s*;", text[end:])
        if not name or not (name.group(1) or match.group(2)):
            raise ParseError(f"cannot read the {match.group(1)} '{match.group(2)}'")
        ctype = name.group(1) or f"{match.group(1)} {match.group(2)}"
        members = parse_members(ctype, body)
        if not members:
            raise ParseError(f"{ctype} has no members")
        structs.append((ctype, members))
    functions = [squeeze(f) for f in re.findall(r"^FLAGOS_API\s+([^;{]+);", text, re.MULTILINE)]
    types = [squeeze(t) for t in re.findall(r"\btypedef\s+([^;{}]+);", text)]
    return structs, constants, macros, functions, types


def program(header, structs, constants):
    lines = ["#include <stddef.h>", "#include <stdio.h>", f"#include <{header}>",
             # C11 has no alignof of a member, so the member's type is taken where it stands.
             "#define MEMBER(t, m) printf(\"%zu %zu %zu\\n\", offsetof(t, m), sizeof(((t*)0)->m),"
             " (size_t)__alignof__(((t*)0)->m))",
             "int main(void) {"]
    for ctype, members in structs:
        lines.append(f'  printf("%zu %zu\\n", sizeof({ctype}), _Alignof({ctype}));')
        lines += [f"  MEMBER({ctype}, {path});" for path, _ in members]
    lines += [f'  printf("%lld\\n", (long long){name});' for name in constants]
    return "\n".join(lines + ["  return 0;", "}", ""])


def run_program(abi, compiler, source):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "layout.c").write_text(source)
        command = [compiler, "-std=c11", f"-I{abi}", "-o", str(path / "layout"), str(path / "layout.c")]
        subprocess.run(command, check=True)
        return iter(subprocess.run([str(path / "layout")], capture_output=True, text=True,
                                   check=True).stdout.splitlines())


def describe_header(abi, header, compiler):
    """The lines of one header, and what is wrong with its structs."""
    structs, constants, macros, functions, types = parse((abi / header).read_text(encoding="utf-8"))
    output = run_program(abi, compiler, program(header, structs, constants))
    lines, problems = [f"# {header}"], []
    for ctype, members in structs:
        size, align = map(int, next(output).split())
        lines.append(f"struct {ctype} size {size} align {align}")
        end = 0
        for path, declaration in members:
            offset, length, member_align = map(int, next(output).split())
            lines.append(f"  {offset:5} {length:5} {member_align:3}  {path}  {declaration}")
            # A member of a nested union starts inside of what was seen already.
            if offset > end:
                problems.append(f"{ctype}: {offset - end} unnamed bytes before {path}")
            end = max(end, offset + length)
        if end != size:
            problems.append(f"{ctype}: {size - end} unnamed bytes at its end")
    lines += [f"constant {name} {next(output)}" for name in constants]
    lines += [f"macro {name} {body}" for name, body in macros if name != "FLAGOS_API"]
    lines += [f"function {text}" for text in functions]
    lines += [f"type {text}" for text in types]
    return lines, problems


def describe(abi, compiler):
    lines = ["# The layout of ABI 1.0 (LP64), written by scripts/update-layout. Members: offset, size, alignment."]
    problems = []
    for header in HEADERS:
        if (abi / header).is_file():
            more, wrong = describe_header(abi, header, compiler)
            lines += ["", *more]
            problems += wrong
    if len(lines) == 1:
        problems.append(f"no header in {abi}")
    return lines, problems


def check(abi, compiler, golden):
    lines, problems = describe(abi, compiler)
    if not golden.is_file():
        return lines, problems + [f"{golden} is missing; run scripts/update-layout"]
    expected = golden.read_text(encoding="utf-8").splitlines()
    difference = list(difflib.unified_diff(expected, lines, golden.name, "the headers", lineterm="", n=1))
    if difference:
        problems.append("the headers differ from the golden layout:\n" + "\n".join(difference) +
                        "\nIf that is meant, run scripts/update-layout and commit its result with a line in "
                        "CHANGELOG.md (ABI):\nwhile ABI 1.0 is a candidate every change is allowed; after the "
                        "freeze only additions are.")
    return lines, problems


HEADER = """
#ifndef F
#define F
#include <stdint.h>
#define FLAGOS_API
#define FLAGOS_N 3
#define FLAGOS_ADD(a, b) \\
  ((a) + (b))
#ifdef __cplusplus
extern "C" {
#endif
typedef int32_t flagos_kind_t; /* a kind; { */
enum { FLAGOS_KIND_A = 0, /* , */ FLAGOS_KIND_B = 1 << 4 };
typedef struct flagos_x_t flagos_x_t;
typedef struct flagos_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_kind_t (*create)(flagos_x_t* x, const char* (*name)(int, char),
                          uint64_t* out_y);
  uint8_t bytes[2][4];
  union {
    uint64_t u;
    double d;
  } value;
} flagos_table_t;
FLAGOS_API flagos_kind_t flagos_get(const flagos_table_t* table,
                                    uint32_t index);
#ifdef __cplusplus
}
#endif
#endif
"""


def self_test(compiler):
    # Each edit changes something that a binary would notice (or that a caller would).
    edits = {
        "member moved": ("uint32_t struct_size;\n  uint32_t group_version;",
                         "uint32_t group_version;\n  uint32_t struct_size;"),
        "member retyped, same size": ("uint32_t group_version", "int32_t group_version"),
        "slot retyped": ("uint64_t* out_y", "uint32_t* out_y"),
        "array grown": ("bytes[2][4]", "bytes[4][4]"),
        "union member gone": ("    double d;\n", ""),
        "constant changed": ("1 << 4", "1 << 5"),
        "constant gone": (", /* , */ FLAGOS_KIND_B = 1 << 4", ""),
        "type widened": ("int32_t flagos_kind_t", "int64_t flagos_kind_t"),
        "macro changed": ("FLAGOS_N 3", "FLAGOS_N 4"),
        "function changed": ("uint32_t index", "uint64_t index"),
        "hole": ("uint32_t group_version;", ""),
        "tail padding": ("  } value;\n", "  } value;\n  uint32_t last;\n"),
    }
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        abi = pathlib.Path(folder)
        golden = abi / "golden.txt"

        def problems_of(text):
            (abi / "flagos.h").write_text(text)
            return check(abi, compiler, golden)

        (abi / "flagos.h").write_text(HEADER)
        golden.write_text("\n".join(describe(abi, compiler)[0]) + "\n")
        if problems_of(HEADER)[1]:
            failures.append(f"the same header: unexpected: {problems_of(HEADER)[1]}")
        for what, (old, new) in edits.items():
            assert old in HEADER, what
            problems = problems_of(HEADER.replace(old, new))[1]
            if not problems:
                failures.append(f"planted, not seen: {what}")
            if what in ("hole", "tail padding") and not any("unnamed" in p for p in problems):
                failures.append(f"not named: {what}")
        for strange in ("uint32_t a, b;", "uint32_t a : 3;"):
            try:
                problems_of(HEADER.replace("uint32_t struct_size;", strange))
                failures.append(f"understood what it cannot: {strange}")
            except ParseError:
                pass
    return failures, len(edits)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--abi", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent.parent / "abi")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("mode", choices=["check", "print", "self-test"])
    parser.add_argument("golden", nargs="?", type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        if arguments.mode == "self-test":
            problems, planted = self_test(arguments.cc)
            done = f"{planted} planted changes were seen"
        elif arguments.mode == "print":
            lines, problems = describe(arguments.abi, arguments.cc)
            print("\n".join(lines))
            done = ""
        elif not arguments.golden:
            parser.error("check needs GOLDEN")
        else:
            lines, problems = check(arguments.abi, arguments.cc, arguments.golden)
            done = f"{len(lines)} lines as in {arguments.golden.name}"
    except ParseError as error:
        problems, done = [str(error)], ""
    for line in problems:
        print(f"layout: {line}", file=sys.stderr)
    if not problems and done:
        print(f"layout: {done}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
