#!/usr/bin/env python3
"""Fails when the files of a folder have more lines together than they may.

usage: count_lines.py FOLDER LIMIT
"""
import pathlib
import sys


def main():
    folder, limit = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    lines = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in folder.iterdir() if p.is_file()}
    total = sum(lines.values())
    print(f"{folder.name}: {len(lines)} files, {total} lines, at most {limit}")
    return 0 if lines and total <= limit else 1


if __name__ == "__main__":
    sys.exit(main())
