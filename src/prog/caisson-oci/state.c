/* state, list, ps: what there is, in runc's shapes. */
#include "prog/caisson-oci/oci.h"

#include "json/json.h"
#include "sys/sys.h"

#include <stdio.h>

/* As `runc state` prints it: the specification's state and four members more. */
struct printed {
	char *oci_version, *id, *status, *bundle, *rootfs, *created, *owner;
	int32_t pid;
	struct json_kv *annotations;
	size_t n_annotations;
};

static const struct json_field printed_fields[] = {
	JSON_FIELD(STR, struct printed, oci_version, "ociVersion", JSON_ALWAYS),
	JSON_FIELD(STR, struct printed, id, "id", JSON_ALWAYS),
	JSON_FIELD(I32, struct printed, pid, "pid", JSON_ALWAYS),
	JSON_FIELD(STR, struct printed, status, "status", JSON_ALWAYS),
	JSON_FIELD(STR, struct printed, bundle, "bundle", JSON_ALWAYS),
	JSON_FIELD(STR, struct printed, rootfs, "rootfs", JSON_ALWAYS),
	JSON_FIELD(STR, struct printed, created, "created", JSON_ALWAYS),
	JSON_FIELD_LIST(STR_MAP, struct printed, annotations, "annotations", 0),
	JSON_FIELD(STR, struct printed, owner, "owner", JSON_ALWAYS),
};
static const struct json_type printed_type = JSON_TYPE("state", struct printed, printed_fields);

static int look(struct global *g, const char *id, struct printed *ret, struct err *err)
{
	struct runtime_state s;
	int r = runtime_state(g->root, id, &g->arena, &s, err);

	if (r < 0)
		return r;
	*ret = (struct printed){
		.oci_version = s.oci.oci_version, .id = s.oci.id, .status = s.oci.status, .pid = s.oci.pid,
		.bundle = s.oci.bundle, .rootfs = s.rootfs, .created = s.created, .owner = s.owner,
		.annotations = s.oci.annotations, .n_annotations = s.oci.n_annotations,
	};
	return 0;
}

enum { OUTPUT_MAX = 64 * 1024 * 1024 };

int command_state(struct global *g, int argc, char **argv, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(OUTPUT_MAX);
	struct printed p;
	const char *id;
	int r;

	r = options_id(command_find("state"), NULL, 0, argc, argv, &g->arena, &id, err);
	if (r == 0)
		r = look(g, id, &p, err);
	if (r == 0)
		r = json_write(&printed_type, &p, 2, &out, err);
	if (r < 0)
		return r;
	printf("%s\n", buf_text(&out));
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Columns of at least 12, three spaces between: runc's tabwriter. */
static void print_table(const char *(*rows)[6], size_t n)
{
	size_t width[6] = { 0 };

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < 6; k++)
			if (strlen(rows[i][k]) + 3 > width[k])
				width[k] = strlen(rows[i][k]) + 3;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < 5; k++)
			printf("%-*s", (int)(width[k] < 12 ? 12 : width[k]), rows[i][k]);
		printf("%s\n", rows[i][5]);
	}
}

static int print_list(struct global *g, const struct printed *list, size_t n, const char *format,
		      struct err *err)
{
	const char *(*rows)[6];

	if (str_eq(format, "json")) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(OUTPUT_MAX);

		if (!n) {
			printf("null\n");
			return 0;
		}
		for (size_t i = 0; i < n; i++) {
			int r = buf_puts(&out, i ? "," : "[");

			if (r == 0)
				r = json_write(&printed_type, &list[i], 0, &out, err);
			if (r < 0)
				return r;
		}
		printf("%s]\n", buf_text(&out));
		return 0;
	}
	if (format && !str_eq(format, "table"))
		return err_set(err, ERR_INVALID, "invalid format option: %s", format);
	rows = arena_new(&g->arena, n + 1, sizeof(*rows));
	memcpy(rows[0], (const char *[]){ "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER" },
	       sizeof(rows[0]));
	for (size_t i = 0; i < n; i++) {
		rows[i + 1][0] = list[i].id;
		rows[i + 1][1] = arena_printf(&g->arena, "%d", list[i].pid);
		rows[i + 1][2] = list[i].status;
		rows[i + 1][3] = list[i].bundle;
		rows[i + 1][4] = list[i].created ? list[i].created : "";
		rows[i + 1][5] = list[i].owner ? list[i].owner : "";
	}
	print_table(rows, n + 1);
	return 0;
}

int command_list(struct global *g, int argc, char **argv, struct err *err)
{
	const char *format = NULL;
	bool quiet = false;
	const struct option options[] = {
		{ "format", 'f', OPTION_TEXT, &format, "FORMAT\ttable or json" },
		{ "quiet", 'q', OPTION_FLAG, &quiet, "ids only" },
	};
	struct printed *list;
	char **words, **ids;
	size_t n_words, n_ids, n = 0;
	int r;

	r = options_parse(command_find("list"), options, ARRAY_LEN(options), argc, argv, -1, &g->arena,
			  &words,
			  &n_words, err);
	if (r == 0 && n_words)
		return err_set(err, ERR_INVALID, "\"list\" requires no arguments");
	if (r == 0)
		r = runtime_list(g->root, &g->arena, &ids, &n_ids, err);
	if (r < 0)
		return r;
	if (n_ids)
		qsort(ids, n_ids, sizeof(*ids), by_id);
	list = arena_new(&g->arena, n_ids + 1, sizeof(*list));
	for (size_t i = 0; i < n_ids; i++) {
		struct err one = ERR_INIT;

		if (quiet)
			printf("%s\n", ids[i]);
		else if (look(g, ids[i], &list[n], &one) == 0)
			n++;
		else if (one.kind != ERR_NOT_FOUND) /* deleted meanwhile */
			report("error", one.text);
	}
	return quiet ? 0 : print_list(g, list, n, format, err);
}

/* ps(1) of the host, its lines filtered by the container's processes. */
static int print_ps(char **words, size_t n_words, const pid_t *pids, size_t n_pids, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(OUTPUT_MAX);
	const char *argv[32] = { "ps", "-ef" }, *env[] = { "PATH=/usr/bin:/bin", NULL };
	struct sys_spawn what = { .path = "/bin/ps", .argv = argv, .env = env,
				  .deadline = time_now_mono() + 30 * NSEC_PER_SEC };
	size_t column = 0;
	char *save = NULL;
	int r, status;

	for (size_t i = 0; i < n_words && i < 30; i++)
		argv[i + 1] = words[i];
	r = sys_spawn_run(&what, &out, NULL, &status);
	if (r < 0 || status)
		return err_sys(err, r < 0 ? r : EIO, "ps");
	for (char *line = strtok_r((char *)out.data, "\n", &save), *first = line; line;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *p = line + strspn(line, " ");
		size_t k = 0;

		if (line == first) {
			for (; *p && strncmp(p, "PID", 3) != 0; column++)
				p += strcspn(p, " "), p += strspn(p, " ");
			if (!*p)
				return err_set(err, ERR_INVALID, "ps prints no PID column");
			printf("%s\n", line);
			continue;
		}
		for (; k < column && *p; k++)
			p += strcspn(p, " "), p += strspn(p, " ");
		for (size_t i = 0; i < n_pids; i++)
			if (pids[i] == atoi(p))
				printf("%s\n", line);
	}
	return 0;
}

int command_ps(struct global *g, int argc, char **argv, struct err *err)
{
	const char *format = NULL;
	const struct option options[] = { { "format", 'f', OPTION_TEXT, &format, "FORMAT\ttable or json" } };
	autofree pid_t *pids = NULL;
	char **words;
	size_t n_words, n;
	int r;

	r = options_parse(command_find("ps"), options, ARRAY_LEN(options), argc, argv, 1, &g->arena, &words,
			  &n_words,
			  err);
	if (r == 0 && !n_words)
		return err_set(err, ERR_INVALID, "\"ps\" requires a minimum of 1 argument");
	if (r == 0)
		r = runtime_pids(g->root, words[0], &pids, &n, err);
	if (r < 0)
		return r;
	if (!str_eq(format, "json"))
		return print_ps(words + 1, n_words - 1, pids, n, err);
	for (size_t i = 0; i < n; i++)
		printf("%s%d", i ? "," : "[", (int)pids[i]);
	printf("%s\n", n ? "]" : "null");
	return 0;
}
