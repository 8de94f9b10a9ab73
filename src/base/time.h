/*
 * Clocks in nanoseconds and their text. int64_t nanoseconds are the unit everywhere in
 * Caisson; CRI timestamps are the same unit since the epoch.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)

int64_t time_now_mono(void); /* CLOCK_MONOTONIC: for deadlines */
int64_t time_now_real(void); /* CLOCK_REALTIME: for records */

/* Milliseconds for poll(2) until a monotonic deadline: 0 when past, -1 for INT64_MAX. */
int time_poll_ms(int64_t deadline);

enum { TIME_TEXT_MAX = 36 };

/* "2026-01-31T23:59:59.123456789Z" in UTC, always nine digits. Returns out. */
char *time_format_rfc3339(int64_t real, char out[TIME_TEXT_MAX]);

/* RFC 3339 with optional fraction and zone offset: 0 or -EINVAL. */
int time_parse_rfc3339(const char *s, int64_t *ret_real);
