#!/usr/bin/env python3
"""Times commands in turn (A B C A B C …) and prints medians.

    pair.py ROUNDS NAME=COMMAND [NAME=COMMAND …]

A command is split as a shell splits words, without a shell. One warm-up round is not
counted. For each: wall and CPU time in milliseconds, peak memory of the largest process in
kilobytes, and the ratio of the medians to the first command's. CPU and memory are the
kernel's own accounting of the process and all its descendants that were waited for.
"""
import os
import shlex
import statistics
import sys
import time


def run(argv):
    start = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(argv)}: wait status {status}")
    return wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss


def main():
    rounds = int(sys.argv[1])
    commands = [(name, shlex.split(text)) for name, _, text in (a.partition("=") for a in sys.argv[2:])]
    samples = {name: [] for name, _ in commands}
    for i in range(rounds + 1):
        for name, argv in commands:
            sample = run(argv)
            if i:
                samples[name].append(sample)
    base = None
    for name, _ in commands:
        wall, cpu, rss = (statistics.median(s[i] for s in samples[name]) for i in range(3))
        base = base or (wall, cpu, rss)
        print(f"{name}\t{wall:.2f}\t{cpu:.2f}\t{rss:.0f}\t{wall / base[0]:.2f}\t{cpu / base[1] if base[1] else 0:.2f}")


main()
