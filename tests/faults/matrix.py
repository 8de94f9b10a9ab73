"""The fault matrix: every step of every operation, and what happens when something dies or fails there.

    matrix.py [--quick] [--random N | --syscalls N] [--slice I/N] [--only TEXT] [--report FILE]

Run by tests/faults/matrix.bats, which has started the daemon; $FAULT_RUN starts it again. One life of a
pod (pull, run, create, start, exec, stop, remove) is led once without a fault, which tells the
steps; then once for each step and each fault. After the fault the same request is sent again, as the
kubelet does, until it succeeds; then everything is removed, and neither the lists nor the
kernel nor the disk may have anything left.

Without fault points (--random) the daemon is killed after a part of the time that the operation
takes: this runs against any CRI daemon. --syscalls has strace kill the daemon, or the shim, or any process
that they start (runtime, network plugins), at its Nth system call that changes something.
"""

import argparse
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

WORK = os.environ["WORK"]
TAG = os.environ["TAG"]
NODE = os.environ["NODE"]
CRICTL = os.environ["CRICTL"]
IMAGE = os.environ["IMAGE"]
FAULTS = os.environ.get("CAISSON_FAULTS")
OURS = os.environ.get("CRI_PEER", "caisson") == "caisson"
PATIENCE = 30  # seconds for a request to succeed after the fault


def crictl(*args, timeout=25):
    return subprocess.run(["nsenter", "--net=" + NODE, CRICTL, "-c", WORK + "/crictl.yaml", *args],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def daemon_pid():
    return int(read(WORK + "/daemon.pid") or 0)


def alive(pid):
    # a zombie whose other threads are not gone holds its locks still
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split() if pid else []
    return bool(fields) and (fields[0] not in "ZX" or int(fields[17]) > 1)


def daemon_run():
    subprocess.run([os.environ["FAULT_RUN"]], check=True, stdout=subprocess.DEVNULL, timeout=60)


def start_if_dead():
    if alive(daemon_pid()):
        return False
    daemon_run()
    return True


class Failed(Exception):
    pass


# ---- the life of a pod ----

class Life:
    """The requests in their order; each may be sent again, and knows what is right after it."""

    STEPS = ["pull", "runp", "create", "start", "exec", "stop", "rm", "stopp", "rmp"]

    def __init__(self, name):
        self.pod = self.ctr = None
        self.attempt = 0
        os.makedirs(f"{WORK}/logs/{name}", exist_ok=True)
        self.pod_file = f"{WORK}/fault-pod.json"
        self.ctr_file = f"{WORK}/fault-container.json"
        with open(self.pod_file, "w") as f:
            json.dump({"metadata": {"name": name, "namespace": "default", "uid": name, "attempt": 0},
                       "hostname": "fault", "log_directory": f"{WORK}/logs/{name}",
                       "linux": {"cgroup_parent": f"/{TAG}/{name}"}}, f)
        self.write_container()

    def write_container(self):
        with open(self.ctr_file, "w") as f:
            json.dump({"metadata": {"name": "main", "attempt": self.attempt}, "image": {"image": IMAGE},
                       "command": ["/bin/sh", "-c", "sleep 1000"], "log_path": f"{self.attempt}.log",
                       "linux": {}}, f)

    def ask(self, *args):
        r = crictl(*args)
        if r.returncode:
            raise Failed(r.stderr.strip().splitlines()[-1] if r.stderr.strip() else f"exit {r.returncode}")
        return r.stdout.strip()

    def step(self, name):
        if name == "pull":
            self.ask("pull", IMAGE)
        elif name == "runp":
            self.pod = self.ask("runp", self.pod_file)
        elif name == "create":
            self.ctr = self.ask("create", self.pod, self.ctr_file, self.pod_file)
        elif name == "start":
            self.start()
        elif name == "exec":
            # who killed its process killed the container: the kubelet makes another one
            self.start()
            if self.ask("exec", "-s", self.ctr, "echo", "hello") != "hello":
                raise Failed("exec: other output")
        elif name == "stop":
            self.ask("stop", "-t", "0", self.ctr)
        elif name == "rm":
            self.ask("rm", self.ctr)
        elif name == "stopp":
            self.ask("stopp", self.pod)
        elif name == "rmp":
            self.ask("rmp", self.pod)

    def start(self):
        """A start whose fate is unknown is asked for; one that failed takes a new attempt, as kubelet does."""
        state = json.loads(self.ask("inspect", self.ctr))["status"]["state"]
        if state == "CONTAINER_EXITED":
            self.ask("rm", self.ctr)
            self.attempt += 1
            self.write_container()
            self.step("create")
        if state != "CONTAINER_RUNNING":
            self.ask("start", self.ctr)


# ---- what may be left: nothing ----

# by cases before, which have failed for it: it is held against them only
ALREADY_LEFT = set()


def left_over():
    left = [line.split()[4] for line in read("/proc/self/mountinfo").splitlines()
            if WORK + "/" in line and NODE not in line]
    for top in os.listdir("/sys/fs/cgroup"):
        for base in (f"/sys/fs/cgroup/{top}/{TAG}", f"/sys/fs/cgroup/{TAG}"):
            for path, dirs, _ in os.walk(base):
                left += [f"{path}/{d}" for d in dirs if len(d) >= 64 or d.startswith("pod")]
    for path in ("state/pods", "root/snapshots", "state/oci"):
        if OURS and os.path.isdir(f"{WORK}/{path}"):
            left += [f"{path}/{e}" for e in os.listdir(f"{WORK}/{path}") if len(e) >= 64]
    for path, _, files in os.walk(f"{WORK}/root/cni"):
        left += [f"{path}/{f}" for f in files if f.startswith("10.")]
    own = daemon_pid()
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != own:
            words = read(f"/proc/{pid}/cmdline")
            if f"{WORK}/state" in words:
                left.append(f"process {pid} {words[:80]!r}")
    for what, *args in (("pod", "pods", "-q"), ("container", "ps", "-aq")):
        left += [f"{what} {i} on the list" for i in crictl(*args).stdout.split()]
    return sorted(set(left) - ALREADY_LEFT)


def all_gone():
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        left = left_over()
        if not left:
            return
        time.sleep(0.2)
    raise Failed("left behind: " + ", ".join(left[:5]))


# ---- a case ----

def until_done(life, step):
    """The same request again until it succeeds: what a kubelet does. Returns how often it failed."""
    until = time.monotonic() + PATIENCE
    failed = 0
    while True:
        start_if_dead()
        try:
            life.step(step)
            return failed
        except (Failed, subprocess.TimeoutExpired) as e:
            failed += 1
            text = f"no answer within {e.timeout:.0f} s" if isinstance(e, subprocess.TimeoutExpired) else str(e)
            # crictl looks before it removes: what the dead daemon had done is done
            if "NotFound" in text and step in ("stop", "rm", "stopp", "rmp"):
                return failed
            if time.monotonic() > until:
                raise Failed(f"{step}: {text}") from None
            time.sleep(0.1)


def clean():
    start_if_dead()
    for args in [("rmp", "-f", pod) for pod in crictl("pods", "-q").stdout.split()] + [("rmi", IMAGE)]:
        try:
            crictl(*args)
        except subprocess.TimeoutExpired:
            pass  # what it leaves is ALREADY_LEFT


def lead(name, before=None, images=True):
    """One life; before(step) is called before each request."""
    life = Life(name)
    failed = 0
    for step in Life.STEPS:
        if before:
            before(step, life)
        failed += until_done(life, step)
    all_gone()
    if images:
        crictl("rmi", IMAGE)
    return failed


def shim_kill():
    """Kills every shim of this daemon."""
    return (f"for f in {WORK}/state/pods/*/shim.json; do "
            "kill -9 $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' $f); done 2>/dev/null; true")


ACTIONS = {
    "daemon dies": "kill",
    "shim dies": "run " + shim_kill(),
    "step fails": f"fail {errno.EIO}",
    "disk is full": f"fail {errno.ENOSPC}",
    "no descriptor": f"fail {errno.EMFILE}",
    "no process": f"fail {errno.EAGAIN}",
    "no memory": f"fail {errno.ENOMEM}",
    "stalls 2 s": "run sleep 2",
}
QUICK = ["daemon dies", "shim dies", "step fails"]


def learn():
    """The steps that one life passes, each once, with the request in which it first came."""
    points, request = {}, [None]
    seen = FAULTS + "/seen"
    open(seen, "w").close()

    def take():
        for point in read(seen).split():
            points.setdefault(point, request[0])
        open(seen, "w").close()

    def before(step, life):
        take()
        request[0] = step

    lead("learn", before)
    take()
    return points


def point_case(point, action, number):
    with open(FAULTS + "/armed", "w") as f:
        f.write(f"{point} {ACTIONS[action]}\n")
    try:
        lead(f"f{number}")
        if os.path.exists(FAULTS + "/armed"):
            raise Failed("the step was not reached")
    finally:
        if os.path.exists(FAULTS + "/armed"):
            os.unlink(FAULTS + "/armed")


def timed_case(step_wanted, share, victim, number):
    """The victim dies after a share of the time that the request takes."""
    def before(step, life):
        if step != step_wanted:
            return
        delay = timed_case.takes[step] * share
        pid = daemon_pid()
        if victim == "shim":
            kill = shim_kill() if OURS else (
                f"for p in $(pgrep -f 'containerd-shim.*{WORK}/'); do kill -9 $p; done; true")
        else:
            kill = f"kill -9 {pid}"
        subprocess.Popen(["sh", "-c", f"sleep {delay:.3f}; {kill}"])

    lead(f"t{number}", before)


# what changes something outside of the process
CALLS = ("openat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,symlinkat,link,mount,umount2,move_mount,clone,clone3,"
         "execve,write,pwrite64,fsync,fdatasync,ftruncate,connect,sendto,sendmsg,setns,unshare,pivot_root,kill,"
         "pidfd_send_signal,fchownat,fchmod,bind,listen")


class Tracer:
    """strace on a process and all that it starts, from attach to end."""

    def __init__(self, pid, *options):
        self.process = subprocess.Popen(["timeout", "60", "strace", "-f", "-qq", "-p", str(pid), "-e", "trace=" + CALLS, *options],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while "TracerPid:\t0\n" in read(f"/proc/{pid}/status") and time.monotonic() < until:
            time.sleep(0.01)

    def end(self):
        self.process.terminate()
        self.process.wait(10)


def traced(victim, life):
    """The process whose calls are counted; None where the request comes before it."""
    if victim == "daemon":
        return daemon_pid()
    record = read(f"{WORK}/state/pods/{life.pod}/shim.json")
    return json.loads(record)["pid"] if record else None


def lead_traced(name, step_wanted, victim, *options):
    tracer = []

    def before(step, life):
        while tracer:
            tracer.pop().end()
        pid = traced(victim, life) if step == step_wanted else None
        if pid:
            tracer.append(Tracer(pid, *options))

    try:
        return lead(name, before)
    finally:
        while tracer:
            tracer.pop().end()


def longest(step, victim):
    """How many calls the busiest thread makes in that request."""
    out = WORK + "/strace.out"
    lead_traced(f"count-{step}-{victim}", step, victim, "-o", out)
    counts = {}
    for line in read(out).splitlines():
        thread = line.split(None, 1)[0]
        counts[thread] = counts.get(thread, 0) + (" <... " not in line and "+++" not in line and "---" not in line)
    return max(counts.values(), default=0)


def syscall_case(step, victim, when, number):
    lead_traced(f"s{number}", step, victim, "-o", "/dev/null", "-e", f"inject={CALLS}:signal=KILL:when={when}")


def measure():
    takes, last = {}, [None, 0.0]

    def before(step, life):
        now = time.monotonic()
        if last[0]:
            takes[last[0]] = now - last[1]
        last[0], last[1] = step, now

    lead("measure", before)
    takes[last[0]] = 0.2
    return takes


def syscall_cases(o):
    part, parts = (int(n) for n in o.slice.split("/"))
    kinds = [(step, victim) for victim in ("daemon", "shim") for step in Life.STEPS
             if victim == "daemon" or step in ("start", "exec", "stop", "rm", "stopp")]
    number = 0
    for i, (step, victim) in enumerate(kinds):
        if i % parts != part - 1 or o.only not in f"{step} {victim}":
            continue
        most = longest(step, victim)
        for when in sorted({1 + most * k // o.syscalls for k in range(o.syscalls)}) if most else ():
            number += 1
            yield step, victim, f"call {when}", lambda s=step, v=victim, w=when, n=number: syscall_case(s, v, w, n)


def cases(o):
    if o.syscalls:
        yield from syscall_cases(o)
        return
    if o.random:
        timed_case.takes = measure()
        rng = random.Random(4711)
        part, parts = (int(n) for n in o.slice.split("/"))
        for i in range(o.random):
            share = rng.random()
            # every part has all requests
            if i // len(Life.STEPS) % parts != part - 1:
                continue
            step = Life.STEPS[i % len(Life.STEPS)]
            victim = "daemon" if i // len(Life.STEPS) % 2 == 0 else "shim"
            yield step, f"{victim} killed in {step}", f"{victim} dies", lambda s=step, v=victim, h=share: timed_case(
                s, h, v, i)
        return
    # what comes behind a step cannot fail any more
    all_of = [(request, point, action) for point, request in learn().items()
              for action in (QUICK if o.quick else ACTIONS)
              if not (ACTIONS[action].startswith("fail") and point.endswith("-done"))]
    if o.quick:
        all_of = all_of[::o.every]
    # mixed, so that what a budget leaves out is no whole operation
    random.Random(4711).shuffle(all_of)
    part, parts = (int(n) for n in o.slice.split("/"))
    for i, (request, point, action) in enumerate(all_of):
        if i % parts != part - 1 or o.only not in f"{request} {point} {action}":
            continue
        yield request, point, action, lambda p=point, a=action, n=i: point_case(p, a, n)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--syscalls", type=int, default=0, help="so many calls of each request, spread over it")
    parser.add_argument("--budget", type=float, default=1e9, help="seconds; what does not fit is counted as not run")
    parser.add_argument("--slice", default="1/1", help="the I-th of N parts of the steps")
    parser.add_argument("--only", default="", help="cases whose request, step and fault have this text")
    parser.add_argument("--report")
    o = parser.parse_args()
    rows, good, total, skipped = {}, 0, 0, 0
    failures = []
    began = time.monotonic()

    def report():
        text = f"{good} of {total}" + (f" ({skipped} not run: out of time)" if skipped else "")
        if o.report:
            with open(o.report, "w") as f:
                json.dump({"summary": text, "good": good, "total": total, "skipped": skipped, "failures": failures,
                           "rows": [[*k, v] for k, v in rows.items()], "seconds": round(time.monotonic() - began)}, f)
        return text

    for request, point, action, run in cases(o):
        if total and time.monotonic() - began > o.budget:
            skipped += 1
            continue
        total += 1
        try:
            run()
            verdict = "ok"
            good += 1
        except (Failed, subprocess.TimeoutExpired, subprocess.CalledProcessError, json.JSONDecodeError) as e:
            verdict = "FAILED"
            failures.append(f"{request}: {point}: {action}: {e}")
            print(failures[-1], flush=True)
            clean()
            ALREADY_LEFT.update(left_over())
        rows.setdefault((request, point), {})[action] = verdict
        report()  # also of a run that is ended early
    print(report())
    return 0 if good == total and total else 1


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
