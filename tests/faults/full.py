"""A disk that is full: every request with every amount of space too little for it.

    full.py [--quick] [--only REQUEST,…] [--report FILE]

The daemon's root, the pods' logs and what is exported are on a small ext4 that a ballast fills until only
some KiB are left, from none to enough. A request either succeeds or says that the disk is full and
names what; what is half done is not to be seen; when there is space again the same request
succeeds, and in the end as much is free as in the beginning. What takes away succeeds on a disk
without a byte.

Run by full.bats, which has started the daemon.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time

WORK = os.environ["WORK"]
REGISTRY = os.environ["REGISTRY"]
CAISSON = os.environ["BUILD"] + "/src/prog/caisson/caisson"
DISK = WORK + "/small"
ROOT = DISK + "/root"
BALLAST = DISK + "/ballast"
BUSYBOX, NGINX = REGISTRY + "/busybox:1", REGISTRY + "/nginx:1"

libc = ctypes.CDLL(None, use_errno=True)


class Wrong(Exception):
    pass


def run(*args):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                          stdin=subprocess.DEVNULL)


def caisson(*args):
    return run(CAISSON, "-a", WORK + "/cri.sock", *args)


def crictl(*args):
    return run("nsenter", "--net=" + os.environ["NODE"], os.environ["CRICTL"], "-c", WORK + "/crictl.yaml", *args)


def good(r):
    if r.returncode:
        raise Wrong(f"{' '.join(r.args[-3:])}: {r.stderr.strip()[-300:]}")
    return r.stdout.strip()


def free():
    st = os.statvfs(DISK)
    return st.f_bavail * st.f_frsize // 1024


def leave(kib):
    """Fills the disk until so much is left. What is being deleted in the background is waited for."""
    relieve()
    settle()
    fill(kib)


def fill(kib):
    # in pieces: the last one that does not fit leaves no part
    piece = 4096
    with open(BALLAST, "ab") as f:
        while (take := free() - kib) > 0:
            try:
                os.posix_fallocate(f.fileno(), f.seek(0, 2), min(take, piece) * 1024)
            except OSError:
                if piece == 4:
                    break
                piece = max(4, piece // 4)


def relieve():
    if os.path.exists(BALLAST):
        os.unlink(BALLAST)


def sync():
    """Of this disk alone: what was deleted is free when that is on the disk."""
    fd = os.open(DISK, os.O_RDONLY)
    libc.syncfs(fd)
    os.close(fd)


def settle():
    """Until nothing is in trash/ any more and the space of what was removed is back."""
    last = None
    for _ in range(200):
        sync()
        now = (free(), len(os.listdir(ROOT + "/trash")))
        if now == last and now[1] == 0:
            return
        last = now
        time.sleep(0.02)


def restart():
    with open(WORK + "/daemon.pid") as f:
        pid = int(f.read())
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        print("the daemon had died", flush=True)
    until = time.monotonic() + 15
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as f:
                # other threads of a zombie hold its locks still
                fields = f.read().rpartition(")")[2].split()
                if fields[0] == "Z" and fields[17] == "1":
                    break
        except OSError:
            break
        time.sleep(0.02)
    good(run(os.environ["FAULT_RUN"]))


def images():
    return good(caisson("images", "--digests"))


def pods():
    items = json.loads(good(crictl("pods", "-o", "json")))["items"]
    return sorted((p["metadata"]["name"], p["state"]) for p in items)


def containers():
    items = json.loads(good(crictl("ps", "-a", "-o", "json")))["containers"]
    return sorted((c["metadata"]["name"], c["state"]) for c in items)


def seen():
    return images(), pods(), containers()


# ---- the requests ----

class Request:
    """before: what it needs; do: itself; after: takes away what it made. frees: must succeed without a byte.
    restart: the daemon starts on the full disk first, and nothing of its files has room from earlier."""

    def __init__(self, name, before, do, after, frees=False, restart=True):
        self.name, self.before, self.do, self.after, self.frees, self.restart = name, before, do, after, frees, restart


POD = CTR = ""


def need_image():
    good(caisson("pull", BUSYBOX))


def need_nginx():
    good(caisson("pull", NGINX))


def need_pod():
    global POD
    need_image()
    POD = good(crictl("runp", WORK + "/pod-full.json"))


def need_container():
    global CTR
    need_pod()
    CTR = good(crictl("create", POD, WORK + "/container-full.json", WORK + "/pod-full.json"))


def need_running():
    need_container()
    good(crictl("start", CTR))


def needs_criu():
    need_running()


def clear():
    for pod in good(crictl("pods", "-q")).split():
        good(crictl("rmp", "-f", pod))
    good(caisson("image", "prune", "-a"))
    for name in os.listdir(DISK):
        if name not in ("root", "ballast", "lost+found", "logs"):
            os.unlink(f"{DISK}/{name}")
    shutil.rmtree(DISK + "/logs/full", ignore_errors=True)


def nothing():
    pass


LAYOUT = os.environ["IMAGES"] + "/layout"
REQUESTS = [
    Request("pull", nothing, lambda: caisson("pull", NGINX), clear, restart=False),
    Request("import", nothing, lambda: caisson("import", "--which", "nginx", LAYOUT, "localhost/imported:1"), clear,
            restart=False),
    Request("export", need_nginx, lambda: caisson("export", "-o", DISK + "/exported.tar", NGINX), clear, restart=False),
    Request("tag", need_image, lambda: caisson("tag", BUSYBOX, "localhost/tagged:1"), clear),
    Request("rmi", need_nginx, lambda: caisson("rmi", NGINX), clear, frees=True),
    Request("prune", need_nginx, lambda: caisson("image", "prune", "-a"), clear, frees=True),
    Request("runp", need_image, lambda: crictl("runp", WORK + "/pod-full.json"), clear),
    Request("create", need_pod, lambda: crictl("create", POD, WORK + "/container-full.json", WORK + "/pod-full.json"),
            clear),
    Request("start", need_container, lambda: crictl("start", CTR), clear),
    Request("exec", need_running, lambda: crictl("exec", "-s", CTR, "echo", "hello"), clear),
    Request("checkpoint", needs_criu, lambda: crictl("checkpoint", "--export=" + DISK + "/checkpoint.tar", CTR), clear),
    Request("stop", need_running, lambda: crictl("stop", "-t", "0", CTR), clear, frees=True),
    Request("rm", need_container, lambda: crictl("rm", CTR), clear, frees=True),
    Request("stopp", need_running, lambda: crictl("stopp", POD), clear, frees=True),
    Request("rmp", need_running, lambda: crictl("rmp", "-f", POD), clear, frees=True),
]


def says_full(text):
    return any(w in text for w in ("No space left on device", "disk is full", "database or disk is full"))


def one(request, kib, floor):
    """A request with so much space: "done" or "full"."""
    request.before()
    before = seen()
    leave(kib)
    if request.restart:
        restart()
        fill(kib)
    had = free()
    r = request.do()
    if r.returncode == 0:
        relieve()
        request.after()
        verdict = "done"
    else:
        text = (r.stderr or r.stdout).strip()
        if request.frees:
            raise Wrong(f"takes away, and fails with {had} KiB left: {text[-300:]}")
        if not says_full(text):
            raise Wrong(f"with {had} KiB left, does not say that the disk is full: {text[-300:]}")
        settle()
        left = free()
        now = seen()
        if now != before and request.name != "start":
            raise Wrong(f"with {had} KiB left it failed, and this is to be seen: {now} instead of {before}")
        # the copy of the database may have been made meanwhile
        if left + 256 < had:
            raise Wrong(f"had {had} KiB, and {left} when it had failed: {text[-200:]}")
        relieve()
        if request.name == "start":
            # a start that failed is a container that has ended; the kubelet creates another one
            good(crictl("rm", "-f", CTR))
            global_create()
        good(request.do())
        request.after()
        verdict = "full"
    settle()
    # the database and its log keep what they once had
    if free() + 4096 < floor:
        raise Wrong(f"{floor} KiB were free before, {free()} are after all is removed")
    return verdict


def global_create():
    global CTR
    CTR = good(crictl("create", POD, WORK + "/container-full.json", WORK + "/pod-full.json"))


def amounts(request, quick):
    """Every few KiB where records are written, wider where layers are; a cut has one or two of them."""
    if quick:
        return [0] if request.frees else [8] if request.restart else [512, 6144]
    fine = [0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
    return fine + [1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--quick", action="store_true")
    args.add_argument("--only")
    args.add_argument("--report")
    args = args.parse_args()
    began = time.monotonic()
    clear()
    settle()
    floor = free()
    rows, failures, ran = [], [], 0
    for request in REQUESTS:
        if request.before is needs_criu and not os.environ.get("CRIU"):
            print("checkpoint: not run, there is no CRIU", flush=True)
            continue
        if args.only and request.name not in args.only.split(","):
            continue
        full = enough = 0
        least = None
        for kib in amounts(request, args.quick):
            ran += 1
            try:
                verdict = one(request, kib, floor)
            except (Wrong, subprocess.TimeoutExpired, OSError) as e:
                verdict = "wrong"
                failures.append(f"{request.name} with {kib} KiB: {e}")
                print(failures[-1], flush=True)
                relieve()
                try:
                    restart()
                    clear()
                except (Wrong, subprocess.TimeoutExpired, OSError) as e:
                    failures.append(f"{request.name} with {kib} KiB, afterwards: {e}")
                    print(failures[-1], flush=True)
            full += verdict == "full"
            enough += verdict == "done"
            if verdict == "done":
                least = kib if least is None else least
                # with more it is no different
                if enough >= 2:
                    break
        rows.append((request.name, full, enough, least))
        print(f"{request.name}: {full} times full, enough with {least} KiB", flush=True)
    summary = f"{ran - len(failures)} of {ran}"
    if args.report:
        with open(args.report, "w") as f:
            json.dump({"summary": summary, "seconds": round(time.monotonic() - began), "failures": failures,
                       "rows": rows}, f)
    print(f"{summary} requests on a full disk in {time.monotonic() - began:.0f} s")
    sys.exit(1 if failures or not ran else 0)


main()
