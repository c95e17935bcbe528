#!/usr/bin/env python3
"""Shows broken plugins to the API and to `flagos doctor`, and judges verdicts and sentences.

usage: broken_plugins.py PART --zoo DIR --loader PROGRAM --flagos PROGRAM
PART is files, plugins, manifests, permissions, search or doctor.

Plugins that crash, hang or exit would by their nature take a process that loads them along: they are shown to
`flagos doctor` only, which probes each in a process of its own.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

VERDICTS = ["loaded", "missing", "permissions", "manifest", "not_a_library", "load_failed", "no_entry", "version",
            "bad_table", "open_failed", "duplicate", "crashed"]

# Plugins that can be loaded in-process: verdict, and words of the reason.
JUDGED = {
    "no_symbol": ("no_entry", ["flagos_plugin_open"]),
    "undefined_symbol": ("load_failed", ["flagos_test_symbol_that_is_nowhere"]),
    "missing_library": ("load_failed", ["libno_such_vendor_driver.so"]),
    "wrong_major": ("version", ["2.0", "2.3", "1.0"]),
    "answers_major_2": ("version", ["2.0"]),
    "answers_version_0": ("version", ["0.0"]),
    "short_root": ("bad_table", ["64"]),
    "short_group": ("bad_table", ["memory"]),
    "empty_group": ("bad_table", ["stream"]),
    "null_slot": ("bad_table", ["memory", "copy"]),
    "null_device_slot": ("bad_table", ["device", "get_info"]),
    "null_group": ("bad_table", ["kernel"]),
    "null_close": ("bad_table", ["close"]),
    "null_name": ("bad_table", ["name"]),
    "bad_name": ("bad_table", ["name"]),
    "long_name": ("bad_table", ["name", "63 bytes"]),
    "count_huge": ("bad_table", ["2147483648"]),
    "count_fails": ("open_failed", ["get_count"]),
    "info_fails": ("open_failed", ["get_info"]),
    "alignment_3": ("bad_table", ["allocation_alignment", "3"]),
    "name_unterminated": ("bad_table", ["string"]),
    "allocation_over_memory": ("bad_table", ["max_allocation_bytes", "1048577"]),
    "no_units": ("bad_table", ["compute_units"]),
    "uuid_zero": ("bad_table", ["uuid"]),
    "arguments_short": ("bad_table", ["max_argument_bytes", "100"]),
    "error_open": ("open_failed", ["the driver of this test is not there"]),
    "error_silent": ("bad_table", ["unknown status"]),
    "throwing": ("open_failed", ["thrown out of flagos_plugin_open"]),
}

# Plugins that only a child process survives: what doctor says.
FATAL = {
    "crash_constructor": "SIGSEGV while the plugin was being opened",
    "hang_constructor": "did not answer within 5 s while the plugin was being opened",
    "exit_constructor": "exited with code 0 while the plugin was being opened",
    "crash_open": "SIGSEGV while the plugin was being opened",
    "abort_open": "SIGABRT while the plugin was being opened",
    "hang_open": "did not answer within 5 s while the plugin was being opened",
    "exit_open": "exited with code 0 while the plugin was being opened",
    "crash_close": "SIGSEGV while the plugin was being closed",
    "hang_close": "did not answer within 5 s while the plugin was being closed",
    "exit_close": "exited with code 0 while the plugin was being closed",
}


class Judge:
    def __init__(self, arguments, folder):
        self.zoo = pathlib.Path(arguments.zoo)
        self.loader = arguments.loader
        self.flagos = arguments.flagos
        self.folder = folder
        self.failures = []
        self.checks = 0

    def expect(self, condition, what):
        self.checks += 1
        if not condition:
            self.failures.append(what)

    def plugin(self, name):
        return self.zoo / f"libflagos_plugin_{name}.so"

    def environment(self, extra):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FLAGOS_")}
        # No folder of this machine's user takes part.
        return {**kept, "XDG_DATA_HOME": str(self.folder / "no_data"), "FLAGOS_LOG_LEVEL": "off", **extra}

    def load(self, what, *arguments, **environment):
        done = subprocess.run([self.loader, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              env=self.environment(environment))
        self.expect(done.returncode == 0, f"{what}: the process ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def doctor(self, *arguments, **environment):
        return subprocess.run([self.flagos, "doctor", *map(str, arguments)], capture_output=True, text=True,
                              timeout=120, env=self.environment(environment))

    def doctor_reports(self, what, *paths, **environment):
        done = self.doctor("--json", *paths, **environment)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            self.expect(False, f"{what}: doctor printed no JSON: {done.stdout!r} {done.stderr!r}")
            return done.returncode, {"plugins": [], "usable_devices": -1}

    def expect_sentence(self, what, reason, path, words):
        self.expect(str(path) in reason, f"{what}: the file is not named in: {reason}")
        self.expect(reason.isprintable(), f"{what}: not printable: {reason!r}")
        for word in words:
            self.expect(word in reason, f"{what}: '{word}' is not in: {reason}")

    # A file between two good plugins: verdict and reason through the API, the others load.
    def expect_refused(self, what, path, verdict, words=()):
        good, other = self.plugin("good"), self.plugin("other")
        result = self.load(what, "add", good, path, other)
        if result is None:
            return
        self.expect([a["status"] for a in result["add"]] ==
                    ["FLAGOS_STATUS_OK", "FLAGOS_STATUS_PLUGIN_REJECTED", "FLAGOS_STATUS_OK"],
                    f"{what}: {result['add']}")
        found = [VERDICTS[c["verdict"]] for c in result["candidates"]]
        self.expect(found == ["loaded", verdict, "loaded"], f"{what}: verdicts {found}, expected {verdict}")
        refused = result["candidates"][1]
        self.expect_sentence(what, refused["reason"], path, words)
        self.expect(result["add"][1]["text"] == refused["reason"], f"{what}: the error text is not the reason")
        self.expect(refused["device_count"] == 0 and refused["abi_version"] == 0, f"{what}: {refused}")
        self.expect(len(result["devices"]) == 2, f"{what}: the others' devices: {result['devices']}")
        self.expect(result["destroy"] == "FLAGOS_STATUS_OK", f"{what}: destroy: {result['destroy']}")
        self.expect_doctor(what, path, verdict)

    def expect_doctor(self, what, path, verdict):
        code, report = self.doctor_reports(what, path)
        found = [p["verdict"] for p in report["plugins"]]
        self.expect(code == 1 and found == [verdict], f"{what}: doctor exits {code}, {report['plugins']}")
        for plugin in report["plugins"]:
            self.expect(plugin["advice"] != "", f"{what}: doctor has no advice")

    def expect_loaded(self, what, path):
        result = self.load(what, "add", path)
        found = result and [VERDICTS[c["verdict"]] for c in result["candidates"]]
        self.expect(found == ["loaded"], f"{what}: {result and result['candidates']}")


def fresh(folder, name):
    path = folder / name
    path.mkdir()
    return path


def test_files(judge):
    folder = fresh(judge.folder, "files")
    whole = judge.plugin("good").read_bytes()

    def variant(name, data, words=()):
        path = folder / f"libflagos_plugin_{name}.so"
        path.write_bytes(data)
        judge.expect_refused(name, path, "not_a_library", words)

    judge.expect_refused("missing", folder / "libflagos_plugin_missing.so", "missing")
    judge.expect_refused("missing folder", folder / "nowhere" / "x.so", "missing")
    judge.expect_refused("folder", folder, "not_a_library", ["regular file"])
    fifo = folder / "libflagos_plugin_fifo.so"
    os.mkfifo(fifo)
    judge.expect_refused("fifo", fifo, "not_a_library", ["regular file"])
    link = folder / "libflagos_plugin_loop.so"
    link.symlink_to(link)
    judge.expect_refused("link to itself", link, "missing")
    variant("empty", b"", ["empty"])
    variant("text", b"#!/bin/sh\necho I am no library\n")
    variant("magic_only", b"\x7fELF")
    for cut in [1, 16, 63, 64, 100, *range(len(whole) // 12, len(whole), len(whole) // 12), len(whole) - 1]:
        variant(f"cut_{cut}", whole[:cut])
    foreign = bytearray(whole)
    machine = struct.unpack_from("<H", whole, 18)[0]
    struct.pack_into("<H", foreign, 18, 183 if machine != 183 else 62)  # aarch64, x86-64
    variant("other_machine", bytes(foreign), ["machine"])
    for name, offset, value in [("class_32", 4, 1), ("big_endian", 5, 2), ("relocatable", 16, 1), ("program", 16, 2)]:
        changed = bytearray(whole)
        changed[offset] = value
        variant(name, bytes(changed))
    changed = bytearray(whole)
    struct.pack_into("<Q", changed, 32, 1 << 62)  # e_phoff
    variant("segments_far_away", bytes(changed))
    judge.expect_loaded("the whole file", judge.plugin("good"))


def test_plugins(judge):
    for name, (verdict, words) in JUDGED.items():
        judge.expect_refused(name, judge.plugin(name), verdict, words)
    good = judge.plugin("good")
    result = judge.load("the same file twice", "add", good, good)
    verdicts = [VERDICTS[c["verdict"]] for c in result["candidates"]]
    judge.expect(verdicts == ["loaded", "duplicate"], f"the same file twice: {verdicts}")
    copy = fresh(judge.folder, "copy") / good.name
    shutil.copy(good, copy)
    result = judge.load("the same name twice", "add", good, copy)
    verdicts = [VERDICTS[c["verdict"]] for c in result["candidates"]]
    judge.expect(verdicts == ["loaded", "duplicate"], f"the same name twice: {verdicts}")
    judge.expect_sentence("the same name twice", result["candidates"][1]["reason"], copy, ["good"])
    test_lying_memory(judge)


# Its properties are fine, so it loads; the lie comes out when it is asked.
def test_lying_memory(judge):
    result = judge.load("free over total", "add", judge.plugin("free_over_total"))
    device = result["devices"][0]
    honest = device["status"] == "FLAGOS_STATUS_OK" and device["free_bytes"] <= device["total_bytes"]
    refused = device["status"] == "FLAGOS_STATUS_PLUGIN_PROTOCOL" and device["free_bytes"] == 0
    judge.expect(honest or refused, f"free over total came through: {device}")


MANIFEST = {"manifest_version": 1, "name": "good", "file": "libflagos_plugin_good.so", "vendor": "flagos tests",
            "version": "1", "abi_version_min": "1.0", "abi_version_max": "1.0", "families": [], "formats": [],
            "levels": []}


def test_manifests(judge):
    cases = {
        # name: (text of the manifest, verdict, words)
        "whole": (json.dumps(MANIFEST), "loaded", []),
        "not_json": ("{ this is no JSON", "manifest", ["JSON"]),
        "empty": ("", "manifest", ["JSON"]),
        "nul_bytes": ("\0" * 100, "manifest", ["JSON"]),
        "list": ("[]", "manifest", ["object"]),
        "deep": ("[" * 100000, "manifest", ["deep"]),
        "deep_objects": ('{"a":' * 5000 + "1" + "}" * 5000, "manifest", ["deep"]),
        "huge": (json.dumps({**MANIFEST, "vendor": "x" * 200000}), "manifest", ["larger"]),
        "long_text": (json.dumps({**MANIFEST, "vendor": "x" * 5000}), "manifest", ["vendor"]),
        "other_file": (json.dumps({**MANIFEST, "file": "libother.so"}), "manifest", ["libother.so"]),
        "path_upwards": (json.dumps({**MANIFEST, "file": "../libflagos_plugin_good.so"}), "manifest", [".."]),
        "absolute_path": (json.dumps({**MANIFEST, "file": "/tmp/libflagos_plugin_good.so"}), "manifest", ["/tmp"]),
        "other_name": (json.dumps({**MANIFEST, "name": "better"}), "manifest", ["better"]),
        "future_manifest": (json.dumps({**MANIFEST, "manifest_version": 2}), "manifest", ["manifest_version"]),
        "no_name": (json.dumps({k: v for k, v in MANIFEST.items() if k != "name"}), "manifest", ["name"]),
        "name_a_number": (json.dumps({**MANIFEST, "name": 7}), "manifest", ["name"]),
        "name_twice": (json.dumps(MANIFEST)[:-1] + ', "name": "good"}', "manifest", ["name", "twice"]),
        "version_garbage": (json.dumps({**MANIFEST, "abi_version_min": "one"}), "manifest", ["abi_version_min"]),
        "version_huge": (json.dumps({**MANIFEST, "abi_version_max": "1.99999999"}), "manifest", ["abi_version_max"]),
        "abi_2": (json.dumps({**MANIFEST, "abi_version_min": "2.0", "abi_version_max": "2.1"}), "version", ["2.0"]),
        "abi_0": (json.dumps({**MANIFEST, "abi_version_min": "0.1", "abi_version_max": "0.9"}), "version", ["0.9"]),
        "sha256_wrong": (json.dumps({**MANIFEST, "sha256": "0" * 64}), "manifest", ["SHA-256"]),
        "escapes": ('{"manifest_version": 1, "name": "\\u001b[2J"}', "manifest", []),
    }
    # Its constructor crashes: a manifest that is refused keeps that code from running at all.
    trap = judge.plugin("crash_constructor")
    for name, (text, verdict, words) in cases.items():
        folder = fresh(judge.folder, f"manifest_{name}")
        path = folder / "libflagos_plugin_good.so"
        shutil.copy(judge.plugin("good") if verdict == "loaded" or name == "other_name" else trap, path)
        path.with_suffix(".json").write_text(text)
        if verdict == "loaded":
            judge.expect_loaded(name, path)
            continue
        result = judge.load(name, "add", judge.plugin("other"), path)
        found = result and [VERDICTS[c["verdict"]] for c in result["candidates"]]
        judge.expect(found == ["loaded", verdict], f"manifest {name}: {found}, expected {verdict}")
        if result:
            judge.expect_sentence(name, result["candidates"][1]["reason"], path, words)
    folder = fresh(judge.folder, "manifest_duplicate")
    path = folder / "libflagos_plugin_good.so"
    shutil.copy(trap, path)
    path.with_suffix(".json").write_text(json.dumps(MANIFEST))
    result = judge.load("duplicate by manifest", "add", judge.plugin("good"), path)
    found = result and [VERDICTS[c["verdict"]] for c in result["candidates"]]
    judge.expect(found == ["loaded", "duplicate"], f"duplicate by manifest: {found}")


def test_permissions(judge):
    def placed(name, folder_mode, file_mode, inner=""):
        folder = fresh(judge.folder, name)
        (folder / inner).mkdir(exist_ok=True)
        path = folder / inner / "libflagos_plugin_good.so"
        shutil.copy(judge.plugin("good"), path)
        path.chmod(file_mode)
        folder.chmod(folder_mode)
        return path

    judge.expect_loaded("tight", placed("tight", 0o700, 0o600))
    judge.expect_loaded("usual", placed("usual", 0o755, 0o755))
    # Plugins in folders below keep the name of the good one: the neighbours of expect_refused must differ.
    for name, folder_mode, file_mode, inner in [("file_others", 0o755, 0o666, ""), ("folder_others", 0o777, 0o644, ""),
                                                ("folder_above", 0o777, 0o644, "inner"),
                                                ("folder_sticky_of_us", 0o757, 0o644, "")]:
        path = placed(name, folder_mode, file_mode, inner)
        result = judge.load(name, "add", judge.plugin("other"), path)
        found = result and [VERDICTS[c["verdict"]] for c in result["candidates"]]
        judge.expect(found == ["loaded", "permissions"], f"{name}: {found}")
        judge.expect_sentence(name, result["candidates"][1]["reason"], path, ["written by others", "chmod"])
        judge.expect_doctor(name, path, "permissions")


def test_search(judge):
    good, other, bad = judge.plugin("good"), judge.plugin("other"), judge.plugin("null_slot")
    # A named plugin that cannot load is an error of the runtime, never a silent fallback.
    result = judge.load("FILES", "search", FLAGOS_PLUGIN_FILES=f"{good}:{bad}:{other}")
    judge.expect(result["create"]["status"] == "FLAGOS_STATUS_PLUGIN_REJECTED", f"FILES: {result}")
    judge.expect(result["create"]["is_null"], "FILES: a runtime came with the error")
    judge.expect_sentence("FILES", result["create"]["text"], bad, ["memory"])
    result = judge.load("good FILES", "search", FLAGOS_PLUGIN_FILES=f"{good}:{other}")
    judge.expect(len(result["devices"]) == 2, f"good FILES: {result}")
    # A folder with broken ones among good ones: each is a line, the good ones load.
    folder = fresh(judge.folder, "path")
    for name in ["good", "other", *[n for n in JUDGED if n != "missing_library"]]:
        shutil.copy(judge.plugin(name), folder / judge.plugin(name).name)
    (folder / "libflagos_plugin_empty.so").write_bytes(b"")
    (folder / "libflagos_plugin_folder.so").mkdir()
    (folder / "notes.txt").write_text("not looked at")
    (folder / "libother.so").write_text("not looked at")
    result = judge.load("PATH", "search", FLAGOS_PLUGIN_PATH=f"/no/such/folder::{folder}")
    judge.expect(result["create"]["status"] == "FLAGOS_STATUS_OK", f"PATH: {result['create']}")
    ours = {pathlib.Path(c["path"]).name: c for c in result["candidates"] if c["path"].startswith(str(folder))}
    expected = {judge.plugin(n).name: JUDGED[n][0] for n in JUDGED if n != "missing_library"}
    expected |= {judge.plugin("good").name: "loaded", judge.plugin("other").name: "loaded",
                 "libflagos_plugin_empty.so": "not_a_library", "libflagos_plugin_folder.so": "not_a_library"}
    found = {name: VERDICTS[c["verdict"]] for name, c in ours.items()}
    judge.expect(found == expected, f"PATH: {sorted(found.items() ^ expected.items())}")
    for name, candidate in ours.items():
        if found[name] != "loaded":
            judge.expect_sentence(f"PATH: {name}", candidate["reason"], folder / name, [])
    relative = judge.load("relative PATH", "search", FLAGOS_PLUGIN_PATH=os.path.relpath(folder))
    judge.expect(not any("null_slot" in c["path"] for c in relative["candidates"]), "a relative folder was searched")


def test_doctor(judge):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        reports = dict(zip(FATAL, pool.map(lambda name: judge.doctor_reports(name, judge.plugin(name)), FATAL)))
    for name, words in FATAL.items():
        code, report = reports[name]
        judge.expect(code == 1, f"doctor {name}: exit {code}")
        found = [p["verdict"] for p in report["plugins"]]
        judge.expect(found == ["crashed"], f"doctor {name}: {report['plugins']}")
        for plugin in report["plugins"]:
            judge.expect_sentence(f"doctor {name}", plugin["reason"], judge.plugin(name), [words])
    # All together: one line each, and the good one is usable.
    some = [judge.plugin(n) for n in ["crash_open", "good", "null_slot", "exit_open"]]
    done = judge.doctor(*some)
    judge.expect(done.returncode == 0, f"doctor with one good plugin: exit {done.returncode}: {done.stdout}")
    for path in some:
        judge.expect(sum(line.split(" ", 1)[1].strip().startswith(str(path))
                         for line in done.stdout.splitlines() if line[:4] in ("ok  ", "FAIL")) == 1,
                     f"doctor has no line of its own for {path}: {done.stdout}")
    judge.expect("1 usable device\n" in done.stdout, f"doctor: {done.stdout}")
    code, report = judge.doctor_reports("by environment", FLAGOS_PLUGIN_FILES=":".join(map(str, some)))
    judge.expect([p["verdict"] for p in report["plugins"]] == ["crashed", "loaded", "bad_table", "crashed"],
                 f"doctor by environment: {report['plugins']}")
    judge.expect(code == 0 and report["usable_devices"] == 1, f"doctor by environment: exit {code}")
    _, report = judge.doctor_reports("missing library", judge.plugin("missing_library"))
    judge.expect("apt-file search libno_such_vendor_driver.so" in report["plugins"][0]["advice"],
                 f"doctor, missing library: {report['plugins']}")


def main():
    parser = argparse.ArgumentParser()
    tests = {"files": test_files, "plugins": test_plugins, "manifests": test_manifests,
             "permissions": test_permissions, "search": test_search, "doctor": test_doctor}
    parser.add_argument("part", choices=tests)
    for name in ["zoo", "loader", "flagos"]:
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(arguments, pathlib.Path(folder).resolve())
        tests[arguments.part](judge)
    for line in judge.failures:
        print(f"broken_plugins: {line}", file=sys.stderr)
    print(f"broken_plugins {arguments.part}: {judge.checks} checks, {len(judge.failures)} failed")
    return 1 if judge.failures else 0


if __name__ == "__main__":
    sys.exit(main())
