/*
 * Credentials that lie on the node: docker's config.json and podman's auth.json, and the
 * credential helpers that they name.
 *
 * The files are asked in their order, each for the most specific key first, as podman does
 * it: "host/team/app", "host/team", "host"; keys may be written as URLs ("https://host/v1/").
 * docker.io is also known as index.docker.io and registry-1.docker.io. What a file says for a
 * key: `auths` with auth, username and password, identitytoken, registrytoken; else
 * `credHelpers` for the host; else `credsStore`. The first that has something wins.
 *
 * A helper is the program docker-credential-<name> in $PATH, called as `get` with the key on
 * stdin (https://github.com/docker/docker-credential-helpers). It has HELPER_TIMEOUT, and
 * what it prints is bounded and read as any hostile document.
 */
#pragma once

#include "base/base.h"

struct credentials {
	const char *username, *password, *identity_token, *registry_token; /* "" where absent */
	const char *source; /* "/root/.docker/config.json, auths.ghcr.io" */
};

/*
 * 1 found, 0 none, negative: a file or a helper is broken, which says which. Files that do not
 * exist are passed over. Blocks on disk and on the helper. All strings lie in the arena.
 */
int credentials_find(const char *const *files, size_t n_files, const char *host, const char *repository,
		     struct arena *a, struct credentials *ret, struct err *err);

/* "user:password" in base64 into its halves. INVALID. */
int credentials_split(const char *auth, struct arena *a, const char **ret_username, const char **ret_password,
		      struct err *err);

/* ---- without I/O ---- */

/* 1 and *ret, or 1 and *ret_helper with *ret_key for it; 0: nothing there for this host. */
int credentials_read(const char *name, const void *text, size_t len, const char *host, const char *repository,
		     struct arena *a, struct credentials *ret, const char **ret_helper, const char **ret_key,
		     struct err *err);
/* What a helper printed. */
int credentials_read_helper(const void *text, size_t len, struct arena *a, struct credentials *ret,
			    struct err *err);
