/* A disk that is too full to keep the bytes is no reason to fail: they pass through unkept. */
#include "image/resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

static void stop_keeping(struct resume *s)
{
	if (s->fd < 0)
		return;
	store_partial_drop(s->store, s->descriptor->digest);
	/* the name is gone; so is the space */
	fd_drop(&s->fd);
}

static ssize_t read_next(struct source *source, void *buf, size_t len, struct err *err)
{
	struct resume *s = (struct resume *)source;
	ssize_t n;

	if (s->at < s->have) {
		n = pread(s->fd, buf, len < s->have - s->at ? len : s->have - s->at, (off_t)s->at);
		if (n < 0)
			return err_sys(err, errno, "read what was fetched before");
		/* shorter than it was: someone has been there, and the digest will tell */
		s->at += (uint64_t)n;
		return n;
	}
	n = s->from ? source_read(s->from, buf, len, err) : 0;
	if (n <= 0)
		return n;
	for (ssize_t done = 0; s->fd >= 0 && done < n;) {
		ssize_t w = pwrite(s->fd, (char *)buf + done, (size_t)(n - done), (off_t)s->at + done);

		if (w <= 0)
			stop_keeping(s);
		else
			done += w;
	}
	s->at += (uint64_t)n;
	return n;
}

int resume_open(struct resume *s, struct store *store, struct content *content,
		const struct oci_descriptor *d,
		bool fresh, struct err *err)
{
	*s = (struct resume){ { read_next }, store, content, d, NULL, -EBADF, 0, 0 };
	if (d->size >= RESUME_MIN && content->resumes &&
	    store_partial_open(store, d->digest, &s->fd, &s->have, NULL) != 1)
		s->have = 0;
	if (s->fd >= 0 && (fresh || s->have > (uint64_t)d->size)) {
		s->have = 0;
		if (ftruncate(s->fd, 0) < 0)
			stop_keeping(s);
	}
	if (s->have == (uint64_t)d->size && s->have)
		return 0;
	return content->blob_open(content, d, s->have, &s->from, err);
}

bool resume_distrust(struct resume *s)
{
	bool others = s->from && s->content->distrust && s->content->distrust(s->content, s->from);

	return others || s->have;
}

void resume_close(struct resume *s, bool keep)
{
	if (s->from)
		s->content->blob_close(s->content, s->from);
	if (!keep)
		stop_keeping(s);
	fd_drop(&s->fd);
}
