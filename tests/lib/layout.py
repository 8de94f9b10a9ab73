"""Images for tests, written by hand into an OCI layout: layers entry by entry, configs, manifests.

	out = layout.Layout("directory")
	base = layout.Layer().dir("tmp", 0o1777).copy("/bin/busybox", "bin/busybox").done()
	out.name("busybox", out.image([("busybox", base)], {"Cmd": ["/bin/sh"]}))
	out.close()

A name is the `org.opencontainers.image.ref.name` of index.json, which skopeo takes after the
directory's colon. Reproducible: the same input gives the same digests.
"""
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile

ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
OTHER_ARCH = "arm64" if ARCH != "arm64" else "amd64"
WHEN = 1700000000
OCI = "application/vnd.oci.image."


class Layer:
    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.PAX_FORMAT)
        self.dirs = set()

    def add(self, name, kind, mode, data=b"", link="", uid=0, gid=0, pax=None):
        parent = os.path.dirname(name)
        if parent and parent not in self.dirs:
            self.dir(parent)
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime, info.size = kind, mode, WHEN, len(data)
        info.linkname, info.uid, info.gid = link, uid, gid
        info.pax_headers = pax or {}
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def dir(self, name, mode=0o755, **more):
        self.dirs.add(name)
        return self.add(name, tarfile.DIRTYPE, mode, **more)

    def file(self, name, data, mode=0o644, **more):
        return self.add(name, tarfile.REGTYPE, mode, data if isinstance(data, bytes) else data.encode(), **more)

    def copy(self, source, name=None, mode=None):
        with open(source, "rb") as f:
            return self.file(name or source.lstrip("/"), f.read(), mode or os.stat(source).st_mode & 0o7777)

    def link(self, name, to):
        return self.add(name, tarfile.SYMTYPE, 0o777, link=to)

    def hard(self, name, to):
        return self.add(name, tarfile.LNKTYPE, 0o755, link=to)

    def done(self):
        self.tar.close()
        return self.bytes.getvalue()


class Layout:
    def __init__(self, directory):
        self.directory = directory
        self.names = []
        os.makedirs(directory + "/blobs/sha256", exist_ok=True)

    def blob(self, data):
        digest = hashlib.sha256(data).hexdigest()
        path = f"{self.directory}/blobs/sha256/{digest}"
        if not os.path.exists(path):
            with open(path, "wb") as f:
                f.write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}

    def pack(self, tar, how):
        if how == "gzip":
            out = io.BytesIO()
            with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0, filename="") as z:
                z.write(tar)
            return {"mediaType": OCI + "layer.v1.tar+gzip", **self.blob(out.getvalue())}
        if how == "zstd":
            packed = subprocess.run(["zstd", "-q", "-3", "-c"], input=tar, stdout=subprocess.PIPE, check=True).stdout
            return {"mediaType": OCI + "layer.v1.tar+zstd", **self.blob(packed)}
        return {"mediaType": OCI + "layer.v1.tar", **self.blob(tar)}

    # layers: pairs of a name for the history and the tar's bytes
    def image(self, layers, config, how="gzip", arch=ARCH):
        hows = how if isinstance(how, list) else [how] * len(layers)
        conf = {
            "created": "2026-01-01T00:00:00Z", "architecture": arch, "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(t).hexdigest() for _, t in layers]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": name} for name, _ in layers],
        }
        manifest = {
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json", **self.blob(json.dumps(conf).encode())},
            "layers": [self.pack(t, h) for (_, t), h in zip(layers, hows)],
        }
        return {"mediaType": OCI + "manifest.v1+json", **self.blob(json.dumps(manifest).encode()),
                "platform": {"architecture": arch, "os": "linux"}}

    # an index whose first entry is a decoy: an image for another architecture
    def index(self, image):
        decoy = Layer().file("decoy", "for another architecture\n").done()
        first = self.image([("decoy", decoy)], {"Cmd": ["/decoy"]}, arch=OTHER_ARCH)
        index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [first, image]}
        return {"mediaType": OCI + "index.v1+json", **self.blob(json.dumps(index).encode())}

    def name(self, name, descriptor):
        self.names.append({**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}})

    def close(self):
        with open(self.directory + "/index.json", "w") as f:
            json.dump({"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": self.names}, f)
        with open(self.directory + "/oci-layout", "w") as f:
            f.write('{"imageLayoutVersion":"1.0.0"}')
