#!/usr/bin/env python3
"""Whether every line that no test reaches is explained, and enough lines are reached.

usage: uncovered.py --coverage FILE --reasons FILE [--root DIR] [--at-least PERCENT] [--write]
       uncovered.py --self-test

--coverage is what `gcovr --json` wrote. --reasons names each line that is not reached by its text, so that it survives a move:

    core/loader.cpp
    - the folder would have to vanish between two system calls
        return Verdict::gone;
        }
    - sometimes: only when two threads meet here
        retry();

A line that is not reached and stands in no entry is an error, and so is an entry without such a line. A text that is not
reached in several places has as many entries. Lines under "sometimes:" may be reached or not.
--write adds what has no reason to FILE, with the reason "?", which is an error until somebody has written one.
"""
import argparse
import collections
import json
import pathlib
import sys
import tempfile

SOMETIMES = "sometimes:"
SHORTEST_REASON = 12
# A line without a word says nothing: it goes with the one before it.
Entry = collections.namedtuple("Entry", "file reason text line")


class Malformed(Exception):
    pass


def read_reasons(path):
    """The entries of a file of reasons, in its order."""
    entries, file, reason = [], None, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}:{number}"
        if line.startswith("    "):
            if reason is None:
                raise Malformed(f"{where}: a line of code without a reason before it")
            entries.append(Entry(file, reason, line.strip(), number))
        elif line.startswith("- "):
            if file is None:
                raise Malformed(f"{where}: a reason without a file before it")
            reason = line[2:].strip()
            if len(reason) < SHORTEST_REASON:
                raise Malformed(f"{where}: '{reason}' is no reason; write a sentence")
        else:
            file, reason = line.strip(), None
    return entries


def read_lines(coverage):
    """file -> {line number: (count, branches taken, branches)}"""
    files = {}
    for entry in coverage["files"]:
        lines = {}
        for line in entry["lines"]:
            if line.get("gcovr/noncode") or line.get("gcovr/excluded"):
                continue
            branches = [b for b in line.get("branches", []) if not b.get("throw")]
            taken = sum(1 for b in branches if b["count"] > 0)
            lines[line["line_number"]] = (line["count"], taken, len(branches))
        files[entry["file"]] = lines
    return files


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def summary(files):
    """The table by file, and the share of lines that are reached."""
    rows, total = [], [0, 0, 0, 0]
    for file, lines in sorted(files.items()):
        counts = [sum(1 for count, _, _ in lines.values() if count > 0), len(lines),
                  sum(taken for _, taken, _ in lines.values()), sum(number for _, _, number in lines.values())]
        rows.append((file, counts))
        total = [a + b for a, b in zip(total, counts)]
    text = [f"{'file':36} {'lines':>6} {'reached':>8} {'branches':>9} {'taken':>7}"]
    for file, (reached, lines, taken, branches) in rows + [("all", total)]:
        text.append(f"{file:36} {lines:6} {percent(reached, lines):7.1f}% {branches:9} {percent(taken, branches):6.1f}%")
    return text, percent(total[0], total[1])


def texts_of(root, file):
    return [line.strip() for line in (root / file).read_text().splitlines()]


def compare(root, files, entries):
    """(errors, [(file, line number, text)] without a reason)"""
    errors, unexplained = [], []
    wanted = collections.defaultdict(list)  # (file, text) -> entries that are left
    for entry in entries:
        if entry.file not in files:
            errors.append(f"reasons:{entry.line}: {entry.file} is not among the files that were counted")
            continue
        wanted[entry.file, entry.text].append(entry)
    for file, lines in sorted(files.items()):
        texts = texts_of(root, file)
        for number, (count, _, _) in sorted(lines.items()):
            if count > 0:
                continue
            text = texts[number - 1]
            left = wanted[file, text]
            if not left:
                unexplained.append((file, number, text))
            else:
                # Certain ones first: what happens only sometimes may be left over.
                left.sort(key=lambda entry: entry.reason.startswith(SOMETIMES))
                left.pop(0)
        for (of, text), left in wanted.items():
            if of != file:
                continue
            for entry in left:
                if not entry.reason.startswith(SOMETIMES):
                    errors.append(f"reasons:{entry.line}: {file} has no unreached line '{text}'; take the entry out")
                elif text not in texts:
                    errors.append(f"reasons:{entry.line}: {file} has no line '{text}'; take the entry out")
    return errors, unexplained


def write_unexplained(path, unexplained):
    with path.open("a") as out:
        before, last = None, None
        for file, number, text in unexplained:
            if file != before:
                out.write(f"\n{file}\n")
            if file != before or number > last + 2:
                out.write("- ?\n")
            out.write(f"    {text}\n")
            before, last = file, number


def check(root, coverage, reasons, at_least, write=False):
    """The number of errors; prints them."""
    files = read_lines(coverage)
    if not files:
        print("uncovered: error: no file was counted")
        return 1
    text, share = summary(files)
    print("\n".join(text))
    try:
        entries = read_reasons(reasons)
    except Malformed as malformed:
        print(f"uncovered: error: {malformed}")
        return 1
    errors, unexplained = compare(root, files, entries)
    if write:
        write_unexplained(reasons, unexplained)
    errors += [f"{file}:{number}: no test reaches '{text}', and no reason says why" for file, number, text in unexplained]
    if share < at_least:
        errors.append(f"{share:.2f} % of the lines are reached, {at_least} % are wanted")
    for error in errors:
        print(f"uncovered: error: {error}")
    if not errors:
        print(f"uncovered: {share:.2f} % of the lines are reached; each of the others has its reason")
    return len(errors)


def self_test():
    """Each kind of mistake in a small tree must be found, and the tree without one must pass."""
    source = "int f(int x) {\n  if (x)\n    return 1;\n  meet();\n  return 0;\n}\nvoid g() {\n    return 1;\n}\n"
    counts = {1: 5, 2: 5, 3: 0, 4: 0, 5: 5, 7: 1, 8: 1}
    good = "# why\ncore/a.cpp\n- nobody can make x true\n    return 1;\n- sometimes: threads have to meet\n    meet();\n"

    def errors(reasons=good, at_least=50, **changed):
        lines = counts | {int(name[1:]): count for name, count in changed.items()}
        coverage = {"files": [{"file": "core/a.cpp", "lines": [
            {"line_number": number, "count": count, "branches": [{"count": count}]} for number, count in lines.items()]}]}
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "core").mkdir()
            (root / "core/a.cpp").write_text(source)
            (root / "reasons").write_text(reasons)
            return check(root, coverage, root / "reasons", at_least)

    expected = [
        (errors(), 0, "all is explained"),
        (errors(l4=3), 0, "what happens only sometimes may happen"),
        (errors(l5=0), 1, "a line without a reason"),
        (errors(l8=0), 1, "the same text a second time"),
        (errors(l3=7), 1, "a reason for a line that is reached"),
        (errors(good + "    return 2;\n"), 1, "a line that is not there"),
        (errors(good + "core/b.cpp\n- it is elsewhere\n    x();\n"), 1, "a file that was not counted"),
        (errors(good.replace("nobody can make x true", "?")), 1, "an entry that nobody has explained"),
        (errors("    return 1;\n"), 1, "a line before any reason"),
        (errors(at_least=95), 1, "too few lines"),
    ]
    failed = [what for found, wanted, what in expected if found != wanted]
    for what in failed:
        print(f"uncovered: self-test failed: {what}")
    print(f"uncovered: self-test: {len(expected) - len(failed)} of {len(expected)}")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coverage", type=pathlib.Path)
    parser.add_argument("--reasons", type=pathlib.Path)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--at-least", type=float, default=95)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    if arguments.coverage is None or arguments.reasons is None:
        parser.error("--coverage and --reasons are needed")
    try:
        coverage = json.loads(arguments.coverage.read_text())
        return 1 if check(arguments.root, coverage, arguments.reasons, arguments.at_least, arguments.write) else 0
    except (OSError, ValueError, KeyError) as problem:
        print(f"uncovered: error: {problem}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
