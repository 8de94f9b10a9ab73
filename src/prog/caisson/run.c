/*
 * `caisson run`: a pod of one container, without Kubernetes. Options become a PodSandboxConfig
 * and a ContainerConfig; what fails half way is taken down again before the error is printed.
 */
#include "prog/caisson/caisson.h"

#include "sys/sys.h"

#include <getopt.h>
#include <stdio.h>

enum { PORTS_MAX = 64, ENVS_MAX = 256, MOUNTS_MAX = 64 };

struct run {
	struct arena arena;
	bool detach, remove;
	Runtime__V1__PodSandboxConfig pod;
	Runtime__V1__PodSandboxMetadata pod_meta;
	Runtime__V1__LinuxPodSandboxConfig pod_linux;
	Runtime__V1__LinuxSandboxSecurityContext pod_security;
	Runtime__V1__NamespaceOption namespaces;
	Runtime__V1__PortMapping ports[PORTS_MAX], *port_list[PORTS_MAX];
	Runtime__V1__ContainerConfig container;
	Runtime__V1__ContainerMetadata meta;
	Runtime__V1__ImageSpec image;
	Runtime__V1__LinuxContainerConfig linux_;
	Runtime__V1__LinuxContainerResources resources;
	Runtime__V1__LinuxContainerSecurityContext security;
	Runtime__V1__KeyValue envs[ENVS_MAX], *env_list[ENVS_MAX];
	Runtime__V1__Mount mounts[MOUNTS_MAX], *mount_list[MOUNTS_MAX];
};

static void run_init(struct run *x)
{
	*x = (struct run){ .arena = ARENA_INIT };
	runtime__v1__pod_sandbox_config__init(&x->pod);
	runtime__v1__pod_sandbox_metadata__init(&x->pod_meta);
	runtime__v1__linux_pod_sandbox_config__init(&x->pod_linux);
	runtime__v1__linux_sandbox_security_context__init(&x->pod_security);
	runtime__v1__namespace_option__init(&x->namespaces);
	runtime__v1__container_config__init(&x->container);
	runtime__v1__container_metadata__init(&x->meta);
	runtime__v1__image_spec__init(&x->image);
	runtime__v1__linux_container_config__init(&x->linux_);
	runtime__v1__linux_container_resources__init(&x->resources);
	runtime__v1__linux_container_security_context__init(&x->security);
	x->namespaces.pid = RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
	x->pod.metadata = &x->pod_meta;
	x->pod.linux = &x->pod_linux;
	x->pod_linux.security_context = &x->pod_security;
	x->pod_security.namespace_options = &x->namespaces;
	x->pod.port_mappings = x->port_list;
	x->container.metadata = &x->meta;
	x->container.image = &x->image;
	x->container.linux = &x->linux_;
	x->container.envs = x->env_list;
	x->container.mounts = x->mount_list;
	x->linux_.resources = &x->resources;
	x->linux_.security_context = &x->security;
	x->security.namespace_options = &x->namespaces;
	x->pod_meta.namespace_ = (char *)"default";
	x->container.log_path = (char *)"0.log";
}

static void run_done(struct run *x)
{
	arena_done(&x->arena);
}

/* [ADDRESS:]HOST:CONTAINER[/udp|/sctp] */
static int add_port(struct run *x, const char *text, struct err *err)
{
	Runtime__V1__PortMapping *p;
	char *copy = arena_strdup(&x->arena, text), *slash = strrchr(copy, '/'), *colon;
	uint32_t host, container;

	if (x->pod.n_port_mappings == PORTS_MAX)
		return err_set(err, ERR_LIMIT, "-p: more than %d ports", PORTS_MAX);
	p = &x->ports[x->pod.n_port_mappings];
	runtime__v1__port_mapping__init(p);
	if (slash) {
		*slash = '\0';
		if (str_eq(slash + 1, "udp"))
			p->protocol = RUNTIME__V1__PROTOCOL__UDP;
		else if (str_eq(slash + 1, "sctp"))
			p->protocol = RUNTIME__V1__PROTOCOL__SCTP;
		else if (!str_eq(slash + 1, "tcp"))
			return err_set(err, ERR_INVALID, "-p %s: unknown protocol", text);
	}
	colon = strrchr(copy, ':');
	if (!colon || str_to_u32(colon + 1, 10, &container) < 0 || !container || container > 65535)
		return err_set(err, ERR_INVALID, "-p %s: expected [ADDRESS:]HOST:CONTAINER[/PROTOCOL]", text);
	*colon = '\0';
	colon = strrchr(copy, ':');
	if (str_to_u32(colon ? colon + 1 : copy, 10, &host) < 0 || !host || host > 65535)
		return err_set(err, ERR_INVALID, "-p %s: expected [ADDRESS:]HOST:CONTAINER[/PROTOCOL]", text);
	if (colon) {
		*colon = '\0';
		p->host_ip = copy;
	}
	p->host_port = (int32_t)host;
	p->container_port = (int32_t)container;
	x->port_list[x->pod.n_port_mappings++] = p;
	return 0;
}

static int add_env(struct run *x, const char *text, struct err *err)
{
	const char *eq = strchr(text, '=');
	Runtime__V1__KeyValue *e;

	if (!eq || eq == text)
		return err_set(err, ERR_INVALID, "-e %s: expected NAME=VALUE", text);
	if (x->container.n_envs == ENVS_MAX)
		return err_set(err, ERR_LIMIT, "-e: more than %d variables", ENVS_MAX);
	e = &x->envs[x->container.n_envs];
	runtime__v1__key_value__init(e);
	e->key = arena_strndup(&x->arena, text, (size_t)(eq - text));
	e->value.data = (uint8_t *)arena_strdup(&x->arena, eq + 1);
	e->value.len = strlen(eq + 1);
	x->env_list[x->container.n_envs++] = e;
	return 0;
}

static int add_mount(struct run *x, const char *text, struct err *err)
{
	char *copy = arena_strdup(&x->arena, text), *colon = strchr(copy, ':'), *option;
	Runtime__V1__Mount *m;

	if (!colon || *copy != '/' || colon[1] != '/')
		return err_set(err, ERR_INVALID, "-v %s: expected /HOST:/CONTAINER[:ro]", text);
	if (x->container.n_mounts == MOUNTS_MAX)
		return err_set(err, ERR_LIMIT, "-v: more than %d mounts", MOUNTS_MAX);
	m = &x->mounts[x->container.n_mounts];
	runtime__v1__mount__init(m);
	*colon = '\0';
	m->host_path = copy;
	m->container_path = colon + 1;
	option = strchr(m->container_path, ':');
	if (option) {
		*option++ = '\0';
		if (!str_eq(option, "ro") && !str_eq(option, "rw"))
			return err_set(err, ERR_INVALID, "-v %s: unknown option %s", text, option);
		m->readonly = str_eq(option, "ro");
	}
	x->mount_list[x->container.n_mounts++] = m;
	return 0;
}

/* "64m", "1g", "4096" */
static int parse_bytes(const char *text, int64_t *ret)
{
	static const char units[] = "bkmgt";
	char *copy = mem_strdup(text);
	autofree char *owned = copy;
	size_t len = strlen(copy);
	uint64_t v, scale = 1;
	const char *unit;

	if (len && (unit = strchr(units, copy[len - 1] | 0x20))) {
		scale = UINT64_C(1) << (10 * (unit - units));
		copy[len - 1] = '\0';
	}
	if (str_to_u64(copy, 10, &v) < 0 || v > INT64_MAX / scale)
		return -EINVAL;
	*ret = (int64_t)(v * scale);
	return 0;
}

static int parse_cpus(const char *text, Runtime__V1__LinuxContainerResources *res)
{
	char *end;
	double cpus = strtod(text, &end);

	if (end == text || *end || !(cpus > 0) || cpus > 1024)
		return -EINVAL;
	res->cpu_period = 100000;
	res->cpu_quota = (int64_t)(cpus * 100000);
	res->cpu_shares = (int64_t)(cpus * 1024) < 2 ? 2 : (int64_t)(cpus * 1024);
	return 0;
}

static int parse_options(struct run *x, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{ "detach", no_argument, NULL, 'd' },	{ "rm", no_argument, NULL, 'r' },
		{ "name", required_argument, NULL, 'n' },   { "publish", required_argument, NULL, 'p' },
		{ "env", required_argument, NULL, 'e' },    { "volume", required_argument, NULL, 'v' },
		{ "memory", required_argument, NULL, 'm' }, { "cpus", required_argument, NULL, 'c' },
		{ "network", required_argument, NULL, 'N' }, { "hostname", required_argument, NULL, 'H' },
		{ "cgroup-parent", required_argument, NULL, 'G' }, { "log-dir", required_argument, NULL, 'L' },
		{ 0 },
	};
	int opt, r = 0;

	while ((opt = getopt_long(argc, argv, "+dn:p:e:v:m:", options, NULL)) >= 0 && r == 0)
		switch (opt) {
		case 'd': x->detach = true; break;
		case 'r': x->remove = true; break;
		case 'n': x->pod_meta.name = optarg; break;
		case 'p': r = add_port(x, optarg, err); break;
		case 'e': r = add_env(x, optarg, err); break;
		case 'v': r = add_mount(x, optarg, err); break;
		case 'm':
			if (parse_bytes(optarg, &x->resources.memory_limit_in_bytes) < 0)
				r = err_set(err, ERR_INVALID, "--memory %s: not a size (64m, 1g)", optarg);
			break;
		case 'c':
			if (parse_cpus(optarg, &x->resources) < 0)
				r = err_set(err, ERR_INVALID, "--cpus %s: not a number of processors", optarg);
			break;
		case 'N':
			if (str_eq(optarg, "host"))
				x->namespaces.network = RUNTIME__V1__NAMESPACE_MODE__NODE;
			else if (!str_eq(optarg, "pod"))
				r = err_set(err, ERR_INVALID, "--network %s: pod or host", optarg);
			break;
		case 'H': x->pod.hostname = optarg; break;
		case 'G': x->pod_linux.cgroup_parent = optarg; break;
		case 'L': x->pod.log_directory = optarg; break;
		default: return -EINVAL;
		}
	if (r == 0 && optind == argc)
		return -EINVAL;
	return r;
}

/* What was not given: a name from the image, a log directory beside the kubelet's. */
static void fill_in(struct run *x, int argc, char **argv)
{
	char id[ID_LEN + 1];

	id_random(id);
	x->image.image = argv[optind];
	if (argc > optind + 1) {
		/* as with every engine: words behind the image are the arguments */
		x->container.args = argv + optind + 1;
		x->container.n_args = (size_t)(argc - optind - 1);
	}
	if (str_empty(x->pod_meta.name)) {
		const char *base = strrchr(x->image.image, '/');
		size_t len;

		base = base ? base + 1 : x->image.image;
		len = strcspn(base, ":@");
		x->pod_meta.name = arena_printf(&x->arena, "%.*s-%.6s", (int)len, base, id);
	}
	x->pod_meta.uid = arena_strdup(&x->arena, id);
	x->meta.name = x->pod_meta.name;
	if (str_empty(x->pod.hostname) && x->namespaces.network != RUNTIME__V1__NAMESPACE_MODE__NODE)
		x->pod.hostname = x->pod_meta.name;
	if (str_empty(x->pod.log_directory))
		x->pod.log_directory = arena_printf(&x->arena, "/var/log/pods/default_%s_%s", x->pod_meta.name,
						    x->pod_meta.uid);
}

static int remove_pod(struct client *c, const char *id, struct err *err)
{
	Runtime__V1__StopPodSandboxRequest stop = RUNTIME__V1__STOP_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__RemovePodSandboxRequest rm = RUNTIME__V1__REMOVE_POD_SANDBOX_REQUEST__INIT;
	autopb Runtime__V1__StopPodSandboxResponse *stopped = NULL;
	autopb Runtime__V1__RemovePodSandboxResponse *removed = NULL;
	int r;

	stop.pod_sandbox_id = rm.pod_sandbox_id = (char *)id;
	r = client_call(c, "RuntimeService/StopPodSandbox", &stop.base,
			&runtime__v1__stop_pod_sandbox_response__descriptor, &stopped, err);
	if (r < 0)
		return r;
	return client_call(c, "RuntimeService/RemovePodSandbox", &rm.base,
			   &runtime__v1__remove_pod_sandbox_response__descriptor, &removed, err);
}

/* The image is pulled when the daemon does not have it. */
static int ensure_image(struct client *c, struct run *x, struct err *err)
{
	Runtime__V1__ImageStatusRequest ask = RUNTIME__V1__IMAGE_STATUS_REQUEST__INIT;
	Runtime__V1__PullImageRequest pull = RUNTIME__V1__PULL_IMAGE_REQUEST__INIT;
	autopb Runtime__V1__ImageStatusResponse *have = NULL;
	autopb Runtime__V1__PullImageResponse *pulled = NULL;
	int r;

	ask.image = pull.image = &x->image;
	r = client_call(c, "ImageService/ImageStatus", &ask.base,
			&runtime__v1__image_status_response__descriptor, &have, err);
	if (r < 0 || have->image)
		return r;
	return client_call(c, "ImageService/PullImage", &pull.base,
			   &runtime__v1__pull_image_response__descriptor, &pulled, err);
}

static int create_and_start(struct client *c, struct run *x, const char *pod, char **ret_id, struct err *err)
{
	Runtime__V1__CreateContainerRequest create = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;
	Runtime__V1__StartContainerRequest start = RUNTIME__V1__START_CONTAINER_REQUEST__INIT;
	autopb Runtime__V1__CreateContainerResponse *created = NULL;
	autopb Runtime__V1__StartContainerResponse *started = NULL;
	int r;

	create.pod_sandbox_id = (char *)pod;
	create.config = &x->container;
	create.sandbox_config = &x->pod;
	r = client_call(c, "RuntimeService/CreateContainer", &create.base,
			&runtime__v1__create_container_response__descriptor, &created, err);
	if (r < 0)
		return r;
	start.container_id = created->container_id;
	r = client_call(c, "RuntimeService/StartContainer", &start.base,
			&runtime__v1__start_container_response__descriptor, &started, err);
	if (r < 0)
		return r;
	*ret_id = mem_strdup(created->container_id);
	return 0;
}

static int status_of(struct client *c, const char *id, Runtime__V1__ContainerStatusResponse **ret, struct err *err)
{
	Runtime__V1__ContainerStatusRequest req = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;

	req.container_id = (char *)id;
	return client_call(c, "RuntimeService/ContainerStatus", &req.base,
			   &runtime__v1__container_status_response__descriptor, ret, err);
}

/* Until something happens to a container or pod; a daemon that has no events is asked again soon. */
static int wait_event(struct grpc_stream *events, struct err *err)
{
	CLEANUP(buf_done) struct buf event = BUF_INIT(GRPC_MESSAGE_MAX);
	int r = grpc_stream_next(events, &event, err);

	if (r > 0)
		return 0;
	if (r < 0 && err->kind != ERR_UNSUPPORTED)
		return r;
	err_clear(err);
	usleep(50000);
	return 0;
}

/* Between the process's end and the daemon's record of it: the exit code. */
static int await_exit(struct client *c, const char *id, struct err *err)
{
	int64_t deadline = time_now_mono() + 5 * NSEC_PER_SEC;
	struct grpc_stream *events = NULL;
	/* subscribed first, looked second: an exit in between is in one of them */
	int r = grpc_stream_open(c->grpc, "/runtime.v1.RuntimeService/GetContainerEvents", "", 0, deadline, &events,
				 err);

	while (r >= 0) {
		autopb Runtime__V1__ContainerStatusResponse *st = NULL;

		r = status_of(c, id, &st, err);
		if (r < 0)
			break;
		if (st->status->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED) {
			r = st->status->exit_code & 0xff;
			break;
		}
		r = time_now_mono() < deadline ? wait_event(events, err) : -ETIMEDOUT;
		if (r == -ETIMEDOUT || (r < 0 && err->kind == ERR_TIMEOUT))
			r = err_set(err, ERR_TIMEOUT, "container %s ended, but the daemon does not say so", id);
	}
	grpc_stream_close(events);
	return r;
}

/* Foreground: the log until the process ends, then its exit code. */
static int follow(struct client *c, const char *id, struct err *err)
{
	autopb Runtime__V1__ContainerStatusResponse *st = NULL;
	autofd int pidfd = -EBADF;
	bool running;
	pid_t pid;
	int r = client_container_pid(c, id, &pid, err);

	if (r == 0)
		r = status_of(c, id, &st, err);
	if (r < 0)
		return r;
	running = pid && sys_pidfd_open(pid, &pidfd) == 0;
	r = log_print(st->status->log_path, -1, running, pidfd, err);
	return r < 0 ? r : await_exit(c, id, err);
}

int cmd_run(struct client *c, int argc, char **argv, struct err *err)
{
	CLEANUP(run_done) struct run x;
	Runtime__V1__RunPodSandboxRequest req = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;
	autopb Runtime__V1__RunPodSandboxResponse *pod = NULL;
	autofree char *id = NULL;
	int r;

	run_init(&x);
	r = parse_options(&x, argc, argv, err);
	if (r < 0)
		return r;
	fill_in(&x, argc, argv);
	r = ensure_image(c, &x, err);
	if (r < 0)
		return r;
	req.config = &x.pod;
	r = client_call(c, "RuntimeService/RunPodSandbox", &req.base,
			&runtime__v1__run_pod_sandbox_response__descriptor, &pod, err);
	if (r < 0)
		return r;
	r = create_and_start(c, &x, pod->pod_sandbox_id, &id, err);
	if (r < 0) {
		struct err ignored = ERR_INIT;

		remove_pod(c, pod->pod_sandbox_id, &ignored);
		return r;
	}
	if (x.detach) {
		printf("%s\n", id);
		return 0;
	}
	r = follow(c, id, err);
	if (x.remove && r >= 0) {
		int e = remove_pod(c, pod->pod_sandbox_id, err);

		if (e < 0)
			return e;
	}
	return r;
}
