#!/usr/bin/env python3
"""Writes the image that the demo filters: coloured rings on a gradient, 160 x 120, as P6.

usage: make_rings.py OUTPUT.ppm
"""
import math
import sys

WIDTH, HEIGHT = 160, 120


def pixel(x, y):
    distance = math.hypot(x - WIDTH / 2, y - HEIGHT / 2)
    if int(distance / 8) % 2:
        return (230, 120 + x // 2, 40)
    return (x, 2 * y, 160 - y)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    data = bytes(value for y in range(HEIGHT) for x in range(WIDTH) for value in pixel(x, y))
    with open(sys.argv[1], "wb") as file:
        file.write(b"P6\n# made by samples/data/make_rings.py\n%d %d\n255\n" % (WIDTH, HEIGHT) + data)


if __name__ == "__main__":
    main()
