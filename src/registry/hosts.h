/*
 * Which hosts are asked for the images of a registry, in which order and how: read anew for
 * each pull, so that a changed file counts from the next pull on.
 *
 * One registry name ("docker.io", "localhost:5000") has one set of settings, the first of
 *
 *	registries."docker.io"    in our configuration
 *	<dir>/docker.io_443_, <dir>/docker.io   with hosts.toml, or certificates as docker has them,
 *	                          in the first of `hosts_dirs` that has such a directory
 *	registries."_default"     in our configuration
 *	<dir>/_default            likewise
 *	none                      the registry itself, as registry.h says
 *
 * Nothing is merged: who looks into one place sees everything. Mirrors come in the order in
 * which they are written, the registry itself (`server`) last, unless `fallback` is false.
 *
 * hosts.toml is containerd's (docs/hosts.md of containerd): server, capabilities, ca, client,
 * skip_verify, header, override_path, dial_timeout, at the top for the server and below
 * [host."URL"] for a mirror. What it does not know is refused by name, since a setting that
 * is overlooked is worse than one that is missing. In the place of a whole hosts.toml a
 * directory may have docker's files: *.crt (authorities), *.cert with *.key (client).
 */
#pragma once

#include "config/config.h"
#include "registry/challenge.h"

enum scheme { SCHEME_HTTPS, SCHEME_HTTP };

struct host {
	struct host *next;
	char *name;             /* "mirror.example:5000": what is connected to */
	char *path;             /* "/v2", "/prefix/v2": before the repository */
	enum scheme schemes[2]; /* in the order of trying */
	size_t n_schemes;
	bool bare;              /* its address was written without a scheme */
	bool mirror;            /* not the registry itself */
	bool pull, resolve;     /* blobs and manifests by digest; tags */
	bool skip_verify;
	char *ca;               /* PEM, besides the system's; NULL */
	char *client_cert, *client_key; /* paths; NULL */
	char **headers;         /* "Name: value" */
	size_t n_headers;
	char **rewrites;        /* pairs of a prefix of the repository and its replacement */
	size_t n_rewrites;
	int64_t connect_timeout; /* ns */
	const char *source;     /* "registries.docker.io in the configuration", a file's path, "default" */
	char *broken;           /* why it cannot be asked at all (a certificate that is missing), or NULL */
};

/* The settings of a program, immutable and counted: a pull keeps those it began with. */
struct policy;
struct registry_settings;
struct policy *policy_new(const struct registry_settings *settings);
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p);
/* What is left of the settings that are not hosts'. */
struct policy_rest {
	const char *ca_file;
	int64_t connect_timeout, stall_timeout;
	const char *const *auth_files;
	size_t n_auth_files;
};
const struct policy_rest *policy_rest(const struct policy *p);

/* In the list of registries that may have any certificate. */
bool policy_insecure(const struct policy *p, const char *host);

/* Reads files; blocks on disk. INVALID: what is wrong in which file. At least one host. */
int hosts_choose(const struct policy *p, const char *registry, struct arena *a, struct host **ret,
		 struct err *err);

/* The repository as this host has it. In the arena. */
const char *host_repository(const struct host *h, const char *repository, struct arena *a);

/* ---- hosts-toml.c, without I/O ---- */

struct host_files {             /* what a host wants from the disk, as written */
	const char *ca[16];
	size_t n_ca;
	const char *client[2];  /* certificate, key */
};

/*
 * A hosts.toml as hosts in their order; files[i] belongs to the i-th. `registry` is for the
 * default server. At most HOSTS_MAX.
 */
enum { HOSTS_MAX = 32 };
int hosts_toml_read(const char *name, const void *text, size_t len, const char *registry, struct arena *a,
		    struct host **ret, struct host_files files[HOSTS_MAX], struct err *err);

/*
 * "https://host:port/path", "host:port": fills name, path and schemes. Without a scheme it is
 * HTTPS, and HTTP on loopback, where HTTPS is tried next. INVALID.
 */
int host_set_url(struct host *h, const char *url, bool override_path, struct arena *a, struct err *err);
/* A host that is asked for everything, with nothing set. */
struct host *host_new(struct arena *a, const char *source);
