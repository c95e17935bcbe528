#!/usr/bin/env python3
"""The headers as each minor of the ABI had them, and the guard that a change to one raises the minor.

usage: history.py check | history.py write | history.py self-test
       [--abi DIR] [--history DIR]

HISTORY/<major.minor>/include holds the headers without comments, HISTORY/<major.minor>/state says `candidate` or
`released`. What counts is what a compiler sees: comments and white space may change at any time.
"""
import argparse
import difflib
import pathlib
import re
import sys
import tempfile

VERSION = re.compile(r"^#define FLAGOS_ABI_(MAJOR|MINOR) (\d+)$", re.MULTILINE)
NOT_CODE = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.DOTALL)


class HistoryError(Exception):
    pass


def without_comments(text):
    """The text with comments gone, strings kept, and without the blank lines that are left."""
    text = NOT_CODE.sub(lambda m: m.group() if m.group().startswith('"') else " ", text)
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(line for line in lines if line) + "\n"


def tokens(text):
    """What a compiler sees: tokens of declarations, and one line for each directive."""
    found = []
    for line in without_comments(text).replace("\\\n", " ").splitlines():
        words = re.findall(r'"(?:\\.|[^"\\])*"|\w+|[^\w\s]', line)
        if line.lstrip().startswith("#"):
            found.append("".join(word if not word.isidentifier() else f" {word} " for word in words))
        else:
            found += words
    return found


def statements(text):
    """The tokens, put together again up to each `;` and brace, for a difference that a person can read."""
    lines, current = [], []
    for token in tokens(text):
        if token.startswith("#") and not current:
            lines.append(token)
            continue
        current.append(token)
        if token in ";{}":
            lines.append(" ".join(current))
            current = []
    return lines + ([" ".join(current)] if current else [])


def version_of(abi):
    found = dict(VERSION.findall((abi / "flagos.h").read_text(encoding="utf-8")))
    if set(found) != {"MAJOR", "MINOR"}:
        raise HistoryError(f"{abi / 'flagos.h'} does not define FLAGOS_ABI_MAJOR and FLAGOS_ABI_MINOR")
    return f"{found['MAJOR']}.{found['MINOR']}"


def headers_in(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.h"))}


def state_of(folder):
    path = folder / "state"
    state = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if state not in ("candidate", "released"):
        raise HistoryError(f"{path} says '{state}', neither candidate nor released")
    return state


def key(version):
    return tuple(map(int, version.split(".")))


def stored_versions(history):
    names = [path.name for path in history.iterdir() if re.fullmatch(r"\d+\.\d+", path.name)] if history.is_dir() else []
    return sorted(names, key=key)


def difference(name, old, new):
    lines = difflib.unified_diff(statements(old), statements(new), f"stored {name}", f"abi/{name}", lineterm="", n=0)
    return "\n".join(list(lines)[:40])


def changes(abi, folder):
    """What a compiler sees of the headers that it does not see of the stored ones."""
    now, then = headers_in(abi), headers_in(folder / "include")
    found = [f"{name} is new" for name in now if name not in then]
    found += [f"{name} is gone" for name in then if name not in now]
    found += [difference(name, then[name], now[name])
              for name in now if name in then and tokens(now[name]) != tokens(then[name])]
    return found


def check(abi, history):
    version = version_of(abi)
    stored = stored_versions(history)
    problems = []
    if version not in stored:
        return [f"there are no stored headers of ABI {version}; run scripts/update-layout"]
    for other in stored:
        if key(other) > key(version):
            problems.append(f"headers of ABI {other} are stored and FLAGOS_ABI_MINOR says {version}; minors only grow")
        if other != version and state_of(history / other) != "released":
            problems.append(f"ABI {other} came before {version}: its state must be released")
        if not headers_in(history / other / "include"):
            problems.append(f"the headers of ABI {other} are gone from {history}")
    found = changes(abi, history / version)
    if found and state_of(history / version) == "released":
        problems.append(f"the headers have changed since ABI {version} was released, and FLAGOS_ABI_MINOR was not raised:\n"
                        + "\n".join(found) + "\nRaise FLAGOS_ABI_MINOR in abi/flagos.h, then run scripts/update-layout.")
    elif found:
        problems.append(f"the headers differ from those stored of ABI {version}:\n" + "\n".join(found) +
                        "\nWhile it is a candidate that is allowed: run scripts/update-layout, and write a line in "
                        "CHANGELOG.md (ABI).")
    return problems


def write(abi, history):
    version = version_of(abi)
    folder = history / version
    if (folder / "state").is_file() and state_of(folder) == "released":
        if changes(abi, folder):
            raise HistoryError(f"ABI {version} is released; its headers stay as they are. Raise FLAGOS_ABI_MINOR first")
        return []
    include = folder / "include"
    include.mkdir(parents=True, exist_ok=True)
    for old in include.glob("*.h"):
        old.unlink()
    written = []
    for name, text in headers_in(abi).items():
        note = f"/* {name} of ABI {version} without its comments; written by scripts/update-layout. Apache-2.0 */\n"
        (include / name).write_text(note + without_comments(text), encoding="utf-8")
        written.append(include / name)
    if not (folder / "state").is_file():
        (folder / "state").write_text("candidate\n", encoding="utf-8")
    return written


HEADER = """/* A header. */
#define FLAGOS_ABI_MAJOR 1
#define FLAGOS_ABI_MINOR 0
#define FLAGOS_TEXT "no /* comment */"
typedef struct flagos_x_t {
  int a; /* first */
  long b;
} flagos_x_t;
int flagos_get(const flagos_x_t* x);
"""


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as name:
        abi, history = pathlib.Path(name) / "abi", pathlib.Path(name) / "history"
        abi.mkdir()
        history.mkdir()

        def put(text):
            (abi / "flagos.h").write_text(text)

        def expect(what, words):
            problems = " ".join(check(abi, history))
            if bool(problems) != bool(words) or any(word not in problems for word in words):
                failures.append(f"{what}: expected {words or 'nothing'}, found: {problems or 'nothing'}")

        put(HEADER)
        expect("nothing stored", ["no stored headers of ABI 1.0"])
        write(abi, history)
        expect("the same", [])
        put(HEADER.replace("/* first */", "// the first,\n    // of two"))
        expect("another comment", [])
        put(HEADER.replace("int a;", "int   a ;"))
        expect("other white space", [])
        changed = {
            "member added": HEADER.replace("  long b;", "  long b;\n  int c;"),
            "member retyped": HEADER.replace("long b", "short b"),
            "constant changed": HEADER.replace('"no /* comment */"', '"no /* other */"'),
            "function gone": HEADER.replace("int flagos_get(const flagos_x_t* x);\n", ""),
            "name changed": HEADER.replace("int a;", "int first;"),
        }
        for state, words in (("candidate", ["is a candidate"]), ("released", ["was released", "Raise FLAGOS_ABI_MINOR"])):
            (history / "1.0" / "state").write_text(state + "\n")
            for what, text in changed.items():
                put(text)
                expect(f"{what}, {state}", words)
        (abi / "flagos_more.h").write_text("int more;\n")
        put(HEADER)
        expect("a header added", ["flagos_more.h is new"])
        (abi / "flagos_more.h").unlink()
        put(changed["member added"])
        try:
            write(abi, history)
            failures.append("released headers were written over")
        except HistoryError:
            pass
        put(changed["member added"].replace("MINOR 0", "MINOR 1"))
        expect("raised, not stored", ["no stored headers of ABI 1.1"])
        write(abi, history)
        expect("raised and stored", [])
        (history / "1.0" / "state").write_text("candidate\n")
        expect("an old candidate", ["ABI 1.0 came before 1.1"])
        (history / "1.0" / "state").write_text("released\n")
        put(HEADER)
        expect("the minor lowered", ["minors only grow"])
        (history / "1.0" / "include" / "flagos.h").unlink()
        put(changed["member added"].replace("MINOR 0", "MINOR 1"))
        expect("old headers gone", ["headers of ABI 1.0 are gone"])
    return failures


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--abi", type=pathlib.Path, default=here.parent.parent / "abi")
    parser.add_argument("--history", type=pathlib.Path, default=here)
    parser.add_argument("mode", choices=["check", "write", "self-test"])
    arguments = parser.parse_args()
    try:
        if arguments.mode == "self-test":
            problems, done = self_test(), "every planted change was seen"
        elif arguments.mode == "write":
            problems, done = [], "\n".join(map(str, write(arguments.abi, arguments.history)))
        else:
            problems = check(arguments.abi, arguments.history)
            done = f"the headers are those of ABI {version_of(arguments.abi)}"
    except (HistoryError, OSError) as error:
        problems, done = [str(error)], ""
    for line in problems:
        print(f"history: {line}", file=sys.stderr)
    if not problems and done:
        print(done if arguments.mode == "write" else f"history: {done}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
