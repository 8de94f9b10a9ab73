#!/usr/bin/env python3
"""Runs commands in turn (A B C A B C …) and prints medians.

    pair.py MEASURE ROUNDS NAME=COMMAND [NAME=COMMAND …]

MEASURE is the program of measure.c. A command is split as a shell splits words, without a
shell. One warm-up round is not counted. For each, separated by tabs: name, wall and CPU time
in milliseconds, peak memory in kilobytes, and both times' ratio to the first command's.
"""
import shlex
import statistics
import subprocess
import sys


def run(measure, argv):
    done = subprocess.run([measure] + argv, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: exit status {done.returncode}")
    return [float(figure) for figure in done.stdout.split()]


def main():
    measure, rounds = sys.argv[1], int(sys.argv[2])
    commands = [(name, shlex.split(text)) for name, _, text in (a.partition("=") for a in sys.argv[3:])]
    samples = {name: [] for name, _ in commands}
    for i in range(rounds + 1):
        for name, argv in commands:
            sample = run(measure, argv)
            if i:
                samples[name].append(sample)
    base = None
    for name, _ in commands:
        wall, cpu, rss = (statistics.median(s[i] for s in samples[name]) for i in range(3))
        base = base or (wall, cpu)
        print(f"{name}\t{wall:.2f}\t{cpu:.2f}\t{rss:.0f}\t{wall / base[0]:.2f}\t{cpu / base[1]:.2f}")


main()
