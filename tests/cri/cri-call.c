/*
 * cri-call — one gRPC call from the shell: a packed message in, a packed message out.
 *
 *	protoc --encode=runtime.v1.VersionRequest schema/cri.proto </dev/null |
 *	cri-call [-t MILLISECONDS] SOCKET /runtime.v1.RuntimeService/Version |
 *	protoc --decode=runtime.v1.VersionResponse schema/cri.proto
 *
 * With -t the deadline goes along and nobody waits longer. A failed call prints
 * "NOT_FOUND: text" (the kind as base/err.h names it) on stderr and exits with 1.
 *
 * With -s the call is a stream: its messages one after another, which is one message with all
 * their elements where the answer is a list; "N messages" goes to stderr. -w SECONDS reads
 * nothing for so long, and -n N no more than so many messages.
 */
#include "rpc/rpc.h"

#include <getopt.h>
#include <stdio.h>

static int stream(struct grpc_client *client, const char *path, const struct buf *request, int64_t deadline,
		  unsigned wait, int64_t max, struct err *err)
{
	struct grpc_stream *s;
	int64_t n = 0;
	int r = grpc_stream_open(client, path, request->data, request->len, deadline, &s, err);

	if (r < 0)
		return r;
	sleep(wait);
	r = 1;
	while (r > 0 && n < max) {
		CLEANUP(buf_done) struct buf message = BUF_INIT(GRPC_MESSAGE_MAX);

		r = grpc_stream_next(s, &message, err);
		n += r > 0;
		if (message.len)
			fwrite(message.data, 1, message.len, stdout);
		fflush(stdout);
	}
	fprintf(stderr, "%lld messages\n", (long long)n);
	grpc_stream_close(s);
	return r;
}

int main(int argc, char **argv)
{
	CLEANUP(buf_done) struct buf request = BUF_INIT(GRPC_MESSAGE_MAX * 2), response = BUF_INIT(GRPC_MESSAGE_MAX);
	int64_t deadline = INT64_MAX, wait = 0, max = INT64_MAX;
	bool streams = false;
	struct grpc_client *client;
	struct err err = ERR_INIT;
	int option, r;

	while ((option = getopt(argc, argv, "t:sw:n:")) != -1) {
		int64_t number = 0;

		if (option == '?' || (optarg && str_to_i64(optarg, 10, &number) < 0))
			return 2;
		if (option == 't')
			deadline = time_now_mono() + number * NSEC_PER_MSEC;
		streams |= option == 's';
		wait = option == 'w' ? number : wait;
		max = option == 'n' ? number : max;
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: cri-call [-t MILLISECONDS] [-s [-w SECONDS] [-n N]] SOCKET PATH <request "
				">response\n");
		return 2;
	}
	while (buf_read_fd(&request, STDIN_FILENO, 65536) > 0)
		;
	r = grpc_client_new(argv[optind], time_now_mono() + 10 * NSEC_PER_SEC, &client, &err);
	if (r == 0 && streams) {
		r = stream(client, argv[optind + 1], &request, deadline, (unsigned)wait, max, &err);
		grpc_client_free(client);
	} else if (r == 0) {
		r = grpc_client_call(client, argv[optind + 1], request.data, request.len, deadline, &response, &err);
		grpc_client_free(client);
	}
	if (r < 0) {
		/* the client adds the path in front: what the server said is wanted here */
		const char *text = str_skip_prefix(err.text, argv[optind + 1]);

		text = text && str_skip_prefix(text, ": ") ? text + 2 : err.text;
		fprintf(stderr, "%s: %s\n", err_kind_info(err.kind)->name, text);
		return 1;
	}
	return !response.len || fwrite(response.data, 1, response.len, stdout) == response.len ? 0 : 1;
}
