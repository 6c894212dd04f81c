/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The desk: the message that a child has in hand, so that handling it is one step, whoever dies.
 *
 *      begin ──► [ save, change ]* ──► answer into the box ──► COMMIT (one store of the cursor) ──► end ──► answer pushed ──► box empty
 *         └───────────── died here: undo, again ────────────┘          └────── died here: close, push again ──────┘
 *
 * Invariants, at every instruction:
 *      - @open is 0, or 1 + the position in hand; the log belongs to it from before it is set until after it is cleared.
 *      - @cursor < @open: not done, the log takes it back. @cursor >= @open: done, the log means nothing.
 *      - @answer is 1 + a position; it is to be pushed when the cursor has passed that position, and void before.
 *      - an entry of the log is whole before @undo_used counts it, and counted before the bytes it saves are changed.
 * All stores are of one process, in program order; only the compiler has to be kept from another one. A killed process leaves what it had stored.
 *
 * The log: [old bytes, padded to 8][offset in the arena][bytes], read from its end. Reading may be cut off and started again.
 *
 * In a segment of its own beside the mailbox: clients must not write here, and a baton can be replaced by an empty one while messages wait.
 *
 * What was dropped: a log of new values (redo), which would make the handler read its own writes through a table.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/arena.h"
#include "shm/baton.h"
#include "shm/segment.h"

/* @box_bytes: of the longest answer; @undo_bytes: 0 or the size of the log. Both rounded up to pages. All is mapped. Returns 0 or -errno. */
int bt_desk_create(struct bt_seg *ret_seg, int *ret_fd, uint64_t box_bytes, uint64_t undo_bytes);

/* Maps one as a whole and checks it. @fd is borrowed. Returns 0, BT_SEG_E_* or -errno. */
int bt_desk_attach(struct bt_seg *ret_seg, int fd);

/* ---- the message in hand ---- */

/* How often the message at @pos was begun, this time included; 255: more. @baton: it will be undone in that arena, whose bracket is set next; NULL: it will not. */
uint32_t bt_desk_begin(struct bt_desk *desk, uint64_t pos, const struct bt_baton *baton);

/* The bytes at @at, inside @arena, are about to change. 0, -ENOSPC, or -EINVAL: not in the arena. */
int bt_desk_save(struct bt_desk *desk, const struct bt_arena *arena, const void *from, size_t bytes);

/* All saved bytes back in their place, in an arena of @arena_bytes. 0, or -EBADMSG: the log is not one. */
int bt_desk_undo(struct bt_desk *desk, struct bt_arena *arena, uint64_t arena_bytes);

/* The message is done. The answer that was put for it is to be pushed from here on. */
void bt_desk_commit(struct bt_desk *desk);

/* Nothing is in hand any more. */
void bt_desk_end(struct bt_desk *desk);

/* A slot with nothing in it, at the cursor. */
void bt_desk_skip(struct bt_desk *desk);

/* ---- its answer ---- */

/* Into the box; a later one replaces it. @bytes: at most desk->box_bytes; -EMSGSIZE. */
int bt_desk_put_answer(struct bt_desk *desk, uint32_t client, const struct bt_letter *letter, const void *payload);
void bt_desk_no_answer(struct bt_desk *desk); /* none, or it was pushed */

/* The payload of an answer that is to be pushed now, to @desk->answer_client under @desk->answer_letter; NULL: there is none. */
const void *bt_desk_answer(const struct bt_desk *desk);

/* ---- after a death ---- */

/* True when the bracket of a dead holder is that of a message that can be undone: the arena is not torn for good. */
bool bt_desk_repairs(const struct bt_desk *desk, const struct bt_baton *baton);

/*
 * Before any other use of arena and desk by a new holder of @baton: what was in hand is undone or closed, and the bracket that was its own is cleared.
 * @arena: where it is mapped, @arena_bytes of it; NULL: there is none. 0, or -EBADMSG: the log is not one; the bracket stays set.
 */
int bt_desk_recover(struct bt_desk *desk, struct bt_baton *baton, struct bt_arena *arena, uint64_t arena_bytes);
