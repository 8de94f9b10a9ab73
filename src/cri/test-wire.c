/* The tables between CRI's messages and the pod room's structs. */
#include "cri/configs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* ---- every row against its descriptor ---- */

static const struct {
	enum wire_kind kind;
	ProtobufCType type;
	bool repeated;
} shapes[] = {
	{ WIRE_STR, PROTOBUF_C_TYPE_STRING, false },      { WIRE_TEXT, PROTOBUF_C_TYPE_BYTES, false },
	{ WIRE_BOOL, PROTOBUF_C_TYPE_BOOL, false },       { WIRE_I32, PROTOBUF_C_TYPE_INT32, false },
	{ WIRE_U32, PROTOBUF_C_TYPE_UINT32, false },      { WIRE_I64, PROTOBUF_C_TYPE_INT64, false },
	{ WIRE_U64, PROTOBUF_C_TYPE_UINT64, false },      { WIRE_ENUM, PROTOBUF_C_TYPE_ENUM, false },
	{ WIRE_BOX, PROTOBUF_C_TYPE_MESSAGE, false },     { WIRE_STR_LIST, PROTOBUF_C_TYPE_STRING, true },
	{ WIRE_I64_LIST, PROTOBUF_C_TYPE_INT64, true },   { WIRE_MAP, PROTOBUF_C_TYPE_MESSAGE, true },
	{ WIRE_MSG, PROTOBUF_C_TYPE_MESSAGE, false },     { WIRE_OPT_MSG, PROTOBUF_C_TYPE_MESSAGE, false },
	{ WIRE_MSG_LIST, PROTOBUF_C_TYPE_MESSAGE, true },
};

static const ProtobufCFieldDescriptor *field_of(const struct wire_type *t, const struct wire_field *f)
{
	for (unsigned i = 0; i < t->descriptor->n_fields; i++)
		if (t->descriptor->fields[i].offset == f->wire)
			return &t->descriptor->fields[i];
	return NULL;
}

static void check_type(const struct wire_type *t, int depth)
{
	assert_true(depth < 8);
	for (size_t i = 0; i < t->n_fields; i++) {
		const struct wire_field *f = &t->fields[i];
		const ProtobufCFieldDescriptor *d = field_of(t, f);

		assert_non_null(d);
		for (size_t j = 0; j < ARRAY_LEN(shapes); j++) {
			if (shapes[j].kind != f->kind)
				continue;
			if (d->type != shapes[j].type || (d->label == PROTOBUF_C_LABEL_REPEATED) != shapes[j].repeated)
				fail_msg("%s.%s: the row's kind is not the field's", t->descriptor->name, d->name);
		}
		if (f->kind == WIRE_MAP)
			assert_int_equal(((const ProtobufCMessageDescriptor *)d->descriptor)->sizeof_message,
					 sizeof(struct wire_entry));
		if (f->type) {
			assert_ptr_equal(f->type->descriptor, d->descriptor);
			check_type(f->type, depth + 1);
		}
	}
}

static void every_row_agrees_with_the_schema(void **state)
{
	check_type(&cri_pod_config, 0);
	check_type(&cri_container_config, 0);
}

static void every_field_is_read_or_known_to_be_left_out(void **state)
{
	static const struct wire_type *const types[] = { &cri_pod_config, &cri_container_config, &cri_resources,
							 &cri_mount };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		for (unsigned j = 0; j < types[i]->descriptor->n_fields; j++) {
			const ProtobufCFieldDescriptor *d = &types[i]->descriptor->fields[j];
			bool found = false;

			for (size_t k = 0; k < types[i]->n_also && !found; k++)
				found = str_eq(types[i]->also[k].field, d->name);
			for (size_t k = 0; k < types[i]->n_fields && !found; k++)
				found = types[i]->fields[k].wire == d->offset;
			if (!found)
				fail_msg("%s.%s is not read", types[i]->descriptor->name, d->name);
		}
}

/* ---- pods ---- */

static Runtime__V1__PodSandboxMetadata pod_metadata(void)
{
	Runtime__V1__PodSandboxMetadata m = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;

	m.name = (char *)"web";
	m.uid = (char *)"u1";
	m.namespace_ = (char *)"default";
	m.attempt = 2;
	return m;
}

static void a_pod_is_read_with_what_is_absent_said(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	Runtime__V1__PodSandboxConfig msg = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
	Runtime__V1__PodSandboxMetadata meta = pod_metadata();
	struct pod_config config = { 0 };
	struct err err = ERR_INIT;

	msg.metadata = &meta;
	assert_int_equal(wire_read(&cri_pod_config, &msg, NULL, &a, &config, &err), 0);
	assert_string_equal(config.name, "web");
	assert_string_equal(config.ns, "default");
	assert_int_equal(config.attempt, 2);
	assert_string_equal(config.hostname, "");
	assert_string_equal(config.cgroup_parent, "");
	assert_null(config.resources);
	assert_int_equal(config.security.namespaces.pid, POD_NS_POD);
	assert_int_equal(config.security.namespaces.user, POD_NS_NODE);
	assert_int_equal(config.security.seccomp.kind, POD_PROFILE_UNSET);
	assert_null(config.security.run_as_user);
}

static void an_empty_profile_is_the_runtimes_default(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	Runtime__V1__PodSandboxConfig msg = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
	Runtime__V1__PodSandboxMetadata meta = pod_metadata();
	Runtime__V1__LinuxPodSandboxConfig lin = RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT;
	Runtime__V1__LinuxSandboxSecurityContext ctx = RUNTIME__V1__LINUX_SANDBOX_SECURITY_CONTEXT__INIT;
	Runtime__V1__SecurityProfile profile = RUNTIME__V1__SECURITY_PROFILE__INIT;
	struct pod_config config = { 0 };
	struct err err = ERR_INIT;

	msg.metadata = &meta;
	msg.linux = &lin;
	lin.security_context = &ctx;
	ctx.seccomp = &profile;
	assert_int_equal(wire_read(&cri_pod_config, &msg, NULL, &a, &config, &err), 0);
	assert_int_equal(config.security.seccomp.kind, POD_PROFILE_RUNTIME_DEFAULT);
	ctx.seccomp = NULL;
	ctx.seccomp_profile_path = (char *)"localhost//a/b.json";
	assert_int_equal(wire_read(&cri_pod_config, &msg, NULL, &a, &config, &err), 0);
	assert_int_equal(config.security.seccomp.kind, POD_PROFILE_LOCALHOST);
	assert_string_equal(config.security.seccomp.localhost, "/a/b.json");
}

/* ---- refusals: a small language would be longer than these builders ---- */

struct world {
	Runtime__V1__PodSandboxConfig pod;
	Runtime__V1__PodSandboxMetadata pod_meta;
	Runtime__V1__LinuxPodSandboxConfig pod_linux;
	Runtime__V1__LinuxSandboxSecurityContext pod_ctx;
	Runtime__V1__NamespaceOption ns;
	Runtime__V1__UserNamespace user_ns;
	Runtime__V1__IDMapping map;
	Runtime__V1__IDMapping *maps[2];
	Runtime__V1__PortMapping port;
	Runtime__V1__PortMapping *ports[1];
	Runtime__V1__ContainerConfig container;
	Runtime__V1__ContainerMetadata meta;
	Runtime__V1__ImageSpec image;
	Runtime__V1__LinuxContainerConfig lin;
	Runtime__V1__LinuxContainerSecurityContext ctx;
	Runtime__V1__Int64Value number;
	Runtime__V1__Mount mount;
	Runtime__V1__Mount *mounts[1];
	Runtime__V1__KeyValue env;
	Runtime__V1__KeyValue *envs[1];
	Runtime__V1__SecurityProfile profile;
};

static void world_init(struct world *w)
{
	*w = (struct world){
		.pod = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT,
		.pod_linux = RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT,
		.pod_ctx = RUNTIME__V1__LINUX_SANDBOX_SECURITY_CONTEXT__INIT,
		.ns = RUNTIME__V1__NAMESPACE_OPTION__INIT,
		.user_ns = RUNTIME__V1__USER_NAMESPACE__INIT,
		.map = RUNTIME__V1__IDMAPPING__INIT,
		.port = RUNTIME__V1__PORT_MAPPING__INIT,
		.container = RUNTIME__V1__CONTAINER_CONFIG__INIT,
		.meta = RUNTIME__V1__CONTAINER_METADATA__INIT,
		.image = RUNTIME__V1__IMAGE_SPEC__INIT,
		.lin = RUNTIME__V1__LINUX_CONTAINER_CONFIG__INIT,
		.ctx = RUNTIME__V1__LINUX_CONTAINER_SECURITY_CONTEXT__INIT,
		.number = RUNTIME__V1__INT64_VALUE__INIT,
		.mount = RUNTIME__V1__MOUNT__INIT,
		.env = RUNTIME__V1__KEY_VALUE__INIT,
		.profile = RUNTIME__V1__SECURITY_PROFILE__INIT,
	};
	w->pod_meta = pod_metadata();
	w->pod.metadata = &w->pod_meta;
	w->pod.linux = &w->pod_linux;
	w->pod_linux.security_context = &w->pod_ctx;
	w->pod_ctx.namespace_options = &w->ns;
	w->map.length = 65536;
	w->maps[0] = w->maps[1] = &w->map;
	w->ports[0] = &w->port;
	w->meta.name = (char *)"c";
	w->image.image = (char *)"busybox";
	w->container.metadata = &w->meta;
	w->container.image = &w->image;
	w->container.linux = &w->lin;
	w->lin.security_context = &w->ctx;
	w->mount.container_path = (char *)"/data";
	w->mount.host_path = (char *)"/tmp";
	w->mounts[0] = &w->mount;
	w->env.key = (char *)"K";
	w->envs[0] = &w->env;
}

static void pod_without_name(struct world *w) { w->pod_meta.name = (char *)""; }
static void pod_without_metadata(struct world *w) { w->pod.metadata = NULL; }
static void pod_pid_mode(struct world *w) { w->ns.pid = (Runtime__V1__NamespaceMode)9; }
static void pod_log_directory(struct world *w) { w->pod.log_directory = (char *)"logs"; }
static void pod_port(struct world *w)
{
	w->pod.n_port_mappings = 1;
	w->pod.port_mappings = w->ports;
	w->port.host_port = 70000;
}
static void pod_two_mappings(struct world *w)
{
	w->ns.userns_options = &w->user_ns;
	w->user_ns.n_uids = w->user_ns.n_gids = 2;
	w->user_ns.uids = w->user_ns.gids = w->maps;
}
static void pod_no_root(struct world *w)
{
	pod_two_mappings(w);
	w->user_ns.n_uids = w->user_ns.n_gids = 1;
	w->map.container_id = 1;
}
static void pod_user_mode(struct world *w)
{
	w->ns.userns_options = &w->user_ns;
	w->user_ns.mode = RUNTIME__V1__NAMESPACE_MODE__TARGET;
}
static void no_image(struct world *w) { w->image.image = (char *)""; }
static void group_alone(struct world *w) { w->ctx.run_as_group = &w->number; }
static void negative_user(struct world *w)
{
	w->ctx.run_as_user = &w->number;
	w->number.value = -5;
}
static void bad_mount(struct world *w)
{
	w->container.n_mounts = 1;
	w->container.mounts = w->mounts;
	w->mount.recursive_read_only = true;
}
static void shared_mount(struct world *w)
{
	bad_mount(w);
	w->mount.readonly = true;
	w->mount.propagation = RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL;
}
static void image_mount(struct world *w)
{
	bad_mount(w);
	w->mount.recursive_read_only = false;
	w->mount.host_path = (char *)"";
	w->mount.image = &w->image;
}
static void bad_env(struct world *w)
{
	w->container.n_envs = 1;
	w->container.envs = w->envs;
	w->env.value = (ProtobufCBinaryData){ 3, (uint8_t *)"a\0b" };
}
static void bad_signal(struct world *w) { w->container.stop_signal = (Runtime__V1__Signal)66; }
static void no_profile(struct world *w)
{
	w->ctx.seccomp = &w->profile;
	w->profile.profile_type = RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost;
}
static void no_target(struct world *w)
{
	w->ctx.namespace_options = &w->ns;
	w->ns.pid = RUNTIME__V1__NAMESPACE_MODE__TARGET;
}

static void what_is_refused_is_named_as_cri_names_it(void **state)
{
	static const struct {
		void (*spoil)(struct world *w);
		bool container;
		const char *error;
	} cases[] = {
		{ pod_without_name, false, "config.metadata.name: required" },
		{ pod_without_metadata, false, "config.metadata: required" },
		{ pod_pid_mode, false, "config.linux.security_context.namespace_options.pid: 9 is no NamespaceMode" },
		{ pod_log_directory, false, "config.log_directory: logs is no absolute path" },
		{ pod_port, false, "config.port_mappings[0].host_port: 70000 is no port" },
		{ pod_two_mappings, false,
		  "config.linux.security_context.namespace_options.userns_options.uids: "
		  "needs exactly one mapping, got 2" },
		{ pod_no_root, false,
		  "config.linux.security_context.namespace_options.userns_options.uids: "
		  "must map container id 0, maps 1" },
		{ pod_user_mode, false,
		  "config.linux.security_context.namespace_options.userns_options.mode: "
		  "only POD and NODE are possible for a user namespace" },
		{ no_image, true, "config.image.image: required" },
		{ group_alone, true,
		  "config.linux.security_context.run_as_group: needs run_as_user or run_as_username" },
		{ negative_user, true, "config.linux.security_context.run_as_user: -5 is no user id" },
		{ bad_mount, true, "config.mounts[0].recursive_read_only: needs readonly" },
		{ shared_mount, true, "config.mounts[0].recursive_read_only: needs private propagation" },
		{ image_mount, true, "config.mounts[0].readonly: an image can only be mounted read-only" },
		{ bad_env, true, "config.envs[0].value: has a NUL inside" },
		{ bad_signal, true, "config.stop_signal: 66 is no Signal" },
		{ no_profile, true, "config.linux.security_context.seccomp.localhost_ref: required with type Localhost" },
		{ no_target, true,
		  "config.linux.security_context.namespace_options.target_id: required with pid mode TARGET" },
	};
	static const struct wire_path path = { NULL, "config" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct pod_container_config container = { 0 };
		struct pod_config pod = { 0 };
		struct err err = ERR_INIT;
		struct world w;
		int r;

		world_init(&w);
		cases[i].spoil(&w);
		r = cases[i].container ? wire_read(&cri_container_config, &w.container, &path, &a, &container, &err)
				       : wire_read(&cri_pod_config, &w.pod, &path, &a, &pod, &err);
		assert_true(r < 0);
		assert_string_equal(err.text, cases[i].error);
		assert_int_equal(err.kind, ERR_INVALID);
	}
}

/* ---- there and back ---- */

static void a_container_comes_back_as_it_went(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_container_config c = { 0 };
	Runtime__V1__ContainerConfig *back;
	struct err err = ERR_INIT;
	struct world w;

	world_init(&w);
	w.container.n_mounts = 1;
	w.container.mounts = w.mounts;
	w.mount.propagation = RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER;
	w.container.n_envs = 1;
	w.container.envs = w.envs;
	w.env.value = (ProtobufCBinaryData){ 3, (uint8_t *)"x=y" };
	w.ctx.run_as_user = &w.number;
	w.number.value = 1001;
	w.container.stop_signal = RUNTIME__V1__SIGNAL__SIGNAL_SIGUSR1;
	assert_int_equal(wire_read(&cri_container_config, &w.container, NULL, &a, &c, &err), 0);
	assert_string_equal(c.envs[0].value, "x=y");
	assert_int_equal(*c.security.run_as_user, 1001);
	assert_int_equal(c.stop_signal, SIGUSR1);
	back = wire_write(&cri_container_config, &c, &a);
	assert_string_equal(back->metadata->name, "c");
	assert_string_equal(back->image->image, "busybox");
	assert_int_equal(back->n_mounts, 1);
	assert_string_equal(back->mounts[0]->host_path, "/tmp");
	assert_int_equal(back->mounts[0]->propagation,
			 RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER);
	assert_null(back->mounts[0]->image);
	assert_int_equal(back->envs[0]->value.len, 3);
	assert_int_equal(back->linux->security_context->run_as_user->value, 1001);
	assert_null(back->linux->security_context->namespace_options->userns_options);
}

static void a_container_in_json_has_what_was_asked_for_and_no_more(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	Runtime__V1__ContainerConfig__LabelsEntry label = RUNTIME__V1__CONTAINER_CONFIG__LABELS_ENTRY__INIT;
	Runtime__V1__ContainerConfig__LabelsEntry *labels[] = { &label };
	Runtime__V1__SecurityProfile profile = RUNTIME__V1__SECURITY_PROFILE__INIT;
	Runtime__V1__CDIDevice device = RUNTIME__V1__CDIDEVICE__INIT;
	Runtime__V1__CDIDevice *devices[] = { &device };
	struct pod_container_config c = { 0 };
	struct err err = ERR_INIT;
	struct world w;

	world_init(&w);
	label.key = (char *)"a\"b";
	label.value = (char *)"c";
	w.container.n_labels = 1;
	w.container.labels = labels;
	device.name = (char *)"vendor.com/class=one";
	w.container.n_cdi_devices = 1;
	w.container.cdi_devices = devices;
	w.container.stop_signal = RUNTIME__V1__SIGNAL__SIGNAL_SIGUSR1;
	profile.profile_type = RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost;
	profile.localhost_ref = (char *)"/p.json";
	w.ctx.seccomp = &profile;
	w.ctx.supplemental_groups_policy = RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Strict;
	w.ctx.run_as_user = &w.number; /* 0: root is something, too */
	assert_int_equal(wire_read(&cri_container_config, &w.container, NULL, &a, &c, &err), 0);
	wire_json(wire_write(&cri_container_config, &c, &a), &out);
	assert_string_equal(buf_text(&out), "{\"metadata\":{\"name\":\"c\"},\"image\":{\"image\":\"busybox\"},"
		"\"labels\":{\"a\\\"b\":\"c\"},\"linux\":{\"security_context\":{\"run_as_user\":{},"
		"\"seccomp\":{\"profile_type\":2,\"localhost_ref\":\"/p.json\"},\"supplemental_groups_policy\":1}},"
		"\"CDI_devices\":[{\"name\":\"vendor.com/class=one\"}],\"stop_signal\":29}");
}

static void a_repeated_map_key_has_its_last_value(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	Runtime__V1__ContainerConfig__LabelsEntry one = RUNTIME__V1__CONTAINER_CONFIG__LABELS_ENTRY__INIT, two = one;
	Runtime__V1__ContainerConfig__LabelsEntry *entries[] = { &one, &two };
	struct pod_container_config c = { 0 };
	struct err err = ERR_INIT;
	struct world w;

	world_init(&w);
	one.key = two.key = (char *)"k";
	one.value = (char *)"1";
	two.value = (char *)"2";
	w.container.n_labels = 2;
	w.container.labels = entries;
	assert_int_equal(wire_read(&cri_container_config, &w.container, NULL, &a, &c, &err), 0);
	assert_int_equal(c.n_labels, 1);
	assert_string_equal(c.labels[0].value, "2");
}

static void signals_are_linux_numbers(void **state)
{
	assert_int_equal(cri_signal_number(RUNTIME__V1__SIGNAL__SIGNAL_RUNTIME_DEFAULT), 0);
	assert_int_equal(cri_signal_number(RUNTIME__V1__SIGNAL__SIGNAL_SIGTERM), SIGTERM);
	assert_int_equal(cri_signal_number(RUNTIME__V1__SIGNAL__SIGNAL_SIGRTMIN), 34);
	assert_int_equal(cri_signal_number(RUNTIME__V1__SIGNAL__SIGNAL_SIGRTMAX), 64);
	assert_int_equal(cri_signal_number(-1), -EINVAL);
	for (int i = 0; i <= (int)RUNTIME__V1__SIGNAL__SIGNAL_SIGRTMAX; i++)
		assert_int_equal(cri_signal_number(cri_signal_of(cri_signal_number(i))), cri_signal_number(i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_agrees_with_the_schema),
		cmocka_unit_test(every_field_is_read_or_known_to_be_left_out),
		cmocka_unit_test(a_pod_is_read_with_what_is_absent_said),
		cmocka_unit_test(an_empty_profile_is_the_runtimes_default),
		cmocka_unit_test(what_is_refused_is_named_as_cri_names_it),
		cmocka_unit_test(a_container_comes_back_as_it_went),
		cmocka_unit_test(a_container_in_json_has_what_was_asked_for_and_no_more),
		cmocka_unit_test(a_repeated_map_key_has_its_last_value),
		cmocka_unit_test(signals_are_linux_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
