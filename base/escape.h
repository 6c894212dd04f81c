/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Text of others that is shown to people. A child's id may have any bytes (docs/children.md), and so may what children print: on its way to a terminal or
 * a log it must not be able to end a line, move a cursor, or turn the direction of what follows.
 *
 *      "caf\xc3\xa9 1"         café 1           UTF-8 stays
 *      "a\nb\x9b"              a\x0ab\x9b       what a terminal obeys, and what is no UTF-8, is written out
 *
 * A backslash stays as it is: the result is for eyes. What is read by programs (JSON, the environment of a command) has the bytes themselves.
 */

#include <stdbool.h>
#include <stddef.h>

/* The room that @bytes bytes need at most, with the NUL. */
#define BT_ESCAPE_BYTES(bytes) ((bytes)*4 + 1)

/* Bytes of the valid UTF-8 character at @text; 0 when there is none. */
size_t bt_utf8_char(const char *text, size_t bytes);

/* C0, DEL, C1, and the marks that turn the direction of text: for a character of @length bytes, which is valid. */
bool bt_utf8_hidden(const char *text, size_t length);

/* Each byte as \xNN; returns four times @bytes, which is the room it needs. No NUL. */
size_t bt_escape_bytes(char *room, const char *text, size_t bytes);

/* Into @room, NUL-terminated, cut between characters where it is too small. Returns the length. */
size_t bt_escape(char *room, size_t room_bytes, const char *text);
