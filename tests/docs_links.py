#!/usr/bin/env python3
"""Relative links in the documents lead somewhere, and to a heading that is there.

usage: docs_links.py [--root DIR] [--self-test]
"""
import argparse
import pathlib
import re
import sys
import tempfile
import urllib.parse

SKIPPED = {".git", "build", "install", "node_modules"}
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\s*\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)")
SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def prose_lines(text):
    """(number, line) outside of code fences, without inline code."""
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        marker = re.match(r"^\s*(```+|~~~+)", line)
        if marker:
            fence = None if fence and marker.group(1).startswith(fence) else fence or marker.group(1)
        elif not fence:
            yield number, re.sub(r"`[^`]*`", "``", line)


def anchors(path):
    found = set()
    fence = False
    for line in path.read_text(encoding="utf-8").splitlines():
        fence ^= line.lstrip().startswith("```")
        heading = None if fence else re.match(r"^#{1,6}\s+(.*?)\s*#*$", line)
        if heading:
            text = re.sub(r"[^\w\- ]", "", heading.group(1).lower())
            slug = text.replace(" ", "-")
            name, repeat = slug, 0
            while name in found:
                repeat += 1
                name = f"{slug}-{repeat}"
            found.add(name)
        found.update(re.findall(r'<a (?:id|name)="([^"]+)"', line))
    return found


def check_link(root, path, target):
    """A sentence if the link is broken, else None."""
    if SCHEME.match(target):
        return None
    name, _, fragment = urllib.parse.unquote(target).partition("#")
    linked = path if not name else (root / name[1:] if name.startswith("/") else path.parent / name)
    if not linked.exists():
        return f"{target} does not exist"
    if root not in linked.resolve().parents and linked.resolve() != root:
        return f"{target} leaves the tree"
    if fragment and linked.suffix == ".md" and fragment.lower() not in anchors(linked):
        return f"{target}: no such heading"
    return None


def check(root):
    violations, count = [], 0
    for path in sorted(root.rglob("*.md")):
        if SKIPPED & set(path.relative_to(root).parts):
            continue
        count += 1
        for number, line in prose_lines(path.read_text(encoding="utf-8")):
            for target in LINK.findall(line) + REFERENCE.findall(line):
                problem = check_link(root, path, target)
                if problem:
                    violations.append(f"{path.relative_to(root)}:{number}: {problem}")
    return violations, count


def self_test():
    good = "# A head, line\n[a](b.md) [c](#a-head-line) [w](https://example.org/x) `[n](no.md)`\n"
    bad = {"[a](missing.md)": "file", "[a](b.md#nothing)": "heading", "[a](../../../../x)": "outside",
           "![i](no.png)": "image", "[r]: nowhere.md": "reference", "[a](#nothing)": "own heading"}
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        (root / "b.md").write_text("# B\n```\n[x](in-code.md)\n```\n", encoding="utf-8")
        page = root / "a.md"
        page.write_text(good, encoding="utf-8")
        failures += [f"clean page: unexpected: {line}" for line in check(root)[0]]
        for text, what in bad.items():
            page.write_text(good + text + "\n", encoding="utf-8")
            if len(check(root)[0]) != 1:
                failures.append(f"planted a broken {what} link, not seen: {text}")
    return failures, len(bad)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        problems, planted = self_test()
        done = f"{planted} planted broken links were seen"
    else:
        problems, count = check(arguments.root.resolve())
        if count == 0:
            problems = [f"no document below {arguments.root}"]
        done = f"the links of {count} documents lead somewhere"
    for line in problems:
        print(f"docs_links: {line}", file=sys.stderr)
    if not problems:
        print(f"docs_links: {done}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
