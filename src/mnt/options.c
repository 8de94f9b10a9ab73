/*
 * Mount options as words → what the mount API wants. Pure.
 *
 * A word is in the table, or it belongs to the file system. Later words win over earlier
 * ones about the same attribute, as mount(8) has it.
 */
#include "mnt/mnt.h"

#include "sys/mount.h"

#include <sys/mount.h>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

enum word_kind { ATTR, ATTR_REC, PROPAGATION, BIND, BIND_REC, REMOUNT, COPY_UP, COPY_LINK, SOURCE_LINK,
		 TARGET_LINK, IDMAP, IDMAP_REC, SUPER, NOTHING };

#define ATIME MOUNT_ATTR__ATIME

/* "r" + word is the recursive form of every ATTR row with rec set. */
static const struct {
	const char *name;
	enum word_kind kind;
	uint64_t set, clear;
	const char *data; /* SUPER: what fsconfig gets */
} words[] = {
	{ "acl", NOTHING, 0, 0, NULL },
	{ "async", NOTHING, 0, 0, NULL },
	{ "atime", ATTR, 0, MOUNT_ATTR_NOATIME, NULL },
	{ "bind", BIND, 0, 0, NULL },
	{ "copy-symlink", COPY_LINK, 0, 0, NULL },
	{ "defaults", NOTHING, 0, 0, NULL },
	{ "dest-nofollow", TARGET_LINK, 0, 0, NULL },
	{ "dev", ATTR, 0, MOUNT_ATTR_NODEV, NULL },
	{ "diratime", ATTR, 0, MOUNT_ATTR_NODIRATIME, NULL },
	{ "dirsync", SUPER, 0, 0, "dirsync" },
	{ "exec", ATTR, 0, MOUNT_ATTR_NOEXEC, NULL },
	{ "idmap", IDMAP, 0, 0, NULL },
	{ "iversion", SUPER, 0, 0, "iversion" },
	{ "lazytime", SUPER, 0, 0, "lazytime" },
	{ "loud", NOTHING, 0, 0, NULL },
	{ "mand", SUPER, 0, 0, "mand" },
	{ "noacl", NOTHING, 0, 0, NULL },
	{ "noatime", ATTR, MOUNT_ATTR_NOATIME, ATIME, NULL },
	{ "nodev", ATTR, MOUNT_ATTR_NODEV, 0, NULL },
	{ "nodiratime", ATTR, MOUNT_ATTR_NODIRATIME, 0, NULL },
	{ "noexec", ATTR, MOUNT_ATTR_NOEXEC, 0, NULL },
	{ "noiversion", NOTHING, 0, 0, NULL },
	{ "nolazytime", NOTHING, 0, 0, NULL },
	{ "nomand", NOTHING, 0, 0, NULL },
	{ "norelatime", ATTR, 0, MOUNT_ATTR_RELATIME, NULL },
	{ "nostrictatime", ATTR, 0, MOUNT_ATTR_STRICTATIME, NULL },
	{ "nosuid", ATTR, MOUNT_ATTR_NOSUID, 0, NULL },
	{ "nosymfollow", ATTR, MOUNT_ATTR_NOSYMFOLLOW, 0, NULL },
	{ "private", PROPAGATION, MS_PRIVATE, 0, NULL },
	{ "rasync", NOTHING, 0, 0, NULL },
	{ "ratime", ATTR_REC, 0, MOUNT_ATTR_NOATIME, NULL },
	{ "rbind", BIND_REC, 0, 0, NULL },
	{ "rdev", ATTR_REC, 0, MOUNT_ATTR_NODEV, NULL },
	{ "rdiratime", ATTR_REC, 0, MOUNT_ATTR_NODIRATIME, NULL },
	{ "rdirsync", SUPER, 0, 0, "dirsync" },
	{ "relatime", ATTR, MOUNT_ATTR_RELATIME, ATIME, NULL },
	{ "remount", REMOUNT, 0, 0, NULL },
	{ "rexec", ATTR_REC, 0, MOUNT_ATTR_NOEXEC, NULL },
	{ "ridmap", IDMAP_REC, 0, 0, NULL },
	{ "rmand", SUPER, 0, 0, "mand" },
	{ "rnoatime", ATTR_REC, MOUNT_ATTR_NOATIME, ATIME, NULL },
	{ "rnodev", ATTR_REC, MOUNT_ATTR_NODEV, 0, NULL },
	{ "rnodiratime", ATTR_REC, MOUNT_ATTR_NODIRATIME, 0, NULL },
	{ "rnoexec", ATTR_REC, MOUNT_ATTR_NOEXEC, 0, NULL },
	{ "rnomand", NOTHING, 0, 0, NULL },
	{ "rnorelatime", ATTR_REC, 0, MOUNT_ATTR_RELATIME, NULL },
	{ "rnostrictatime", ATTR_REC, 0, MOUNT_ATTR_STRICTATIME, NULL },
	{ "rnosuid", ATTR_REC, MOUNT_ATTR_NOSUID, 0, NULL },
	{ "rnosymfollow", ATTR_REC, MOUNT_ATTR_NOSYMFOLLOW, 0, NULL },
	{ "ro", ATTR, MOUNT_ATTR_RDONLY, 0, NULL },
	{ "rprivate", PROPAGATION, MS_PRIVATE | MS_REC, 0, NULL },
	{ "rrelatime", ATTR_REC, MOUNT_ATTR_RELATIME, ATIME, NULL },
	{ "rro", ATTR_REC, MOUNT_ATTR_RDONLY, 0, NULL },
	{ "rrw", ATTR_REC, 0, MOUNT_ATTR_RDONLY, NULL },
	{ "rshared", PROPAGATION, MS_SHARED | MS_REC, 0, NULL },
	{ "rslave", PROPAGATION, MS_SLAVE | MS_REC, 0, NULL },
	{ "rstrictatime", ATTR_REC, MOUNT_ATTR_STRICTATIME, ATIME, NULL },
	{ "rsuid", ATTR_REC, 0, MOUNT_ATTR_NOSUID, NULL },
	{ "rsymfollow", ATTR_REC, 0, MOUNT_ATTR_NOSYMFOLLOW, NULL },
	{ "rsync", SUPER, 0, 0, "sync" },
	{ "runbindable", PROPAGATION, MS_UNBINDABLE | MS_REC, 0, NULL },
	{ "rw", ATTR, 0, MOUNT_ATTR_RDONLY, NULL },
	{ "shared", PROPAGATION, MS_SHARED, 0, NULL },
	{ "silent", NOTHING, 0, 0, NULL },
	{ "slave", PROPAGATION, MS_SLAVE, 0, NULL },
	{ "src-nofollow", SOURCE_LINK, 0, 0, NULL },
	{ "strictatime", ATTR, MOUNT_ATTR_STRICTATIME, ATIME, NULL },
	{ "suid", ATTR, 0, MOUNT_ATTR_NOSUID, NULL },
	{ "symfollow", ATTR, 0, MOUNT_ATTR_NOSYMFOLLOW, NULL },
	{ "sync", SUPER, 0, 0, "sync" },
	{ "tmpcopyup", COPY_UP, 0, 0, NULL },
	{ "unbindable", PROPAGATION, MS_UNBINDABLE, 0, NULL },
};

const char *mnt_option_name(size_t i)
{
	return i < ARRAY_LEN(words) ? words[i].name : NULL;
}

/* The access time modes are one value in two bits: naming one clears the others, and the
 * kernel wants the whole field cleared whenever one is set. MOUNT_ATTR_RELATIME is 0. */
static void merge(uint64_t *set, uint64_t *clear, uint64_t add_set, uint64_t add_clear)
{
	if (add_clear & ATIME && add_clear != ATIME) {
		/* "atime" undoes "noatime"; the field goes back to the default, relatime */
		if (*set & add_clear)
			*set &= ~(uint64_t)ATIME;
		*clear |= ATIME;
		return;
	}
	*set = (*set & ~add_clear) | add_set;
	*clear = (*clear & ~add_set) | add_clear;
}

int mnt_propagation_parse(const char *word, uint64_t *ret, bool *ret_rec)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].kind == PROPAGATION && str_eq(words[i].name, word)) {
			*ret = words[i].set & ~(uint64_t)MS_REC;
			*ret_rec = words[i].set & MS_REC;
			return 0;
		}
	return -EINVAL;
}

/* A word that is in no table: for the file system, or maps of an idmapped mount. */
static int other_word(const char *word, struct mnt_options *o, struct err *err)
{
	const char *value = strchr(word, '=');

	if (!*word)
		return err_set(err, ERR_INVALID, "an empty option");
	if (*word == '=')
		return err_set(err, ERR_INVALID, "option \"%s\": no name", word);
	if (str_skip_prefix(word, "idmap=") || str_skip_prefix(word, "ridmap=")) {
		o->idmap = true;
		o->idmap_rec = *word == 'r';
		o->idmap_maps = value + 1;
		return 0;
	}
	/* fsconfig(2) takes 256 bytes with the final zero, of a key as of a value */
	if (strcspn(word, "=") > 255 ||
	    (!str_skip_prefix(word, "lowerdir=") && value && strlen(value + 1) > 255))
		return err_set(err, ERR_INVALID, "option \"%.40s…\" is too long", word);
	o->data[o->n_data++] = word;
	return 0;
}

int mnt_options_parse(const char *const *list, size_t n, struct arena *a, struct mnt_options *ret,
		      struct err *err)
{
	struct mnt_options o = { 0 };

	if (n)
		o.data = arena_new(a, n, sizeof(*o.data));
	for (size_t i = 0; i < n; i++) {
		size_t w = 0;

		while (w < ARRAY_LEN(words) && strcmp(words[w].name, list[i]) != 0)
			w++;
		if (w == ARRAY_LEN(words)) {
			int r = other_word(list[i], &o, err);

			if (r < 0)
				return r;
			continue;
		}
		switch (words[w].kind) {
		case ATTR: merge(&o.set, &o.clear, words[w].set, words[w].clear); break;
		case ATTR_REC: merge(&o.rec_set, &o.rec_clear, words[w].set, words[w].clear); break;
		case PROPAGATION:
			o.propagation = words[w].set & ~(uint64_t)MS_REC;
			o.propagation_rec = words[w].set & MS_REC;
			break;
		case BIND: o.bind = true; break;
		case BIND_REC: o.bind = o.bind_rec = true; break;
		case REMOUNT: o.remount = true; break;
		case COPY_UP: o.copy_up = true; break;
		case COPY_LINK: o.copy_link = true; break;
		case SOURCE_LINK: o.source_link = true; break;
		case TARGET_LINK: o.target_link = true; break;
		case IDMAP: o.idmap = true; break;
		case IDMAP_REC: o.idmap = o.idmap_rec = true; break;
		case SUPER: o.data[o.n_data++] = words[w].data; break;
		case NOTHING: break;
		}
	}
	if (o.copy_link && (o.source_link || o.target_link))
		return err_set(err, ERR_INVALID,
			       "copy-symlink goes with neither src-nofollow nor dest-nofollow");
	/* what is said of the whole tree holds for its top unless the top was named itself */
	*ret = o;
	return 0;
}
