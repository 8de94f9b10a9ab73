"""Faults from outside, which need nothing of the daemon's: the same for caissond and for Debian's containerd.

    outside.py [--only TEXT] [--report FILE]

Run by tests/faults/outside.bats, which has started the daemon; its network has a plugin last in the chain that
waits as long as $WORK/hang-<ADD|DEL>-<pod> is there. Each case ends with everything removed, and nothing left
of it in the kernel and on the disk.
"""

import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time

from matrix import (CRICTL, NODE, OURS, PATIENCE, WORK, Failed, Life, alive, clean, crictl, daemon_pid, left_over, read,
                    start_if_dead, until_done)

CHURN = os.environ["CHURN"]
SOCKET = os.environ["SOCKET"]


def impatient(*args, seconds=2):
    """A request whose client goes away after so long: its error, or "" when it was done."""
    r = subprocess.run(["nsenter", "--net=" + NODE, CRICTL, "-c", WORK + "/crictl.yaml", "--timeout", f"{seconds}s", *args],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    return r.stderr.strip() if r.returncode else ""


def wait_for(what, test, seconds=PATIENCE):
    began = time.monotonic()
    while not test():
        if time.monotonic() - began > seconds:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - began


before_case = set()  # what a case that failed has left is told of that case alone


def all_gone():
    left = []

    def gone():
        left[:] = [thing for thing in left_over() if thing not in before_case]
        return not left

    try:
        wait_for("all gone", gone)
    except Failed:
        raise Failed("left behind: " + ", ".join(left[:3])) from None


def status(life):
    return json.loads(life.ask("inspect", life.ctr))


def pid_of(life):
    return status(life)["info"]["pid"]


def shim_of(life):
    if OURS:
        return json.loads(read(f"{WORK}/state/pods/{life.pod}/shim.json"))["pid"]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        words = read(f"/proc/{pid}/cmdline").split("\0")
        if "containerd-shim" in words[0] and life.pod in words and SOCKET in " ".join(words):
            return int(pid)
    raise Failed("no shim")


def kill(pid, sig=signal.SIGKILL):
    os.kill(pid, sig)
    if sig == signal.SIGKILL:
        wait_for(f"end of process {pid}", lambda: not alive(pid), 5)


def lists_ms(n=20):
    """The slowest of n looks at both lists, each by a new client."""
    out = [subprocess.run([CHURN, "served", SOCKET, "20"], stdout=subprocess.PIPE, text=True, check=True).stdout for _ in range(n)]
    return max(int(re.search(r"after (\d+) ms", o).group(1)) for o in out)


def up(name, *until):
    life = Life(name)
    for step in until or ("runp", "create", "start"):
        life.step(step)
    return life


def down(life):
    """Stop and remove as the kubelet asks for them; how long it took."""
    began = time.monotonic()
    for step in ("stop", "rm", "stopp", "rmp"):
        if life.ctr or step in ("stopp", "rmp"):
            until_done(life, step)
    all_gone()
    return time.monotonic() - began


def is_running(life):
    return status(life)["status"]["state"] == "CONTAINER_RUNNING"


def exited(life):
    return status(life)["status"]["state"] == "CONTAINER_EXITED"


# ---- the cases: each returns its figures ----

def deadline_run():
    """the client's deadline passes in RunPodSandbox (CNI hangs 6 s), the same request again and again"""
    life = Life("deadline-run")
    hang = f"{WORK}/hang-ADD-deadline-run"
    open(hang, "w").close()
    try:
        errors = [impatient("runp", life.pod_file, seconds=1) for _ in range(6)]
    finally:
        os.unlink(hang)
    began, late = time.monotonic(), []
    while not life.pod:
        try:
            life.step("runp")
        except Failed as e:
            late.append(str(e))
            if time.monotonic() - began > PATIENCE:
                raise Failed(f"not within {PATIENCE} s after the hang: {e}") from None
            time.sleep(0.1)
    took = time.monotonic() - began
    reserved = sum("reserved" in e for e in errors + late)
    pods = len(crictl("pods", "-q").stdout.split())
    down(life)
    if pods != 1:
        raise Failed(f"{pods} pods for one request")
    text = f"done {took:.1f} s after the hang, \"reserved\" {reserved} times"
    if reserved:
        raise Failed(text)
    return text


def deadline_stop():
    """the client's deadline passes in StopPodSandbox (CNI hangs 4 s), the same request again"""
    life = up("deadline-stop")
    hang = f"{WORK}/hang-DEL-deadline-stop"
    open(hang, "w").close()
    try:
        for _ in range(4):
            impatient("stopp", life.pod, seconds=1)
    finally:
        os.unlink(hang)
    return f"all gone {down(life):.1f} s after the hang"


def cni_hangs():
    """CNI hangs for one pod: lists, and another pod"""
    before = time.monotonic()
    down(up("plain"))
    alone = time.monotonic() - before
    slow = Life("hanging")
    hang = f"{WORK}/hang-ADD-hanging"
    open(hang, "w").close()
    try:
        request = subprocess.Popen(["nsenter", "--net=" + NODE, CRICTL, "-c", WORK + "/crictl.yaml", "runp", slow.pod_file],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        ms = lists_ms()
        before = time.monotonic()
        other = up("beside")
        for step in ("stop", "rm", "stopp", "rmp"):
            until_done(other, step)
        beside = time.monotonic() - before
    finally:
        os.unlink(hang)
    slow.pod, why = (text.strip() for text in request.communicate(timeout=30))
    if not slow.pod:
        raise Failed(why)
    down(slow)
    return f"lists at most {ms} ms, another pod's life {beside:.1f} s (alone {alone:.1f} s)"


def shim_stopped():
    """a shim is stopped (SIGSTOP): lists, another pod, and the end of its own pod"""
    life = up("stopped")
    kill(shim_of(life), signal.SIGSTOP)
    ms = lists_ms()
    other = up("beside")
    for step in ("stop", "rm", "stopp", "rmp"):
        until_done(other, step)
    return f"lists at most {ms} ms, its pod gone after {down(life):.1f} s"


def stop_dead():
    """the container's process is killed; stop and remove at once"""
    life = up("dead")
    kill(pid_of(life))
    return f"gone after {down(life):.1f} s"


def shim_dies():
    """the shim is killed: the container, and the end of the pod"""
    life = up("shim-dies")
    pid = pid_of(life)
    kill(shim_of(life))
    time.sleep(1)
    lives = alive(pid) and is_running(life)
    text = f"the container {'runs on' if lives else 'is dead'}, all gone after {down(life):.1f} s"
    if not lives:
        raise Failed(text)
    return text


def dies_unseen():
    """the container is killed while the daemon is dead: its exit code and time"""
    life = up("unseen")
    pid = pid_of(life)
    kill(daemon_pid())
    at = time.time()
    kill(pid)
    time.sleep(1)
    start_if_dead()
    seen = wait_for("the end is known", lambda: exited(life), 10)
    s = status(life)["status"]
    ended = datetime.datetime.fromisoformat(re.sub(r"\.(\d{6})\d*Z", r".\1+00:00", s["finishedAt"])).timestamp()
    down(life)
    text = f"code {s['exitCode']}, {abs(ended - at):.2f} s off, known {seen:.1f} s after the start"
    if s["exitCode"] != 137 or abs(ended - at) > 1:
        raise Failed(text)
    return text


def two_die(name, *victims):
    life = up(name)
    shim, ctr = shim_of(life), pid_of(life)
    for victim in victims:
        kill({"daemon": daemon_pid(), "shim": shim, "container": ctr}[victim])
    start_if_dead()
    began = time.monotonic()
    lives = "container" not in victims
    try:
        wait_for("the state is right", lambda: (is_running(life) and alive(ctr)) if lives else exited(life), 2)
    except Failed:
        text = f"2 s after the start: {status(life)['status']['state']}, its process {'lives' if alive(ctr) else 'is dead'}"
        raise Failed(f"{text}; all gone after {down(life):.1f} s") from None
    right = time.monotonic() - began
    return f"state right after {right:.1f} s, all gone after {down(life):.1f} s"


def daemon_shim():
    """daemon and shim are killed: the container runs on and is known"""
    return two_die("daemon-shim", "daemon", "shim")


def all_three():
    """daemon, shim and container are killed: the end is known"""
    return two_die("all-three", "daemon", "shim", "container")


def start_again():
    """the client's deadline passes in StartContainer (the shim is stopped), then the same request again"""
    life = up("start-again", "runp", "create")
    shim = shim_of(life)
    kill(shim, signal.SIGSTOP)
    impatient("start", life.ctr, seconds=2)
    kill(shim, signal.SIGCONT)
    began = time.monotonic()
    until_done(life, "start")
    wait_for("it runs", lambda: is_running(life))
    took = time.monotonic() - began
    text = f"runs {took:.1f} s after, attempt {life.attempt}"
    down(life)
    return text


CASES = [deadline_run, deadline_stop, start_again, cni_hangs, shim_stopped, stop_dead, dies_unseen, shim_dies,
         daemon_shim, all_three]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--report")
    o = parser.parse_args()
    rows = []
    crictl("pull", os.environ["IMAGE"])
    down(up("warm"))
    for case in CASES:
        if o.only not in case.__name__:
            continue
        before_case.update(left_over())
        try:
            rows.append([case.__doc__, True, case()])
        except (Failed, subprocess.TimeoutExpired, subprocess.CalledProcessError, KeyError, ValueError, OSError) as e:
            text = str(e) or type(e).__name__
            if isinstance(e, subprocess.TimeoutExpired):
                text = f"{e.cmd[e.cmd.index(WORK + '/crictl.yaml') + 1]} does not answer within {e.timeout:.0f} s"
            rows.append([case.__doc__, False, text])
            # what is stopped would keep the next one from a clean start
            subprocess.run(["pkill", "-CONT", "-f", f"shim.*{WORK}/"], check=False)
            clean()
            crictl("pull", os.environ["IMAGE"])
        print(*rows[-1], sep=" | ", flush=True)
    good = sum(ok for _, ok, _ in rows)
    print(f"{good} of {len(rows)}")
    if o.report:
        with open(o.report, "w") as f:
            json.dump({"good": good, "total": len(rows), "rows": rows}, f)
    return 0 if rows and good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
