/*
 * The embedded default with the real plugins. The whole test lives in a network and a mount
 * namespace of its own, which plays the host: nothing of the machine's network is touched, and
 * what a failing test leaves goes with its process.
 */
#include "cni/load.h"
#include "sys/sys.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

static char dir[64];
static struct cni *cni;

static int64_t in_seconds(int s)
{
	return time_now_mono() + s * NSEC_PER_SEC;
}

static const char *path_of(const char *name)
{
	static char path[4][256];
	static int turn;
	char *p = path[turn++ % 4];

	snprintf(p, 256, "%s/%s", dir, name);
	return p;
}

static void shell(const char *command, struct buf *out)
{
	const char *argv[] = { "/bin/sh", "-c", command, NULL };
	const char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	struct sys_spawn s = { .path = "/bin/sh", .argv = argv, .env = env, .deadline = in_seconds(20) };
	CLEANUP(buf_done) struct buf complaints = BUF_INIT(4096);
	int status;

	assert_int_equal(sys_spawn_run(&s, out, &complaints, &status), 0);
	if (status)
		fail_msg("%s: %s", command, buf_text(&complaints));
}

static void assert_output_lacks(const char *command, const char *what)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);

	shell(command, &out);
	if (strstr(buf_text(&out), what))
		fail_msg("%s still shows %s:\n%s", command, what, buf_text(&out));
}

/* A listening TCP socket in the namespace. */
struct listen_job {
	int netns, fd;
	uint16_t port;
};

static void *listen_thread(void *arg)
{
	struct listen_job *job = arg;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(job->port) };

	if (setns(job->netns, CLONE_NEWNET) < 0)
		return NULL;
	job->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(job->fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(job->fd, 8) < 0)
		fd_drop(&job->fd);
	return NULL;
}

static int listen_inside(int netns, uint16_t port)
{
	struct listen_job job = { netns, -EBADF, port };
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, listen_thread, &job), 0);
	pthread_join(t, NULL);
	assert_true(job.fd >= 0);
	return job.fd;
}

static int dial(const char *address, uint16_t port)
{
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct pollfd p = { fd, POLLOUT, 0 };
	int failure = 0;
	socklen_t len = sizeof(failure);

	assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return -errno;
	if (poll(&p, 1, 3000) != 1)
		return -ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len);
	return -failure;
}

struct dial_job {
	int netns, r;
	const char *address;
};

static void *dial_thread(void *arg)
{
	struct dial_job *job = arg;

	job->r = setns(job->netns, CLONE_NEWNET) < 0 ? -errno : dial(job->address, 80);
	return NULL;
}

/* Port 80 from inside the namespace, and the address that the server saw. */
static int dial_inside(int netns, const char *address, int server, char peer[INET_ADDRSTRLEN])
{
	struct dial_job job = { netns, 0, address };
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);
	autofd int fd = -EBADF;
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, dial_thread, &job), 0);
	pthread_join(t, NULL);
	if (job.r < 0)
		return job.r;
	fd = accept4(server, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	assert_non_null(inet_ntop(AF_INET, &from.sin_addr, peer, INET_ADDRSTRLEN));
	return 0;
}

static size_t n_leases(void)
{
	DIR *d = opendir(path_of("data/caisson-cnitest0"));
	struct dirent *e;
	size_t n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] >= '0' && e->d_name[0] <= '9';
	closedir(d);
	return n;
}

static void prepare(const char *id, const struct cni_port *ports, size_t n_ports, struct arena *a,
		    struct cni_attachment *at)
{
	struct cni_pod pod = { .id = id, .netns = path_of(id), .name = "web", .ns = "default", .uid = "u",
			       .ports = ports, .n_ports = n_ports };
	struct err err = ERR_INIT;

	if (cni_netns_create(pod.netns, -EBADF, &err) < 0 || cni_attach_prepare(cni, &pod, a, at, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_a_pod_is_reached_and_leaves_nothing(void **state)
{
	static const struct cni_port ports[] = { { CNI_TCP, 80, 18080, NULL } };
	static const char id[] = "pod-aaaa";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	autofd int netns = -EBADF, server = -EBADF;
	struct cni_interface_stats stats;
	struct cni_attachment at;
	struct cni_result res;
	struct err err = ERR_INIT;

	(void)state;
	prepare(id, ports, 1, &a, &at);
	if (cni_attach_add(cni, &at, in_seconds(30), &a, &res, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(res.n_pod_ips, 1);
	assert_non_null(str_skip_prefix(res.pod_ips[0], "10.231."));
	assert_int_equal(n_leases(), 1);
	shell("ip -o link show master cnitest0", &out);
	assert_non_null(strstr(buf_text(&out), "veth"));

	assert_int_equal(cni_netns_open(at.netns, &netns, &err), 0);
	server = listen_inside(netns, 80);
	assert_int_equal(dial(res.pod_ips[0], 80), 0);
	assert_int_equal(dial("127.0.0.1", 18080), 0);
	assert_int_equal(dial("192.0.2.1", 18080), 0); /* the "host"'s own address */
	assert_int_equal(dial("127.0.0.1", 18081), -ECONNREFUSED);
	assert_int_equal(cni_netns_stats(netns, "eth0", &stats, &err), 0);
	assert_true(stats.rx_packets > 0 && stats.tx_packets > 0);
	assert_true(cni_netns_stats(netns, "eth7", &stats, &err) < 0);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(cni_default_leave(cni, &err), 0); /* not while a pod is there */
	assert_false(cni_default_broken(cni));

	if (cni_attach_del(cni, &at, in_seconds(30), &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(cni_attach_del(cni, &at, in_seconds(30), &err), 0); /* again */
	assert_int_equal(cni_netns_remove(at.netns, &err), 0);
	assert_int_equal(cni_attach_del(cni, &at, in_seconds(30), &err), 0); /* without a namespace */
	assert_int_equal(n_leases(), 0);
	assert_output_lacks("ip -o link", "veth");
	assert_output_lacks("iptables-save", id);
	assert_output_lacks("iptables-save", "18080");
	assert_true(cni_default_serves(cni, &at));
	assert_int_equal(cni_default_leave(cni, &err), 0);
	assert_true(cni_default_broken(cni));
	assert_int_equal(cni_default_leave(cni, &err), 0);
	assert_int_equal(cni_default_mend(cni, &err), 0);
	assert_false(cni_default_broken(cni));
}

/* A pod of the default network, added: its namespace open, its address. */
static void add(const char *id, struct arena *a, struct cni_attachment *at, int *netns, const char **address)
{
	struct err err = ERR_INIT;
	struct cni_result res;

	prepare(id, NULL, 0, a, at);
	assert_non_null(strstr(at->conf, "\"ipMasq\":false"));
	if (cni_attach_add(cni, at, in_seconds(30), a, &res, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(cni_netns_open(at->netns, netns, &err), 0);
	*address = res.pod_ips[0];
}

static void test_pods_leave_the_node_with_its_address_by_one_rule(void **state)
{
	static const char *const namespaces[] = { "pod-one", "pod-two", "pod-three", "pod-four", "outside" };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	autofd int outside = -EBADF, one = -EBADF, two = -EBADF, beyond = -EBADF, beside = -EBADF;
	const char *path = path_of("outside"), *address_one, *address_two;
	autofree char *wires = mem_printf("ip link add out0 type veth peer name out1 netns %s &&"
					  "ip addr add 198.51.100.1/24 dev out0 && ip link set out0 up &&"
					  "nsenter --net=%s sh -c 'ip addr add 198.51.100.2/24 dev out1 && ip link set out1 up'",
					  path, path);
	struct cni_attachment at_one, at_two, at_three;
	struct err err = ERR_INIT;
	char peer[INET_ADDRSTRLEN];

	(void)state;
	assert_int_equal(cni_netns_create(path, -EBADF, &err), 0);
	assert_int_equal(cni_netns_open(path, &outside, &err), 0);
	shell(wires, &out);
	add("pod-one", &a, &at_one, &one, &address_one);
	add("pod-two", &a, &at_two, &two, &address_two);
	beyond = listen_inside(outside, 80);
	beside = listen_inside(two, 80);
	/* there is no way back to the pods' addresses from there */
	assert_int_equal(dial_inside(one, "198.51.100.2", beyond, peer), 0);
	assert_string_equal(peer, "198.51.100.1");
	assert_int_equal(dial_inside(two, "198.51.100.2", beyond, peer), 0);
	assert_int_equal(dial_inside(one, address_two, beside, peer), 0);
	assert_string_equal(peer, address_one);
	assert_output_lacks("iptables-save", "pod-");
	assert_output_lacks("iptables-save", "10.231.");

	/* somebody flushes the node's rules: the next pod brings it back for all */
	shell("nft flush ruleset", &out);
	assert_int_equal(dial_inside(one, "198.51.100.2", beyond, peer), -ETIMEDOUT);
	prepare("pod-three", NULL, 0, &a, &at_three);
	assert_int_equal(dial_inside(one, "198.51.100.2", beyond, peer), 0);
	/* a daemon whose default network is another one now */
	shell("nft 'flush chain ip caisson-cnitest0 postrouting; add rule ip caisson-cnitest0 postrouting counter'", &out);
	cni->masquerades = false;
	prepare("pod-four", NULL, 0, &a, &at_three);
	assert_int_equal(dial_inside(one, "198.51.100.2", beyond, peer), 0);
	shell("nft list ruleset", &out);
	assert_null(strstr(buf_text(&out), "counter"));

	assert_int_equal(cni_attach_del(cni, &at_one, in_seconds(30), &err), 0);
	assert_int_equal(cni_attach_del(cni, &at_two, in_seconds(30), &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
		assert_int_equal(cni_netns_remove(path_of(namespaces[i]), &err), 0);
	shell("ip link del out0", &out);
	assert_int_equal(cni_default_leave(cni, &err), 0);
	assert_output_lacks("nft list ruleset", "caisson-");
}

static void test_where_nf_tables_is_refused_the_plugin_masquerades(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	struct cni_attachment at;
	int status;
	pid_t pid;

	(void)state;
	prepare("pod-refused", NULL, 0, &a, &at);
	assert_non_null(strstr(at.conf, "\"ipMasq\":false"));
	pid = fork();
	if (pid == 0) {
		/* root of another user namespace has no power over this network */
		struct cni_pod pod = { .id = "pod-refused", .netns = path_of("pod-refused") };
		struct err err = ERR_INIT;

		if (unshare(CLONE_NEWUSER) < 0 || cni_attach_prepare(cni, &pod, &a, &at, &err) < 0)
			_exit(2);
		_exit(strstr(at.conf, "\"ipMasq\":true") && strstr(at.conf, "\"isGateway\":true") &&
				      strstr(at.conf, "portmap") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(cni_netns_remove(path_of("pod-refused"), NULL), 0);
	shell("nft flush ruleset", &out);
}

struct one {
	char id[32];
	int r;
	struct err err;
};

static void *add_and_del(void *arg)
{
	struct one *o = arg;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofree char *netns = mem_printf("%s/%s", dir, o->id);
	struct cni_pod pod = { .id = o->id, .netns = netns };
	struct cni_attachment at;
	struct cni_result res;

	o->r = cni_netns_create(netns, -EBADF, &o->err);
	if (o->r == 0)
		o->r = cni_attach_prepare(cni, &pod, &a, &at, &o->err);
	if (o->r == 0)
		o->r = cni_attach_add(cni, &at, in_seconds(30), &a, &res, &o->err);
	/* not with ports: CHECK of portmap up to 1.1 wants rules for IPv6 that its ADD did not make */
	if (o->r == 0)
		o->r = cni_attach_check(cni, &at, in_seconds(30), &o->err);
	if (o->r == 0)
		o->r = cni_attach_del(cni, &at, in_seconds(30), &o->err);
	cni_netns_remove(netns, NULL);
	return NULL;
}

static void test_many_threads_attach_at_once(void **state)
{
	struct one ones[12] = { 0 };
	pthread_t threads[ARRAY_LEN(ones)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ones); i++) {
		snprintf(ones[i].id, sizeof(ones[i].id), "pod-many-%zu", i);
		assert_int_equal(pthread_create(&threads[i], NULL, add_and_del, &ones[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(ones); i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < ARRAY_LEN(ones); i++)
		if (ones[i].r < 0)
			fail_msg("%s: %s", ones[i].id, ones[i].err.text);
	assert_int_equal(n_leases(), 0);
	assert_output_lacks("ip -o link", "veth");
	assert_output_lacks("iptables-save", "pod-many");
}

static void test_a_port_that_fails_halfway_is_undone_by_del(void **state)
{
	/* portmap refuses this: the bridge has run by then */
	static const struct cni_port ports[] = { { CNI_TCP, 80, 18082, "::1" } };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct cni_attachment at;
	struct cni_result res;
	struct err err = ERR_INIT;
	char *broken;

	(void)state;
	prepare("pod-half", ports, 1, &a, &at);
	broken = strstr(at.capabilities, "\"tcp\"");
	assert_non_null(broken);
	memcpy(broken, "\"xyz\"", 5);
	assert_true(cni_attach_add(cni, &at, in_seconds(30), &a, &res, &err) < 0);
	assert_non_null(strstr(err.text, "CNI plugin portmap (network \"caisson-cnitest0\"): ADD: "));
	assert_int_equal(n_leases(), 1);
	if (cni_attach_del(cni, &at, in_seconds(30), &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(n_leases(), 0);
	assert_output_lacks("ip -o link", "veth");
	assert_output_lacks("iptables-save", "pod-half");
	assert_int_equal(cni_netns_remove(at.netns, &err), 0);
}

static void test_namespaces_are_made_once_and_removed_often(void **state)
{
	const char *path = path_of("ns");
	autofd int fd = -EBADF;
	struct err err = ERR_INIT;
	struct stat mine, theirs;

	(void)state;
	assert_int_equal(cni_netns_create(path, -EBADF, &err), 0);
	assert_true(cni_netns_create(path, -EBADF, &err) < 0);
	assert_int_equal(err.kind, ERR_EXISTS);
	assert_int_equal(cni_netns_open(path, &fd, &err), 0);
	assert_int_equal(fstat(fd, &theirs), 0);
	assert_int_equal(stat("/proc/self/ns/net", &mine), 0);
	assert_true(mine.st_ino != theirs.st_ino);
	assert_int_equal(cni_netns_loopback_up(fd, &err), 0);
	assert_int_equal(cni_netns_remove(path, &err), 0);
	assert_int_equal(cni_netns_remove(path, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_true(cni_netns_open("/proc/self/ns/uts", &fd, &err) < 0);
	assert_int_equal(err.kind, ERR_INVALID);
	assert_true(cni_netns_create("/nowhere/at/all", -EBADF, &err) < 0);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void test_a_namespace_belongs_to_the_given_user_namespace(void **state)
{
	const char *path = path_of("userns");
	autofd int userns = -EBADF, pidfd = -EBADF;
	struct err err = ERR_INIT;
	struct cni_interface_stats stats;
	autofd int netns = -EBADF;
	char proc[64];
	int status;
	pid_t pid = sys_clone3(CLONE_NEWUSER, SIGCHLD, -EBADF, &pidfd);

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	snprintf(proc, sizeof(proc), "/proc/%d/ns/user", pid);
	userns = open(proc, O_RDONLY | O_CLOEXEC);
	assert_true(userns >= 0);
	if (cni_netns_create(path, userns, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(cni_netns_open(path, &netns, &err), 0);
	assert_int_equal(cni_netns_stats(netns, "lo", &stats, &err), 0);
	assert_int_equal(cni_netns_remove(path, &err), 0);
	sys_pidfd_signal(pidfd, SIGKILL);
	sys_pidfd_wait(pidfd, &status);
}

static int start(void **state)
{
	static const char *const bins[] = { "/usr/lib/cni", "/opt/cni/bin" };
	struct cni_settings s = { .bin_dirs = bins, .n_bin_dirs = 2, .bridge = "cnitest0", .subnet = "10.231.0.0/16" };
	struct err err = ERR_INIT;

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test-cni-attach.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	s.conf_dir = path_of("net.d");
	s.data_dir = path_of("data");
	shell("ip link set lo up && ip link add host0 type bridge && ip addr add 192.0.2.1/24 dev host0 && "
	      "ip link set host0 up", NULL);
	return cni_new(&s, &cni, &err);
}

static int stop(void **state)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	(void)state;
	cni_free(cni);
	/* a test that failed left its namespace mounted */
	while (d && (e = readdir(d)))
		if (e->d_type == DT_REG)
			cni_netns_remove(path_of(e->d_name), NULL);
	closedir(d);
	return sys_remove_tree(AT_FDCWD, dir);
}

/* A mount tree of our own, with an empty /run in it (iptables' lock file). */
static int private_mounts(void)
{
	autofd int root = -EBADF, run = -EBADF, fs = -EBADF, tmp = -EBADF;
	int r;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0)
		return -errno;
	root = open("/", O_PATH | O_CLOEXEC);
	run = open("/run", O_PATH | O_CLOEXEC);
	r = sys_mount_setattr(root, AT_RECURSIVE, 0, 0, MS_PRIVATE, -EBADF);
	if (r == 0)
		r = sys_fsopen("tmpfs", &fs);
	if (r == 0)
		r = sys_fsmount(fs, 0, &tmp);
	return r < 0 ? r : sys_attach_mount(tmp, run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pod_is_reached_and_leaves_nothing),
		cmocka_unit_test(test_pods_leave_the_node_with_its_address_by_one_rule),
		cmocka_unit_test(test_where_nf_tables_is_refused_the_plugin_masquerades),
		cmocka_unit_test(test_many_threads_attach_at_once),
		cmocka_unit_test(test_a_port_that_fails_halfway_is_undone_by_del),
		cmocka_unit_test(test_namespaces_are_made_once_and_removed_often),
		cmocka_unit_test(test_a_namespace_belongs_to_the_given_user_namespace),
	};

	if (geteuid() != 0 || access("/usr/lib/cni/bridge", X_OK) < 0 || access("/usr/lib/cni/portmap", X_OK) < 0) {
		puts("SKIP: needs root and the CNI plugins bridge, host-local and portmap in /usr/lib/cni");
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	if (private_mounts() < 0) {
		puts("SKIP: no namespaces of its own to be had");
		return 77;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
