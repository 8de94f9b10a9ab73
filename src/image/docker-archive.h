/*
 * The archives of `docker save`: manifest.json, configs, and a file for each layer. They
 * have no manifest of their own, so one is made, from the digests of what is there.
 *
 * The directory that the archive was unpacked into is hostile: paths are resolved with it as
 * "/" (old archives use links from one layer to another), and only regular files are read.
 */
#pragma once

#include "image/content.h"

struct docker_images; /* image/docker-manifest.h */

struct docker_archive {
	struct content content;     /* of the image that was chosen */
	int dirfd;
	struct arena arena;
	struct buf manifest;
	char manifest_digest[DIGEST_TEXT];
	struct {
		char digest[DIGEST_TEXT];
		const char *path;
	} *files;
	size_t n_files;
	char **tags;                /* its names in the archive, as they stand there */
	size_t n_tags;
};

/* Is there a manifest.json? dirfd is borrowed until docker_archive_done. */
bool docker_archive_is(int dirfd);
/* What its manifest.json lists; in the arena. */
int docker_archive_list(int dirfd, struct arena *a, struct docker_images *ret, struct err *err);
/* which: one of its names, when it holds several images; NULL with one. */
int docker_archive_open(struct docker_archive *d, int dirfd, const char *which, struct err *err);
void docker_archive_done(struct docker_archive *d);
