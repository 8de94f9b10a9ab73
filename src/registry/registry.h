/*
 * registry — the pull side of the OCI distribution protocol, over HTTPS.
 *
 * https://github.com/opencontainers/distribution-spec (v1.1), and the token flow of
 * https://distribution.github.io/distribution/spec/auth/token/.
 *
 *	registry_new(&settings, &reg, &err);                       one a program
 *	registry_session_new(reg, "docker.io", "library/nginx", creds, &cancel, &s, &err);
 *	registry_manifest_get(s, "latest", &text, type, &err);
 *	registry_blob_open(s, "sha256:…", &blob, &err);
 *	while ((n = registry_blob_read(blob, buf, size, &err)) > 0) …
 *	registry_blob_close(blob);
 *	registry_session_free(s);
 *
 * Threads. A session is one pull's view of one repository: it holds what authentication has
 * brought. Its functions may be called from several threads at once, each blob by one. All
 * block: on the network, and in back-off after 429 and 5xx (at most half a minute in all).
 * The cancel flag of the session is looked at four times a second.
 *
 * Hosts. A registry may have mirrors and settings of its own (registry/hosts.h); they are read
 * anew for each session. Each request goes to the first host that can do it and to the next
 * when that fails, the registry itself last; a host that could not be reached is asked last
 * from then on. What a mirror is asked for carries `?ns=<registry>`.
 *
 * Transport. Where nothing else is set: HTTPS with the system's certificates, or those of
 * `ca_file`. A registry on loopback (localhost, 127.0.0.0/8, ::1) is spoken to by plain HTTP,
 * and by HTTPS if it does not answer so. A registry in `insecure` may have any certificate, or
 * speak plain HTTP. "docker.io" is reached at registry-1.docker.io. Proxies come from the
 * environment, except for loopback.
 *
 * Credentials. Those of the caller are for the registry itself, or for the host that they
 * name; they go there and to the token server that it names, and nowhere else: a redirect to
 * another host carries none. They are not sent in the clear where the registry speaks TLS.
 * For whom the caller has none, and for mirrors, the files and helpers of the node are looked
 * through (registry/credentials.h), once a host asks who we are. What a refusal says ends with
 * the source of the credentials that were refused.
 *
 * What a server sends is hostile: header lines, challenges, tokens and error texts are
 * bounded, manifests by the buffer's bound; a blob is as long as it is and its reader
 * counts. Nothing is believed by this room; digests are the caller's to check.
 *
 * Errors begin with the host: `registry-1.docker.io: manifest latest: …`, and give what the
 * server said. Where there are several hosts they begin with the registry and tell of each in
 * its order; the kind is that of the last. UNAVAILABLE: cannot be reached, broke off, stalled
 * (below 1 B/s for `stall_timeout`); DENIED: 401 and 403; NOT_FOUND: 404; LIMIT: an answer that is too
 * large; CANCELLED.
 */
#pragma once

#include "base/base.h"

#include <stdatomic.h>

struct config_registry; /* config/config.h */
struct registry;
struct registry_session;
struct registry_blob;

struct registry_settings {
	const char *const *insecure; /* "host" or "host:port" */
	size_t n_insecure;
	const char *ca_file;         /* PEM; NULL: the system's */
	int64_t connect_timeout;     /* ns; 0: 10 s */
	int64_t stall_timeout;       /* ns; 0: 30 s */
	const struct config_registry *registries; /* mirrors and settings of hosts, by registry */
	size_t n_registries;
	const char *const *hosts_dirs; /* with <registry>/hosts.toml: registry/hosts.h */
	size_t n_hosts_dirs;
	const char *const *auth_files; /* config.json, auth.json: registry/credentials.h */
	size_t n_auth_files;
};

/* Settings are copied. */
int registry_new(const struct registry_settings *settings, struct registry **ret, struct err *err);
/* New settings: sessions that are open keep theirs. Any thread. */
void registry_configure(struct registry *reg, const struct registry_settings *settings);
/* Since it was made. Any thread. */
void registry_counters(const struct registry *reg, uint64_t *ret_requests, uint64_t *ret_retries);
/* After all its sessions. NULL is fine. */
void registry_free(struct registry *reg);

/* NULL and "" are the same everywhere. */
struct registry_credentials {
	const char *username, *password;
	const char *auth;           /* base64 of username:password, used when username is empty */
	const char *identity_token; /* OAuth2 refresh token */
	const char *registry_token; /* sent as Bearer token as it is */
	const char *server;         /* which host they are for, "https://index.docker.io/v1/"; empty:
				     * the registry of the session */
};

/*
 * Chooses the hosts to ask (registry/hosts.h), which reads their files: INVALID when one is
 * wrong. credentials may be NULL and are copied; cancel may be NULL and is borrowed.
 */
int registry_session_new(struct registry *reg, const char *host, const char *repository,
			 const struct registry_credentials *credentials, const atomic_bool *cancel,
			 struct registry_session **ret, struct err *err);
void registry_session_free(struct registry_session *s);

enum { REGISTRY_TYPE_MAX = 128 };

/* Appends the manifest or index of a tag or digest to out; type gets the Content-Type, "" if none. */
int registry_manifest_get(struct registry_session *s, const char *reference, struct buf *out,
			  char type[REGISTRY_TYPE_MAX], struct err *err);

/*
 * The bytes of a blob from `offset` on, in their order. size: what its descriptor says. Returns
 * when a host has answered. The blob must be closed before the session.
 *
 * A transfer that breaks off or stalls is gone on with where it ended, at the next host if
 * there is one; it fails when nothing new comes in BLOB_TRIES tries. A large blob is read in
 * pieces over several connections, where the host knows ranges; a piece that comes at less than a
 * sixteenth of the others' pace goes on elsewhere. Threads of its own fetch them ahead, and 24 MiB for all blobs of a session bound what lies in memory.
 */
int registry_blob_open(struct registry_session *s, const char *digest, uint64_t size, uint64_t offset,
		       struct registry_blob **ret, struct err *err);
/* Bytes, 0 at the end, which may be too early or too late: a host can have another blob. Negative. */
ssize_t registry_blob_read(struct registry_blob *b, void *buf, size_t len, struct err *err);
/* What it gave had another digest: the hosts that it came from are asked last from now on. True when
 * there are others. */
bool registry_blob_distrust(struct registry_blob *b);
void registry_blob_close(struct registry_blob *b);

/* ---- explanation ---- */

enum registry_outcome {
	REGISTRY_HAS,         /* it answered with the manifest */
	REGISTRY_FAILED,      /* err says why */
	REGISTRY_NOT_ALLOWED, /* its capabilities do not include this */
	REGISTRY_NOT_NEEDED,  /* one before it has it */
};

/* What became of one host, in the order of asking. */
struct registry_step {
	enum registry_outcome outcome;
	char address[300];      /* "https://mirror.example:5000/v2" */
	char repository[256];   /* as asked for there */
	char source[300];       /* where the settings of the host come from */
	char credentials[300];  /* where its credentials come from; "": none */
	char capabilities[32];
	char type[REGISTRY_TYPE_MAX]; /* of the manifest, with HAS */
	char protocol[16];      /* "HTTP/2", likewise */
	bool mirror;
	int64_t duration;       /* ns */
	struct err err;
};

/* Asks the hosts of a fresh session for the manifest as a pull would, and tells of each.
 * *ret is the heap's. Fails only when it is cancelled. */
int registry_explain(struct registry_session *s, const char *reference, struct registry_step **ret,
		     size_t *ret_n,
		     struct err *err);
