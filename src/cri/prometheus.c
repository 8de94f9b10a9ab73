/*
 * The text format: prometheus.h. A buffer for each family; families without a sample are left
 * out. Seconds have their fraction here, which CRI's whole numbers have not.
 */
#include "cri/prometheus.h"

#include <inttypes.h>

struct prometheus {
	struct buf *families; /* as many as metrics */
	bool full;
};

struct prometheus *prometheus_new(void)
{
	struct prometheus *p = mem_new(1, sizeof(*p));

	p->families = mem_new(cri_n_metrics, sizeof(*p->families));
	for (size_t i = 0; i < cri_n_metrics; i++)
		p->families[i] = (struct buf)BUF_INIT(PROMETHEUS_MAX);
	return p;
}

void prometheus_free(struct prometheus *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < cri_n_metrics; i++)
		buf_done(&p->families[i]);
	free(p->families);
	free(p);
}

static void put_label(struct buf *out, const char *key, const char *value)
{
	buf_puts(out, key);
	buf_puts(out, "=\"");
	for (const char *s = value ? value : ""; *s; s++) {
		if (*s == '\n')
			buf_puts(out, "\\n");
		else if (*s == '"' || *s == '\\')
			buf_printf(out, "\\%c", *s);
		else
			buf_append(out, s, 1);
	}
	buf_puts(out, "\"");
}

void prometheus_add(const struct cri_sample *sample, void *user)
{
	const struct cri_metric *m = sample->metric;
	struct prometheus *p = user;
	struct buf *out = &p->families[m - cri_metrics];
	size_t n = cri_metric_labels(m);

	buf_puts(out, m->name);
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "{");
		put_label(out, i < METRIC_BASE ? cri_metric_base[i] : m->own[i - METRIC_BASE], sample->labels[i]);
	}
	buf_printf(out, "} %" PRIu64, sample->value / m->per);
	if (m->per > 1) {
		int digits = 0;

		for (uint64_t ten = 1; ten < m->per; ten *= 10)
			digits++;
		buf_printf(out, ".%0*" PRIu64, digits, sample->value % m->per);
	}
	/* a buffer that is full swallows the rest, also this */
	if (buf_puts(out, "\n") < 0)
		p->full = true;
}

int prometheus_text(struct prometheus *p, struct buf *out)
{
	for (size_t i = 0; i < cri_n_metrics && !p->full; i++) {
		const struct cri_metric *m = &cri_metrics[i];

		if (!p->families[i].len)
			continue;
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
			   m->counter ? "counter" : "gauge");
		if (buf_append(out, p->families[i].data, p->families[i].len) < 0)
			p->full = true;
	}
	return p->full ? -ENOBUFS : 0;
}
