/* What session.c and auth.c share: one pull's view of one repository. */
#pragma once

#include "registry/transfer.h"

#include <pthread.h>

struct registry {
	char **insecure;
	size_t n_insecure;
	char *ca_file;
	int64_t connect_timeout, stall_timeout;
};

enum scheme { SCHEME_HTTPS, SCHEME_HTTP };

struct registry_session {
	struct registry *reg;
	char *host;       /* as connected to: registry-1.docker.io */
	char *repository;
	char *username, *password, *identity_token, *registry_token; /* "" where absent */
	const atomic_bool *cancel;
	enum scheme schemes[2]; /* in the order of trying */
	size_t n_schemes;
	pthread_mutex_t mutex;
	/* under the mutex */
	size_t scheme;          /* the one that answered, or the first */
	bool scheme_known;
	char *authorization;    /* header value, or NULL */
	unsigned generation;    /* counts its changes */
};

/* Fills what a request to this URL needs besides its own parts. */
void session_request(const struct registry_session *s, const char *url, struct transfer_request *req);

/*
 * auth.c: answers a 401. `generation` is that of the authorization which was refused: when
 * another thread has brought a newer one meanwhile there is nothing to do. DENIED when
 * nothing more can be tried.
 */
int session_authenticate(struct registry_session *s, const struct transfer_answer *answer,
			 unsigned generation,
			 struct err *err);

/* What the server says in the body of an error, in one line: "denied: requested access …". */
void session_server_words(struct transfer *t, char *out, size_t size);
