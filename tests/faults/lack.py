"""What is lacking: descriptors, processes, memory, at any system call of the daemon's, the shim's and of what they start.

    lack.py [--only TEXT] [--budget SECONDS] [--report FILE]

Run by lack.bats, which has started the daemon. strace has the Nth call of its kind fail in each thread
while one request runs, N from the first to the last that the request makes. The request succeeds all the
same, or its error says what was lacking; sent again it succeeds, and when all is removed nothing is left
(matrix.py). Where memory is lacking for a few bytes a process ends, and its successor goes on.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time

from matrix import (WORK, Failed, Life, all_gone, clean, daemon_pid, read, start_if_dead, until_done)

TRACE = WORK + "/lack.strace"
DESCRIPTORS = ("openat,openat2,socket,socketpair,accept4,pipe2,memfd_create,dup,eventfd2,timerfd_create,signalfd4,"
               "epoll_create1,pidfd_open,fsopen,fsmount,open_tree,inotify_init1")
LACKS = {
    # fault: calls, errno, what the error must say
    "no descriptor": (DESCRIPTORS, "EMFILE", "Too many open files"),
    "no descriptor on the machine": (DESCRIPTORS, "ENFILE", "Too many open files in system"),
    "no process": ("clone,clone3,fork,vfork", "EAGAIN", "Resource temporarily unavailable"),
    "no memory": ("mmap,brk,mremap", "ENOMEM", "Cannot allocate memory"),
}
REQUESTS = ["pull", "runp", "create", "start", "exec", "stop", "rm", "stopp", "rmp"]
# for those an end of the daemon, or of what it talks to, is an answer too: memory for a few bytes is not asked twice
MAY_END = {"no memory"}


def traced():
    """The daemon and its shims."""
    pids = [daemon_pid()]
    for pod in os.listdir(WORK + "/state/pods") if os.path.isdir(WORK + "/state/pods") else []:
        found = re.search(r'"pid":(\d+)', read(f"{WORK}/state/pods/{pod}/shim.json"))
        if found:
            pids.append(int(found.group(1)))
    return [p for p in pids if os.path.exists(f"/proc/{p}")]


class Lack:
    """While it lasts, the Nth call of each thread fails."""

    def __init__(self, fault, n):
        calls, number, _ = LACKS[fault]
        args = ["strace", "-f", "-q", "-o", TRACE, "-e", "trace=" + calls, "-e", "signal=none",
                "-e", f"inject={calls}:error={number}:when={n}"]
        pids = traced()
        for pid in pids:
            args += ["-p", str(pid)]
        self.process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            tasks = [f"/proc/{p}/task/{t}/status" for p in pids for t in os.listdir(f"/proc/{p}/task")]
            if all(f"TracerPid:\t{self.process.pid}" in read(t) for t in tasks):
                return
            time.sleep(0.01)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return re.findall(r"^\d+ +(\w+)\(.*\(INJECTED\)", read(TRACE), re.M)


def case(request, fault, n, number):
    """Which calls failed, and the request's error."""
    life = Life(f"lack{number}")
    said, hit = "", []
    for step in Life.STEPS:
        if step != request:
            until_done(life, step)
            continue
        lack = Lack(fault, n)
        try:
            life.step(step)
        except (Failed, subprocess.TimeoutExpired) as e:
            said = str(e)
        hit = lack.end()
        start_if_dead()
        until_done(life, step)
    all_gone()
    return hit, said


def is_said(said, fault):
    """By us; what a network plugin or what it starts says for itself is passed on with its name."""
    return LACKS[fault][2].lower() in said.lower() or "CNI plugin" in said


def numbers():
    """Each of the first, then wider."""
    n = 1
    while True:
        yield n
        n += 1 if n < 6 else n // 3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--budget", type=float, default=1e9)
    parser.add_argument("--report")
    o = parser.parse_args()
    began, number, good, skipped = time.monotonic(), 0, 0, 0
    rows, failures = [], []
    for fault in LACKS:
        for request in REQUESTS:
            if o.only not in f"{request} {fault}":
                continue
            calls = right = 0
            for n in numbers():
                if time.monotonic() - began > o.budget and number:
                    skipped += 1
                    break
                number += 1
                try:
                    hit, said = case(request, fault, n, number)
                    if said and fault not in MAY_END and not is_said(said, fault):
                        raise Failed(f"the error does not say so: {said[-300:]}")
                    good += 1
                    right += 1
                except (Failed, subprocess.TimeoutExpired, json.JSONDecodeError) as e:
                    failures.append(f"{request}: {fault} at call {n}: {e}")
                    print(failures[-1], flush=True)
                    hit = re.findall(r"\(INJECTED\)", read(TRACE))
                    clean()
                calls = n
                if not hit:
                    break
            rows.append((request, fault, calls, right))
            print(f"{request}: {fault}: up to call {calls}", flush=True)
    summary = f"{good} of {number}" + (f" ({skipped} requests cut short: out of time)" if skipped else "")
    print(f"{summary} lacks")
    if o.report:
        with open(o.report, "w") as f:
            json.dump({"summary": summary, "failures": failures, "rows": rows,
                       "seconds": round(time.monotonic() - began)}, f)
    sys.exit(0 if good == number and number else 1)


if __name__ == "__main__":
    main()
