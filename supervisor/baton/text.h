/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Text for people: what may be shown, how wide it is, and numbers in units that are read at a glance. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bt_mem;

#define BT_TEXT_NUMBER_BYTES 32

/**
 * bt_text_clean() - make foreign text safe to show
 * @room: gets the result, NUL-terminated, at most @room_bytes long
 * @text: bytes of a config file or of a child's stderr; need not be terminated
 *
 * Control characters (a terminal would obey them) and bytes that are not UTF-8 become \xNN (base/escape.h); tabs become spaces; newlines stay when @lines.
 */
void bt_text_clean(char *room, size_t room_bytes, const char *text, size_t bytes, bool lines);

/* A child's id, whole, as people may see it (base/escape.h). */
const char *bt_text_shown(struct bt_mem *mem, const char *id);

/* Characters in valid UTF-8 text; what a terminal shows one column wide, mostly. */
size_t bt_text_width(const char *text);

/* "870 ns", "23 µs", "1.9 ms", "4.2 s", "3m 12s", "5h 2m", "12d 4h". */
void bt_text_duration(char room[BT_TEXT_NUMBER_BYTES], uint64_t ns);

/* "512 B", "64 KiB", "1.5 GiB". */
void bt_text_size(char room[BT_TEXT_NUMBER_BYTES], uint64_t bytes);

/**
 * bt_text_suggest() - the candidate that was probably meant
 * @candidates: ends with NULL
 *
 * Edits counted: insert, delete, replace a letter, swap two neighbours. At most a third of the word's letters (one at least). NULL: none is near.
 */
const char *bt_text_suggest(const char *word, const char *const *candidates);
