/* mounts: as crun has it. */
#include "prog/caisson-oci/oci.h"

#include "sys/sys.h"

#include <fcntl.h>

int command_mounts(struct global *g, int argc, char **argv, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX + 1);
	struct oci_mount *mounts;
	char **words;
	size_t n_words, n;
	bool remove;
	int r;

	r = options_parse(command_find("mounts"), NULL, 0, argc, argv, -1, &g->arena, &words, &n_words, err);
	if (r < 0)
		return r;
	if (n_words != 3 || (!str_eq(words[0], "add") && !str_eq(words[0], "remove")))
		return err_set(err, ERR_INVALID, "\"mounts\" requires add or remove, a container ID and a file");
	remove = str_eq(words[0], "remove");
	r = sys_file_read(AT_FDCWD, str_eq(words[2], "-") ? "/dev/stdin" : words[2], OCI_CONFIG_MAX, &text);
	if (r < 0)
		return err_sys(err, r, "open %s", words[2]);
	r = oci_mounts_read(text.data ? text.data : (const uint8_t *)"", text.len, &g->arena, &mounts, &n, err);
	return r < 0 ? err_wrap(err, r, "%s", words[2]) : runtime_mounts(g->root, words[1], mounts, n, remove, err);
}
