/*
 * The names of images, as docker and Kubernetes mean them.
 *
 *	nginx                          docker.io/library/nginx:latest
 *	user/app:v1                    docker.io/user/app:v1
 *	localhost:5000/a/b             the host is what has a dot, a colon, or is "localhost"
 *	[::1]:5000/a@sha256:…          by digest: no tag is assumed
 *	host/name:tag@sha256:…         the digest decides; the tag is dropped, as containerd does
 *
 * Syntax: https://pkg.go.dev/github.com/distribution/reference (the grammar in its package
 * text) and the OCI distribution specification. Names are hostile: they become parts of
 * URLs. What passes here holds only [a-z0-9._-/] in the repository, no empty, "." or ".."
 * component, and host and repository together are at most REFERENCE_MAX long. No I/O; any
 * thread.
 */
#pragma once

#include "base/base.h"

enum { REFERENCE_MAX = 255, REFERENCE_TAG_MAX = 128, REFERENCE_DIGEST_MAX = 71 };

struct reference {
	char host[REFERENCE_MAX + 1];       /* "docker.io", "localhost:5000", "[::1]:5000" */
	char repository[REFERENCE_MAX + 1]; /* "library/nginx" */
	char tag[REFERENCE_TAG_MAX + 1];    /* "" with a digest */
	char digest[REFERENCE_DIGEST_MAX + 1]; /* "sha256:…" or "" */
};

enum { REFERENCE_TEXT_MAX = 2 * REFERENCE_MAX + REFERENCE_TAG_MAX + 8 };

/* INVALID with the reason. 64 bare hex digits, or "sha256:" and them, are
 * refused: that is the id of an image. */
int reference_parse(const char *text, struct reference *ret, struct err *err);
/* "docker.io/library/nginx:latest" or "docker.io/library/nginx@sha256:…". Returns out. */
char *reference_format(const struct reference *r, char out[REFERENCE_TEXT_MAX]);
