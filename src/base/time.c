#include "base/time.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t time_now_mono(void)
{
	return now(CLOCK_MONOTONIC);
}

int64_t time_now_real(void)
{
	return now(CLOCK_REALTIME);
}

int time_poll_ms(int64_t deadline)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return -1;
	left = deadline - time_now_mono();
	if (left <= 0)
		return 0;
	left = (left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return left > 86400000 ? 86400000 : (int)left;
}

/* Civil date from days since 1970-01-01, proleptic Gregorian; no libc, no zone files. */
static void civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t era, y;
	unsigned doe, yoe, doy, mp;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = (unsigned)(days - era * 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	y = (int64_t)yoe + era * 400;
	*day = doy - (153 * mp + 2) / 5 + 1;
	*month = mp < 10 ? mp + 3 : mp - 9;
	*year = y + (*month <= 2);
}

static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
	int64_t era;
	unsigned yoe, doy, doe;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = (unsigned)(y - era * 400);
	doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

static char *put_digits(char *p, unsigned value, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		p[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return p + digits;
}

char *time_format_rfc3339(int64_t real, char out[TIME_TEXT_MAX])
{
	int64_t sec = real / NSEC_PER_SEC, nsec = real % NSEC_PER_SEC, days, year;
	unsigned month, day, rest;
	char *p = out;

	if (nsec < 0) {
		nsec += NSEC_PER_SEC;
		sec--;
	}
	days = sec / 86400;
	if (sec % 86400 < 0)
		days--;
	rest = (unsigned)(sec - days * 86400);
	civil(days, &year, &month, &day);
	/* written by hand: the log writer calls this for each line */
	p = put_digits(p, (unsigned)year, 4);
	*p++ = '-';
	p = put_digits(p, month, 2);
	*p++ = '-';
	p = put_digits(p, day, 2);
	*p++ = 'T';
	p = put_digits(p, rest / 3600, 2);
	*p++ = ':';
	p = put_digits(p, rest / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, rest % 60, 2);
	*p++ = '.';
	p = put_digits(p, (unsigned)nsec, 9);
	*p++ = 'Z';
	*p = '\0';
	return out;
}

int time_parse_rfc3339(const char *s, int64_t *ret_real)
{
	int year, month, day, hour, minute, second, n = 0;
	int64_t nsec = 0, offset = 0;

	if (sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute,
		   &second, &n) != 6 ||
	    !n)
		return -EINVAL;
	if (year < 1678 || year > 2261 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 ||
	    hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return -EINVAL;
	s += n;
	if (*s == '.') {
		int64_t unit = NSEC_PER_SEC / 10;

		for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
			nsec += (*s - '0') * unit;
	}
	if (*s == '+' || *s == '-') {
		int oh, om;

		n = 0;
		if (sscanf(s + 1, "%2d:%2d%n", &oh, &om, &n) != 2 || !n || s[1 + n] || oh < 0 || om < 0)
			return -EINVAL;
		offset = (oh * 3600 + om * 60) * (*s == '-' ? -1 : 1);
	} else if (!((*s == 'Z' || *s == 'z') && !s[1])) {
		return -EINVAL;
	}
	*ret_real = (days_from_civil(year, (unsigned)month, (unsigned)day) * 86400 + hour * 3600 +
		     minute * 60 + second - offset) * NSEC_PER_SEC + nsec;
	return 0;
}
