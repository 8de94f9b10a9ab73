/*
 * The compiled schema against the tables of facts, line by line, both ways: each line must
 * be in the schema, and everything in the schema must have a line.
 *
 * Messages and enums are compared with protobuf-c's own descriptors, those that the programs
 * use. protobuf-c forgets which methods stream, so that comes from protoc's descriptor set.
 */
#include "base/base.h"
#include "sys/sys.h"

#include "bootstrap.pb-c.h"
#include "containerd-events.pb-c.h"
#include "containerd-publish.pb-c.h"
#include "containerd-task.pb-c.h"
#include "containerd-types.pb-c.h"
#include "cri.pb-c.h"
#include "descriptor.pb-c.h"
#include "nri.pb-c.h"
#include "runc-options.pb-c.h"
#include "runtime-options.pb-c.h"
#include "sandbox.pb-c.h"
#include "shim.pb-c.h"
#include "ttrpc.pb-c.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const ProtobufCServiceDescriptor *const services[] = {
	&runtime__v1__runtime_service__descriptor,
	&runtime__v1__image_service__descriptor,
	&containerd__task__v2__task__descriptor,
	&containerd__runtime__sandbox__v1__sandbox__descriptor,
	&containerd__services__events__ttrpc__v1__events__descriptor,
	&nri__pkg__api__v1alpha1__runtime__descriptor,
	&nri__pkg__api__v1alpha1__plugin__descriptor,
	&nri__pkg__api__v1alpha1__host_functions__descriptor,
};

/* What no message refers to. */
static const ProtobufCEnumDescriptor *const enums[] = {
	&nri__pkg__api__v1alpha1__field__descriptor,
};

/* What no method leads to. */
static const ProtobufCMessageDescriptor *const roots[] = {
	&nri__pkg__api__v1alpha1__optional_int32__descriptor,
	&containerd__types__activation_info__descriptor,
	&containerd__v1__types__process__descriptor,
	&containerd__task__v2__exec_process_response__descriptor,
	&containerd__runtime__sandbox__v1__update_sandbox_request__descriptor,
	&containerd__runtime__sandbox__v1__update_sandbox_response__descriptor,
	&containerd__runtime__bootstrap__v1__bootstrap_params__descriptor,
	&containerd__runtime__bootstrap__v1__bootstrap_result__descriptor,
	&containerd__events__task_create__descriptor,
	&containerd__events__task_start__descriptor,
	&containerd__events__task_delete__descriptor,
	&containerd__events__task_exit__descriptor,
	&containerd__events__task_oom__descriptor,
	&containerd__events__task_exec_added__descriptor,
	&containerd__events__task_exec_started__descriptor,
	&containerd__events__task_paused__descriptor,
	&containerd__events__task_resumed__descriptor,
	&containerd__events__task_checkpointed__descriptor,
	&containerd__runc__v1__options__descriptor,
	&containerd__runc__v1__checkpoint_options__descriptor,
	&containerd__runc__v1__process_details__descriptor,
	&runtimeoptions__v1__options__descriptor,
	&ttrpc__request__descriptor,
	&ttrpc__response__descriptor,
	&ttrpc__string_list__descriptor,
};

static const struct {
	const char *name;
	ProtobufCType type;
} scalars[] = {
	{ "string", PROTOBUF_C_TYPE_STRING }, { "bytes", PROTOBUF_C_TYPE_BYTES },
	{ "bool", PROTOBUF_C_TYPE_BOOL },     { "int32", PROTOBUF_C_TYPE_INT32 },
	{ "int64", PROTOBUF_C_TYPE_INT64 },   { "uint32", PROTOBUF_C_TYPE_UINT32 },
	{ "uint64", PROTOBUF_C_TYPE_UINT64 }, { "double", PROTOBUF_C_TYPE_DOUBLE },
};

struct thing {
	const char *name;
	const ProtobufCMessageDescriptor *message;
	const ProtobufCEnumDescriptor *enumeration;
	unsigned seen; /* lines that spoke of it, its own included */
};

struct checker {
	struct map things, streams; /* by full name; streaming methods "pkg.Service.Method" */
	char package[256], message[256], service[256];
	struct arena names;
	const char *set; /* runtime.v1., nri. or "" for the shim's many */
	unsigned n_methods, line, wrong;
	bool quiet;
};

static void wrong(struct checker *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void wrong(struct checker *c, const char *fmt, ...)
{
	va_list ap;

	c->wrong++;
	if (c->quiet)
		return;
	print_error("line %u: ", c->line);
	va_start(ap, fmt);
	vprint_error(fmt, ap);
	va_end(ap);
	print_error("\n");
}

/* ---- what was compiled ---- */

static struct thing *thing_new(struct checker *c, const char *name)
{
	struct thing *t = mem_new(1, sizeof(*t));

	t->name = name;
	assert_int_equal(map_put(&c->things, name, t), 0);
	return t;
}

static void collect(struct checker *c, const ProtobufCMessageDescriptor *m)
{
	if (map_get(&c->things, m->name) || str_skip_prefix(m->name, "google."))
		return;
	thing_new(c, m->name)->message = m;
	for (unsigned i = 0; i < m->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->fields[i];

		if (f->type == PROTOBUF_C_TYPE_MESSAGE)
			collect(c, f->descriptor);
		if (f->type == PROTOBUF_C_TYPE_ENUM) {
			const ProtobufCEnumDescriptor *e = f->descriptor;

			if (!map_get(&c->things, e->name))
				thing_new(c, e->name)->enumeration = e;
		}
	}
}

static bool is_ours(const struct checker *c, const char *name)
{
	if (*c->set)
		return str_skip_prefix(name, c->set);
	return !str_skip_prefix(name, "runtime.v1.") && !str_skip_prefix(name, "nri.");
}

static void collect_all(struct checker *c)
{
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		for (unsigned k = 0; k < services[i]->n_methods && is_ours(c, services[i]->name); k++) {
			collect(c, services[i]->methods[k].input);
			collect(c, services[i]->methods[k].output);
		}
	for (size_t i = 0; i < ARRAY_LEN(roots); i++)
		if (is_ours(c, roots[i]->name))
			collect(c, roots[i]);
	for (size_t i = 0; i < ARRAY_LEN(enums); i++)
		if (is_ours(c, enums[i]->name))
			thing_new(c, enums[i]->name)->enumeration = enums[i];
}

static void read_streams(struct checker *c, const char *path)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4 << 20);
	Schema__FileSet *set;

	assert_int_equal(sys_file_read(AT_FDCWD, path, 4 << 20, &b), 0);
	set = schema__file_set__unpack(NULL, b.len, b.data);
	assert_non_null(set);
	for (size_t f = 0; f < set->n_file; f++)
		for (size_t s = 0; s < set->file[f]->n_service; s++) {
			const Schema__Service *service = set->file[f]->service[s];

			for (size_t m = 0; m < service->n_method; m++) {
				assert_false(service->method[m]->client_streaming);
				if (service->method[m]->server_streaming)
					map_put(&c->streams, arena_printf(&c->names, "%s.%s.%s", set->file[f]->package,
									  service->name,
									  service->method[m]->name), c);
			}
		}
	schema__file_set__free_unpacked(set, NULL);
}

/* ---- what a line says ---- */

/* The third version of the shim API is the second one by another name. */
static const char *v2_for_v3(const char *name, char out[256])
{
	const char *rest = str_skip_prefix(name, "containerd.task.v3");

	if (!rest)
		return name;
	snprintf(out, 256, "containerd.task.v2%s", rest);
	return out;
}

static struct thing *find(struct checker *c, const char *name)
{
	char full[400], other[256];
	struct thing *t;

	if (strchr(name, '.') && (t = map_get(&c->things, v2_for_v3(name, other))))
		return t;
	snprintf(full, sizeof(full), "%s.%s.%s", c->package, c->message, name);
	if (c->message[0] && (t = map_get(&c->things, full)))
		return t;
	snprintf(full, sizeof(full), "%s.%s", c->package, name);
	return map_get(&c->things, full);
}

static void check_enum(struct checker *c, const char *name, char *values)
{
	struct thing *t = find(c, name);
	unsigned n = 0;

	if (!t || !t->enumeration) {
		wrong(c, "no enum %s", name);
		return;
	}
	t->seen++;
	for (char *v = strtok(values, ", "); v; v = strtok(NULL, ", "), n++) {
		char *number = strchr(v, '=');
		const ProtobufCEnumValue *value;

		assert_non_null(number);
		*number++ = '\0';
		value = protobuf_c_enum_descriptor_get_value_by_name(t->enumeration, v);
		if (!value || value->value != atoi(number))
			wrong(c, "enum %s: %s is not %s", name, v, number);
	}
	if (n != t->enumeration->n_value_names)
		wrong(c, "enum %s has %u values, not %u", name, t->enumeration->n_value_names, n);
}

static bool same_type(struct checker *c, const ProtobufCFieldDescriptor *f, const char *type);

/* type: "map<string,string>" */
static bool is_map(struct checker *c, const ProtobufCFieldDescriptor *f, const char *type)
{
	const ProtobufCMessageDescriptor *m = f->descriptor;
	char key[64], value[128];
	struct thing *t;

	if (f->type != PROTOBUF_C_TYPE_MESSAGE || !str_has_suffix(m->name, "Entry") || m->n_fields != 2)
		return false;
	t = map_get(&c->things, m->name);
	if (t)
		t->seen = 3;
	return sscanf(type, "map<%63[^,],%127[^>]>", key, value) == 2 && str_eq(m->fields[0].name, "key") &&
	       m->fields[0].id == 1 && same_type(c, &m->fields[0], key) && str_eq(m->fields[1].name, "value") &&
	       m->fields[1].id == 2 && same_type(c, &m->fields[1], value);
}

static bool same_type(struct checker *c, const ProtobufCFieldDescriptor *f, const char *type)
{
	struct thing *t;

	for (size_t i = 0; i < ARRAY_LEN(scalars); i++)
		if (str_eq(scalars[i].name, type))
			return f->type == scalars[i].type;
	if (str_skip_prefix(type, "map<"))
		return is_map(c, f, type);
	if (str_skip_prefix(type, "google."))
		return f->type == PROTOBUF_C_TYPE_MESSAGE &&
		       str_eq(((const ProtobufCMessageDescriptor *)f->descriptor)->name, type);
	t = find(c, type);
	return t && f->descriptor == (t->message ? (const void *)t->message : (const void *)t->enumeration);
}

static void check_field(struct checker *c, unsigned id, const char *label, const char *type, const char *name,
			const char *extra)
{
	struct thing *t = find(c, c->message);
	const ProtobufCFieldDescriptor *f =
		t && t->message ? protobuf_c_message_descriptor_get_field(t->message, id) : NULL;
	bool repeated = *label || str_skip_prefix(type, "map<");

	if (!f || !str_eq(f->name, name)) {
		wrong(c, "%s: field %u is not %s", c->message, id, name);
		return;
	}
	t->seen++;
	if (!same_type(c, f, type))
		wrong(c, "%s.%s is no %s", c->message, name, type);
	if (repeated != (f->label == PROTOBUF_C_LABEL_REPEATED))
		wrong(c, "%s.%s: repeated or not?", c->message, name);
	if ((str_skip_prefix(extra, "oneof=") != NULL) != !!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		wrong(c, "%s.%s: optional or not?", c->message, name);
}

static void check_method(struct checker *c, const char *name, const char *input, bool stream, const char *output)
{
	char service[256], full[400], a[256], b[256];
	const ProtobufCServiceDescriptor *s = NULL;
	const ProtobufCMethodDescriptor *m;

	if (strchr(c->service, '.'))
		snprintf(full, sizeof(full), "%s", c->service);
	else
		snprintf(full, sizeof(full), "%s.%s", c->package, c->service);
	snprintf(service, sizeof(service), "%s", v2_for_v3(full, a));
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		if (str_eq(services[i]->name, service))
			s = services[i];
	m = s ? protobuf_c_service_descriptor_get_method_by_name(s, name) : NULL;
	if (!m) {
		wrong(c, "no method %s of %s", name, service);
		return;
	}
	c->n_methods++;
	snprintf(full, sizeof(full), "%s.%s", c->package, input);
	if (!str_eq(m->input->name, v2_for_v3(strchr(input, '.') ? input : full, a)))
		wrong(c, "%s takes %s", name, m->input->name);
	snprintf(full, sizeof(full), "%s.%s", c->package, output);
	if (!str_eq(m->output->name, v2_for_v3(strchr(output, '.') ? output : full, b)))
		wrong(c, "%s gives %s", name, m->output->name);
	snprintf(full, sizeof(full), "%s.%s", service, name);
	if (stream != !!map_get(&c->streams, full))
		wrong(c, "%s: streams or not?", full);
}

static void check_seen(struct checker *c, const struct thing *t)
{
	unsigned want = t->message ? t->message->n_fields + 1 : 1;

	if (t->seen && t->seen != want)
		wrong(c, "%s: %u lines, not %u", t->name, t->seen, want);
}

static void check_line(struct checker *c, char *line)
{
	char a[128], b[128], d[128], label[16] = "", extra[64] = "";
	unsigned id;
	char *rest;

	if (!*line || *line == '#')
		return;
	if (sscanf(line, "== package %127s", a) == 1 || sscanf(line, "package %127s", a) == 1) {
		snprintf(c->package, sizeof(c->package), "%s", a);
		v2_for_v3(a, c->package);
		c->message[0] = '\0';
	} else if (sscanf(line, "service %127s", a) == 1) {
		snprintf(c->service, sizeof(c->service), "%s", a);
	} else if (sscanf(line, "message %127s", a) == 1) {
		struct thing *t;

		snprintf(c->message, sizeof(c->message), "%s", a);
		t = find(c, a);
		if (!t || !t->message) {
			wrong(c, "no message %s", a);
			return;
		}
		check_seen(c, t);
		t->seen = 1; /* for the second time when this is v3 */
	} else if (sscanf(line, "enum %127[^:]:", a) == 1 || sscanf(line, " enum %127[^:]:", a) == 1) {
		if (line[0] != ' ')
			c->message[0] = '\0';
		check_enum(c, a, strchr(line, ':') + 1);
	} else if (sscanf(line, "  %u repeated %127s %127s %63s", &id, a, b, extra) >= 3) {
		check_field(c, id, "repeated", a, b, extra);
	} else if (sscanf(line, "  %u %127s %127s %63s", &id, a, b, extra) >= 3) {
		check_field(c, id, label, a, b, extra);
	} else if (sscanf(line, "  %127[^:]: %127s -> %127s", a, b, d) == 3) {
		rest = strstr(line, "-> stream ");
		check_method(c, a, b, rest != NULL, rest ? rest + strlen("-> stream ") : d);
	} else {
		wrong(c, "what is \"%s\"?", line);
	}
}

/* How many things are wrong. */
static unsigned check(const char *facts, const char *set, const char *set_path, bool quiet)
{
	struct checker c = { .quiet = quiet, .set = set };
	autofree char *text = mem_strdup(facts);
	unsigned n_methods = 0;
	struct thing *t;

	read_streams(&c, set_path);
	collect_all(&c);
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		c.line++;
		check_line(&c, line);
	}
	for (size_t i = 0; (t = map_next(&c.things, &i));) {
		if (!t->seen)
			wrong(&c, "%s has no line", t->name);
		check_seen(&c, t);
		free(t);
	}
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		if (is_ours(&c, services[i]->name))
			n_methods += services[i]->n_methods *
				(str_eq(services[i]->name, "containerd.task.v2.Task") ? 2 : 1); /* v3 */
	if (c.n_methods != n_methods)
		wrong(&c, "%u methods, not %u", c.n_methods, n_methods);
	map_done(&c.things);
	map_done(&c.streams);
	arena_done(&c.names);
	return c.wrong;
}

static char *read_text(const char *path)
{
	struct buf b = BUF_INIT(1 << 20);

	assert_int_equal(sys_file_read(AT_FDCWD, path, 1 << 20, &b), 0);
	return buf_take_text(&b);
}

static void cri_is_as_the_facts_say(void **state)
{
	autofree char *facts = read_text(FACTS "/cri-v1-wire.txt");

	assert_int_equal(check(facts, "runtime.v1.", CRI_SET, false), 0);
}

static void the_shim_api_is_as_the_facts_say(void **state)
{
	autofree char *facts = read_text(FACTS "/shim-v2-wire.txt");

	assert_int_equal(check(facts, "", SHIM_SET, false), 0);
}

static void the_plugin_protocol_is_as_the_facts_say(void **state)
{
	autofree char *facts = read_text(FACTS "/nri-v1-wire.txt");

	assert_int_equal(check(facts, "nri.", NRI_SET, false), 0);
}

/* Each of these lies must be noticed. */
static void a_difference_is_noticed(void **state)
{
	static const struct {
		const char *from, *to;
	} lies[] = {
		{ "  4 uint32 attempt\n", "  5 uint32 attempt\n" },
		{ "  4 uint32 attempt\n", "" },
		{ "  4 uint32 attempt\n", "  4 int32 attempt\n" },
		{ "  4 uint32 attempt\n", "  4 uint32 attempts\n" },
		{ "  4 uint32 attempt\n", "  4 uint32 attempt\n  5 bool more\n" },
		{ "repeated string cmd", "string cmd" },
		{ "NetworkConfig network_config", "PodIP network_config" },
		{ "SANDBOX_NOTREADY=1", "SANDBOX_NOTREADY=2" },
		{ ", SANDBOX_NOTREADY=1", "" },
		{ "Localhost=2", "Localhost=3" },
		{ "map<string,string> info", "string info" },
		{ "-> stream ContainerEventResponse", "-> ContainerEventResponse" },
		{ "-> ExecSyncResponse", "-> stream ExecSyncResponse" },
		{ "-> ExecSyncResponse", "-> ExecResponse" },
		{ "  PullImage: PullImageRequest -> PullImageResponse\n", "" },
		{ "message PodIP\n  1 string ip\n", "" },
	};
	autofree char *facts = read_text(FACTS "/cri-v1-wire.txt");

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		const char *at = strstr(facts, lies[i].from);
		autofree char *lie = NULL;

		assert_non_null(at);
		lie = mem_printf("%.*s%s%s", (int)(at - facts), facts, lies[i].to, at + strlen(lies[i].from));
		if (!check(lie, "runtime.v1.", CRI_SET, true))
			fail_msg("\"%s\" for \"%s\" was not noticed", lies[i].to, lies[i].from);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cri_is_as_the_facts_say),
		cmocka_unit_test(the_shim_api_is_as_the_facts_say),
		cmocka_unit_test(the_plugin_protocol_is_as_the_facts_say),
		cmocka_unit_test(a_difference_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
