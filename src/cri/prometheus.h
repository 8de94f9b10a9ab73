/*
 * Samples as the text that Prometheus reads: one family after another, each with its HELP and
 * TYPE line, whatever the order in which samples come. Pure.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#pragma once

#include "cri/metrics.h"

enum { PROMETHEUS_MAX = 64 << 20 };

struct prometheus;

struct prometheus *prometheus_new(void);
void prometheus_free(struct prometheus *p);
/* A cri_sample_fn with the prometheus as user. */
void prometheus_add(const struct cri_sample *sample, void *user);
/* -ENOBUFS: more than out or PROMETHEUS_MAX takes. */
int prometheus_text(struct prometheus *p, struct buf *out);
