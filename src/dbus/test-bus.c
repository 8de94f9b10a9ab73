/*
 * Calls, errors and signals over a real bus (dbus-daemon, started for the test), and peers
 * that do not behave. Without dbus-daemon it skips.
 */
#include "dbus/dbus.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

static char dir[64], address[128];
static pid_t daemon_pid;

static int64_t soon(void)
{
	return time_now_mono() + 10 * NSEC_PER_SEC;
}

static int start_bus(void **state)
{
	char config[512], path[128];

	strcpy(dir, "/tmp/dbus-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(address, sizeof(address), "unix:path=%s/nobody;unix:path=%s/b%%75s", dir, dir);
	snprintf(path, sizeof(path), "%s/conf", dir);
	snprintf(config, sizeof(config),
		 "<busconfig><type>session</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>"
		 "<policy context='default'><allow send_destination='*'/><allow own='*'/>"
		 "<allow eavesdrop='true'/></policy></busconfig>", dir);
	assert_int_equal(sys_file_replace(AT_FDCWD, path, config, strlen(config), 0644, false), 0);
	daemon_pid = fork();
	if (daemon_pid == 0) {
		snprintf(config, sizeof(config), "--config-file=%s", path);
		execlp("dbus-daemon", "dbus-daemon", config, "--nofork", NULL);
		_exit(127);
	}
	snprintf(path, sizeof(path), "%s/bus", dir);
	for (int i = 0; i < 500 && access(path, F_OK) < 0 && waitpid(daemon_pid, NULL, WNOHANG) == 0; i++)
		usleep(10000);
	if (access(path, F_OK) < 0)
		daemon_pid = 0;
	return 0;
}

static int stop_bus(void **state)
{
	if (daemon_pid) {
		kill(daemon_pid, SIGKILL);
		waitpid(daemon_pid, NULL, 0);
	}
	return sys_remove_tree(AT_FDCWD, dir);
}

static struct dbus *open_bus(void)
{
	struct err err = ERR_INIT;
	struct dbus *bus = NULL;

	if (!daemon_pid)
		skip();
	if (dbus_open(address, DBUS_BUS, soon(), &bus, &err) < 0)
		fail_msg("%s", err.text);
	return bus;
}

static const struct dbus_method get_owner = { "org.freedesktop.DBus", "/org/freedesktop/DBus",
					      "org.freedesktop.DBus", "GetNameOwner" };
static const struct dbus_method request_name = { "org.freedesktop.DBus", "/org/freedesktop/DBus",
						 "org.freedesktop.DBus", "RequestName" };

static void a_call_has_its_reply(void **state)
{
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
	CLEANUP(dbus_freep) struct dbus *bus = open_bus();
	struct err err = ERR_INIT;
	struct dbus_reader r;

	dbus_put_string(&body, "org.freedesktop.DBus");
	assert_int_equal(dbus_call(bus, &get_owner, "s", &body, soon(), &reply, &err), 0);
	dbus_reader_init(&r, &reply);
	assert_string_equal(dbus_get_string(&r), "org.freedesktop.DBus");
	assert_false(dbus_reader_failed(&r));
}

static void a_refusal_is_an_error_with_its_name(void **state)
{
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
	CLEANUP(dbus_freep) struct dbus *bus = open_bus();
	struct err err = ERR_INIT;

	dbus_put_string(&body, "org.example.Nobody");
	assert_true(dbus_call(bus, &get_owner, "s", &body, soon(), &reply, &err) < 0);
	assert_string_equal(dbus_error_name(bus), "org.freedesktop.DBus.Error.NameHasNoOwner");
	assert_non_null(strstr(err.text, "GetNameOwner: "));
	/* and the connection works on */
	err_clear(&err);
	a_call_has_its_reply(state);
}

static void a_watched_signal_is_kept_until_it_is_asked_for(void **state)
{
	CLEANUP(dbus_message_done) struct dbus_message m = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
	CLEANUP(dbus_freep) struct dbus *bus = open_bus();
	struct err err = ERR_INIT;
	struct dbus_reader r;

	assert_int_equal(dbus_watch(bus, "org.freedesktop.DBus", "NameOwnerChanged", soon(), &err), 0);
	dbus_put_string(&body, "org.example.Mine");
	dbus_put_u32(&body, 0);
	assert_int_equal(dbus_call(bus, &request_name, "su", &body, soon(), &m, &err), 0);
	for (;;) {
		assert_int_equal(dbus_next_signal(bus, soon(), &m, &err), 0);
		dbus_reader_init(&r, &m);
		if (str_eq(dbus_get_string(&r), "org.example.Mine"))
			break;
	}
	assert_string_equal(dbus_get_string(&r), ""); /* the old owner */
	assert_int_equal(dbus_get_string(&r)[0], ':');
	assert_false(dbus_reader_failed(&r));
}

static void waiting_ends_with_the_deadline(void **state)
{
	CLEANUP(dbus_message_done) struct dbus_message m = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_freep) struct dbus *bus = open_bus();
	struct err err = ERR_INIT;
	int64_t begin = time_now_mono();

	assert_int_equal(dbus_watch(bus, "org.example.Silence", "Never", soon(), &err), 0);
	assert_true(dbus_next_signal(bus, begin + 100 * NSEC_PER_MSEC, &m, &err) < 0);
	assert_int_equal(err.kind, ERR_TIMEOUT);
	assert_true(time_now_mono() - begin >= 100 * NSEC_PER_MSEC);
}

static void nobody_there_is_said_with_the_address(void **state)
{
	CLEANUP(dbus_freep) struct dbus *bus = NULL;
	struct err err = ERR_INIT;

	assert_true(dbus_open("unix:path=/tmp/none/at/all", DBUS_PEER, soon(), &bus, &err) < 0);
	assert_int_equal(err.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "/tmp/none/at/all"));
	err_clear(&err);
	assert_true(dbus_open("tcp:host=localhost,port=1", DBUS_PEER, soon(), &bus, &err) < 0);
	assert_int_equal(err.kind, ERR_INVALID);
}

/* ---- peers that do not behave ------------------------------------------------------------ */

struct peer {
	int listen;
	const char *greeting, *bytes; /* after the authentication line; after BEGIN */
	size_t n_bytes;
};

static void *run_peer(void *user)
{
	const struct peer *p = user;
	autofd int fd = accept(p->listen, NULL, NULL);
	char text[4096];
	size_t n = 0;

	while (n < sizeof(text) - 1 && !memmem(text, n, "\r\n", 2))
		if (read(fd, text + n++, 1) <= 0)
			return NULL;
	if (write(fd, p->greeting, strlen(p->greeting)) < 0)
		return NULL;
	if (p->n_bytes) {
		for (n = 0; n < sizeof(text) - 1 && !memmem(text, n, "BEGIN\r\n", 7);)
			if (read(fd, text + n++, 1) <= 0)
				return NULL;
		if (write(fd, p->bytes, p->n_bytes) < 0)
			return NULL;
	}
	/* the other end closes first, or gives up */
	while (read(fd, text, sizeof(text)) > 0)
		;
	return NULL;
}

static void peers_that_break_the_protocol_are_left(void **state)
{
	static const char reply_to_nothing[] = "l\2\1\1\0\0\0\0\5\0\0\0\10\0\0\0\5\1u\0\143\0\0\0";
	static const struct {
		const char *greeting, *bytes;
		size_t n;
		enum err_kind kind;
	} cases[] = {
		{ "OK 1234deadbeef\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", 28, ERR_CORRUPT },
		{ "DATA\r\nOK 1234deadbeef\r\n", reply_to_nothing, sizeof(reply_to_nothing) - 1,
		  ERR_TIMEOUT },
		{ "WHAT\r\n", "", 0, ERR_CORRUPT },
		{ "REJECTED EXTERNAL\r\n", "", 0, ERR_DENIED },
		{ "", "", 0, ERR_TIMEOUT },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(dbus_message_done) struct dbus_message m = DBUS_MESSAGE_INIT;
		autofd int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct sockaddr_un a = { .sun_family = AF_UNIX };
		struct peer peer = { listener, cases[i].greeting, cases[i].bytes, cases[i].n };
		struct dbus *bus = NULL;
		struct err err = ERR_INIT;
		char where[160];
		pthread_t thread;
		int r;

		snprintf(a.sun_path, sizeof(a.sun_path), "%s/peer%zu", dir, i);
		assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(listen(listener, 1), 0);
		assert_int_equal(pthread_create(&thread, NULL, run_peer, &peer), 0);
		snprintf(where, sizeof(where), "unix:path=%s/peer%zu", dir, i);
		r = dbus_open(where, DBUS_PEER, time_now_mono() + 500 * NSEC_PER_MSEC, &bus, &err);
		if (r == 0)
			r = dbus_call(bus, &get_owner, "", NULL, time_now_mono() + 200 * NSEC_PER_MSEC, &m,
				      &err);
		assert_true(r < 0);
		if (err.kind != cases[i].kind)
			fail_msg("case %zu: %s", i, err.text);
		dbus_free(bus);
		pthread_join(thread, NULL);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_has_its_reply),
		cmocka_unit_test(a_refusal_is_an_error_with_its_name),
		cmocka_unit_test(a_watched_signal_is_kept_until_it_is_asked_for),
		cmocka_unit_test(waiting_ends_with_the_deadline),
		cmocka_unit_test(nobody_there_is_said_with_the_address),
		cmocka_unit_test(peers_that_break_the_protocol_are_left),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, start_bus, stop_bus);
}
