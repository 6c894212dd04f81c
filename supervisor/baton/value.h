/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Values as text: durations, sizes, numbers, switches, modes. Used by the configuration and by the command line alike.
 *
 * Each returns NULL and the value, or a constant phrase that goes on after "expected ..." or stands alone, to be shown behind the text.
 */

#include <stdbool.h>
#include <stdint.h>

/* "250ms", "1.5s", "2m", "1h", "1d", "30us"; a plain number is in units of @plain_ns (milliseconds: BT_NS_PER_MS). Up to BT_PLAN_NS_MAX. */
const char *bt_value_duration(uint64_t *ret_ns, const char *text, uint64_t plain_ns);

/* "64KiB", "1GiB", "1.5MiB", "10MB" (decimal); a plain number is bytes. Up to 2^53. */
const char *bt_value_size(uint64_t *ret_bytes, const char *text);

/* Decimal digits only. */
const char *bt_value_number(uint64_t *ret_number, const char *text, uint64_t min, uint64_t max);

/* "true" or "false" and nothing else. */
const char *bt_value_switch(bool *ret_on, const char *text);

/* -20 .. 19 and the like: digits, with a sign or without. */
const char *bt_value_signed(int32_t *ret_number, const char *text, int32_t min, int32_t max);

/* "0-3,6": bits of @mask, which holds @bits of them and is cleared first. */
const char *bt_value_set(uint64_t *mask, uint32_t bits, const char *text);

/* Permission bits, octal with or without a leading 0 or 0o. */
const char *bt_value_mode(uint32_t *ret_mode, const char *text);
