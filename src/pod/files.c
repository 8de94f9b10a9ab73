/*
 * resolv.conf, hosts and hostname of a pod: files of the pod's directory that each of its
 * containers gets as bind mounts. Worker threads.
 */
#include "pod/files.h"
#include "pod/userns.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>

/* One word of a line: no white space, no control characters. */
static int check_word(const char *field, const char *s, struct err *err)
{
	if (str_empty(s))
		return err_set(err, ERR_INVALID, "%s: empty entry", field);
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return err_set(err, ERR_INVALID, "%s: white space or control character in an entry",
				       field);
	return 0;
}

static int put_words(struct buf *out, const char *keyword, const char *field, char *const *words, size_t n,
		     bool one_a_line, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		r = check_word(field, words[i], err);
		if (r < 0)
			return r;
		if (one_a_line)
			r = buf_printf(out, "%s %s\n", keyword, words[i]);
		else
			r = buf_printf(out, "%s%s", i ? " " : keyword, i ? "" : " ");
		if (r == 0 && !one_a_line)
			r = buf_printf(out, "%s%s", words[i], i + 1 == n ? "\n" : "");
	}
	return r < 0 ? err_set(err, ERR_INVALID, "%s: too long", field) : 0;
}

int pod_resolv_text(const struct pod_config *config, struct buf *out, struct err *err)
{
	int r = put_words(out, "search", "dns_config.searches", config->dns_searches, config->n_dns_searches,
			  false, err);

	if (r == 0)
		r = put_words(out, "nameserver", "dns_config.servers", config->dns_servers,
			      config->n_dns_servers, true, err);
	if (r == 0)
		r = put_words(out, "options", "dns_config.options", config->dns_options,
			      config->n_dns_options, false, err);
	return r;
}

int pod_hosts_text(const char *hostname, char *const *ips, size_t n_ips, struct buf *out, struct err *err)
{
	int r = buf_puts(out, "127.0.0.1\tlocalhost\n"
			      "::1\tlocalhost ip6-localhost ip6-loopback\n"
			      "fe00::0\tip6-localnet\n"
			      "ff00::0\tip6-mcastprefix\n"
			      "ff02::1\tip6-allnodes\n"
			      "ff02::2\tip6-allrouters\n");

	for (size_t i = 0; i < n_ips && r == 0; i++)
		r = buf_printf(out, "%s\t%s\n", ips[i], hostname);
	return r < 0 ? err_sys(err, r, "hosts") : 0;
}

int pod_hostname(const struct pod_config *config, char *out, size_t size, struct err *err)
{
	if (str_empty(config->hostname)) {
		if (gethostname(out, size) < 0)
			return err_sys(err, errno, "gethostname");
		out[size - 1] = '\0';
		return 0;
	}
	/* HOST_NAME_MAX of the kernel; more would fail in sethostname, later and with less to say */
	if (strlen(config->hostname) > 64 || strlen(config->hostname) >= size)
		return err_set(err, ERR_INVALID, "hostname %s: longer than 64 characters", config->hostname);
	if (check_word("hostname", config->hostname, err) < 0)
		return -EINVAL;
	snprintf(out, size, "%s", config->hostname);
	return 0;
}

/* They belong to the root of the pod's user namespace, who may change them. */
static int put_file(const struct pod_config *config, const char *dir, const char *name, const struct buf *text,
		    struct err *err)
{
	autofree char *path = mem_printf("%s/%s", dir, name);
	int r = sys_file_replace(AT_FDCWD, path, buf_text(text), text->len, 0644, false);
	uint32_t uid, gid;

	if (r < 0)
		return err_sys(err, r, "write %s", path);
	pod_userns_root(&config->security.namespaces, &uid, &gid);
	if ((uid || gid) && lchown(path, uid, gid) < 0)
		return err_sys(err, errno, "chown %s", path);
	return 0;
}

static int copy_file(const struct pod_config *config, const char *from, const char *dir, const char *name,
		     struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(POD_FILE_MAX);
	int r = sys_file_read(AT_FDCWD, from, POD_FILE_MAX, &text);

	/* a host without the file: the pod gets an empty one */
	if (r < 0 && r != -ENOENT)
		return err_sys(err, r, "read %s", from);
	return put_file(config, dir, name, &text, err);
}

int pod_files_write(const struct pod_config *config, const char *dir, const char *hostname, struct err *err)
{
	CLEANUP(buf_done) struct buf resolv = BUF_INIT(POD_FILE_MAX);
	CLEANUP(buf_done) struct buf name = BUF_INIT(POD_FILE_MAX);
	int r = pod_resolv_text(config, &resolv, err);

	if (r < 0)
		return r;
	r = resolv.len ? put_file(config, dir, "resolv.conf", &resolv, err) :
			 copy_file(config, "/etc/resolv.conf", dir, "resolv.conf", err);
	if (r < 0)
		return r;
	buf_printf(&name, "%s\n", hostname);
	return put_file(config, dir, "hostname", &name, err);
}

int pod_hosts_write(const struct pod_config *config, const char *dir, const char *hostname, char *const *ips,
		    size_t n_ips, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(POD_FILE_MAX);
	int r;

	if (config->security.namespaces.network == POD_NS_NODE)
		return copy_file(config, "/etc/hosts", dir, "hosts", err);
	r = pod_hosts_text(hostname, ips, n_ips, &text, err);
	return r < 0 ? r : put_file(config, dir, "hosts", &text, err);
}
