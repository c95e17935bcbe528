#!/usr/bin/env python3
"""Runs the image filter on good and broken images and judges what it does.

usage: image_filter.py PROGRAM DEVICE

Good images, made here, are compared bit for bit with a scalar reference; for broken ones exit code,
sentence and the absence of an output file count.
"""
import os
import pathlib
import random
import subprocess
import sys
import tempfile

failures = []
checks = 0


def expect(condition, what):
    global checks
    checks += 1
    if not condition:
        failures.append(what)


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          errors="replace")
    return done.returncode, done.stdout, done.stderr


# ---- the reference ------------------------------------------------------------------------------

def make_image(rng, width, height, channels, maximum):
    return [[[rng.randint(0, maximum) for _ in range(channels)] for _ in range(width)]
            for _ in range(height)]


def sample_at(image, x, y, c):
    return image[min(max(y, 0), len(image) - 1)][min(max(x, 0), len(image[0]) - 1)][c]


def blur(image, x, y, c, maximum):
    weights = (1, 4, 6, 4, 1)
    total = sum(weights[dy] * weights[dx] * sample_at(image, x + dx - 2, y + dy - 2, c)
                for dy in range(5) for dx in range(5))
    return (total + 128) // 256


def edge(image, x, y, c, maximum):
    def s(dx, dy):
        return sample_at(image, x + dx, y + dy, c)
    across = s(1, -1) + 2 * s(1, 0) + s(1, 1) - s(-1, -1) - 2 * s(-1, 0) - s(-1, 1)
    down = s(-1, 1) + 2 * s(0, 1) + s(1, 1) - s(-1, -1) - 2 * s(0, -1) - s(1, -1)
    return min(abs(across) + abs(down), maximum)


def encode(image, maximum, binary, comments=False):
    height, width, channels = len(image), len(image[0]), len(image[0][0])
    magic = {(1, False): "P2", (3, False): "P3", (1, True): "P5", (3, True): "P6"}[channels, binary]
    gap = "# a comment 7 x 9\n\t" if comments else ""
    header = f"{magic}\n{gap}{width} {gap}{height}\n{gap}{maximum}\n".encode()
    values = [v for row in image for pixel in row for v in pixel]
    if not binary:
        return header + b" ".join(b"%d" % v for v in values) + b"\n"
    size = 2 if maximum > 255 else 1
    return header + b"".join(v.to_bytes(size, "big") for v in values)


def filtered(image, name, maximum):
    function = {"blur": blur, "edge": edge}[name]
    return [[[function(image, x, y, c, maximum) for c in range(len(image[0][0]))]
             for x in range(len(image[0]))] for y in range(len(image))]


def test_good(program, device, folder, rng):
    shapes = [(1, 1), (2, 1), (1, 3), (5, 4), (16, 16), (17, 33), (40, 7)]
    for number, (width, height) in enumerate(shapes):
        for channels in (1, 3):
            for maximum in (1, 200, 255, 256, 65535):
                binary = rng.random() < 0.6
                name = rng.choice(["blur", "edge"])
                image = make_image(rng, width, height, channels, maximum)
                suffix = "ppm" if channels == 3 else "pgm"
                source = folder / f"good.{suffix}"
                target = folder / f"good_out.{suffix}"
                source.write_bytes(encode(image, maximum, binary, comments=number % 2 == 0))
                code, _, error = run(program, "--device", device, "--filter", name, source, target)
                what = f"{name} of {width} x {height} x {channels}, maximum {maximum}"
                expect(code == 0, f"{what}: exit {code}: {error}")
                wanted = encode(filtered(image, name, maximum), maximum, True)
                expect(target.exists() and target.read_bytes() == wanted, f"{what}: other bits")
                target.unlink(missing_ok=True)


def test_in_place(program, device, folder, rng):
    image = make_image(rng, 9, 9, 1, 255)
    path = folder / "place.pgm"
    path.write_bytes(encode(image, 255, True))
    code, _, error = run(program, "--device", device, "--filter", "blur", path, path)
    expect(code == 0 and path.read_bytes() == encode(filtered(image, "blur", 255), 255, True),
           f"output over input: exit {code}: {error}")


# ---- broken input -------------------------------------------------------------------------------

BROKEN = {
    # name: (bytes, words that the sentence must hold)
    "empty": (b"", "empty"),
    "one_byte": (b"P", "'P'"),
    "text": (b"hello, this is no image\n", "'he'"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(64), "P2, P3, P5 or P6"),
    "magic_p1": (b"P1\n1 1\n1\n", "'P1'"),
    "magic_p7": (b"P7\nWIDTH 1\n", "'P7'"),
    "magic_glued": (b"P61 1 255\nabc", "header is broken"),
    "only_magic": (b"P6\n", "ends before the width"),
    "no_height": (b"P6\n10\n", "ends before the height"),
    "no_maximum": (b"P6\n10 10\n", "ends before the maximum value"),
    "comment_to_the_end": (b"P6\n# nothing but a comment", "ends before the width"),
    "zero_width": (b"P6\n0 10\n255\n", "width 0"),
    "zero_height": (b"P5\n10 0\n255\n", "height 0"),
    "zero_maximum": (b"P5\n1 1\n0\nx", "maximum value 0"),
    "negative": (b"P5\n-4 4\n255\n" + bytes(16), "'-'"),
    "fraction": (b"P5\n4.5 4\n255\n" + bytes(16), "'4.'"),
    "hexadecimal": (b"P5\n0x10 4\n255\n" + bytes(64), "'0x'"),
    "huge_sides": (b"P6\n65536 65536\n255\n" + bytes(64), "truncated"),
    "side_over_limit": (b"P6\n65537 1\n255\n" + bytes(64), "65537"),
    "side_overflows_32": (b"P6\n4294967297 1\n255\n" + bytes(64), "429496729"),
    "side_overflows_64": (b"P6\n18446744073709551617 1\n255\n" + bytes(64), "not in 1"),
    "side_of_1000_digits": (b"P6\n" + b"9" * 1000 + b" 1\n255\n" + bytes(64), "not in 1"),
    "maximum_over_limit": (b"P5\n1 1\n65536\nxx", "65536"),
    "no_space_after_maximum": (b"P5\n1 1\n255", "white space"),
    "pixels_missing": (b"P6\n10 10\n255\n" + bytes(299), "300 bytes, 299 are there"),
    "pixels_missing_wide": (b"P5\n10 10\n256\n" + bytes(199), "200 bytes, 199 are there"),
    "no_pixels": (b"P6\n10 10\n255\n", "0 are there"),
    "above_maximum": (b"P5\n2 1\n100\n\x05\x65", "101 is above"),
    "above_maximum_wide": (b"P5\n1 1\n256\n\x01\x01", "257 is above"),
    "trailing_bytes": (b"P5\n1 1\n255\nxtrailing", "8 bytes follow"),
    "second_image": (b"P5\n1 1\n255\nxP5\n1 1\n255\nx", "follow the image"),
    "text_missing": (b"P2\n3 1\n255\n1 2     \n", "truncated"),
    "text_word": (b"P2\n3 1\n255\n1 two 3\n", "'two 3"),
    "text_negative": (b"P2\n3 1\n255\n1 -2 3\n", "'-2 3"),
    "text_above": (b"P3\n1 1\n7\n1 8 3\n", "8 is above"),
    "text_overflow": (b"P2\n1 1\n255\n" + b"9" * 40, "above"),
    "text_more": (b"P2\n1 1\n255\n1 2\n", "follow the image"),
    "nul_in_header": (b"P5\n\x001 1\n255\nx", "not a number"),
    "escape_in_header": (b"P5\n\x1b[2J 1\n255\nx", "not a number"),
}


def one_sentence(text):
    return text.startswith("error: ") and text.count("\n") == 1 and text.isprintable() is False \
        and text.strip().isprintable()


def expect_refusal(program, device, folder, name, path, words, output=None):
    output = output or folder / "refused.ppm"
    code, out, error = run(program, "--device", device, "--filter", "blur", path, output)
    expect(code == 1, f"{name}: exit {code}, expected 1: {error}")
    expect(one_sentence(error), f"{name}: not one printable sentence: {error!r}")
    expect(words in error, f"{name}: '{words}' is not in: {error}")
    expect(out == "", f"{name}: printed {out!r}")


def test_broken(program, device, folder):
    for name, (data, words) in BROKEN.items():
        path = folder / f"{name}.ppm"
        path.write_bytes(data)
        expect_refusal(program, device, folder, name, path, words)
        expect(str(path) in run(program, "--filter", "edge", path, folder / "x.ppm")[2],
               f"{name}: the file is not named")
    missing = folder / "missing.ppm"
    expect_refusal(program, device, folder, "missing", missing, "No such file")
    expect_refusal(program, device, folder, "folder", folder, "folder")
    fifo = folder / "fifo.ppm"
    os.mkfifo(fifo)
    expect_refusal(program, device, folder, "fifo", fifo, "not a regular file")
    sparse = folder / "sparse.ppm"
    with open(sparse, "wb") as file:
        file.truncate(1 << 34)
    expect_refusal(program, device, folder, "sparse", sparse, "17179869184 bytes")


def test_truncation(program, device, folder, rng):
    whole = encode(make_image(rng, 6, 5, 3, 255), 255, True)
    path = folder / "cut.ppm"
    for cut in range(0, len(whole), 3):
        path.write_bytes(whole[:cut])
        expect_refusal(program, device, folder, f"cut at {cut}", path, "cannot read")


def test_bad_output(program, device, folder, rng):
    source = folder / "colour.ppm"
    source.write_bytes(encode(make_image(rng, 4, 4, 3, 255), 255, True))
    expect_refusal(program, device, folder, "no folder", source, "No such file", folder / "no/out.ppm")
    expect_refusal(program, device, folder, "output is a folder", source, "not a file", folder)
    expect_refusal(program, device, folder, "grey name", source, ".ppm", folder / "out.pgm")
    before = source.read_bytes()
    expect_refusal(program, device, folder, "full", source, "cannot write", pathlib.Path("/dev/full"))
    expect(source.read_bytes() == before, "the input changed")


def test_usage(program, folder):
    for arguments in ([], ["--filter"], ["--filter", "blur"], ["--filter", "blur", "a.ppm"],
                      ["a.ppm", "b.ppm"], ["--filter", "sharpen", "a.ppm", "b.ppm"],
                      ["--filter", "blur", "--quick", "a.ppm", "b.ppm"],
                      ["--filter", "blur", "a.ppm", "b.ppm", "c.ppm"]):
        code, _, error = run(program, *arguments)
        expect(code == 2 and "error: " in error, f"usage {arguments}: exit {code}: {error}")
    good = folder / "device.pgm"
    good.write_bytes(b"P5\n1 1\n255\nx")
    code, _, error = run(program, "--device", "nothing:7", "--filter", "blur", good, folder / "d.pgm")
    expect(code == 1 and "nothing:7" in error, f"unknown device: exit {code}: {error}")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    program, device = sys.argv[1:]
    seed = int(os.environ.get("FLAGOS_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed} (set FLAGOS_TEST_SEED to repeat)")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        test_good(program, device, folder, rng)
        test_in_place(program, device, folder, rng)
        inputs = {path.name for path in folder.iterdir()}
        test_broken(program, device, folder)
        test_truncation(program, device, folder, rng)
        test_bad_output(program, device, folder, rng)
        test_usage(program, folder)
        made = {"fifo.ppm", "sparse.ppm", "cut.ppm", "colour.ppm", "device.pgm"}
        made |= {f"{name}.ppm" for name in BROKEN} | inputs
        left = {path.name for path in folder.iterdir()} - made
        expect(not left, f"files were left behind: {sorted(left)}")
    for line in failures:
        print(f"image_filter: {line}", file=sys.stderr)
    print(f"image_filter: {checks} checks, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
