/*
 * cri-call — one gRPC call from the shell: a packed message in, a packed message out.
 *
 *	protoc --encode=runtime.v1.VersionRequest schema/cri.proto </dev/null |
 *	cri-call [-t MILLISECONDS] SOCKET /runtime.v1.RuntimeService/Version |
 *	protoc --decode=runtime.v1.VersionResponse schema/cri.proto
 *
 * With -t the deadline goes along and nobody waits longer. A failed call prints
 * "NOT_FOUND: text" (the kind as base/err.h names it) on stderr and exits with 1.
 */
#include "rpc/rpc.h"

#include <getopt.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	CLEANUP(buf_done) struct buf request = BUF_INIT(GRPC_MESSAGE_MAX * 2), response = BUF_INIT(GRPC_MESSAGE_MAX);
	int64_t deadline = INT64_MAX;
	struct grpc_client *client;
	struct err err = ERR_INIT;
	int option, r;

	while ((option = getopt(argc, argv, "t:")) != -1) {
		int64_t ms;

		if (option != 't' || str_to_i64(optarg, 10, &ms) < 0)
			return 2;
		deadline = time_now_mono() + ms * NSEC_PER_MSEC;
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: cri-call [-t MILLISECONDS] SOCKET PATH <request >response\n");
		return 2;
	}
	while (buf_read_fd(&request, STDIN_FILENO, 65536) > 0)
		;
	r = grpc_client_new(argv[optind], time_now_mono() + 10 * NSEC_PER_SEC, &client, &err);
	if (r == 0) {
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
	return fwrite(response.data, 1, response.len, stdout) == response.len ? 0 : 1;
}
