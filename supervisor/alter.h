/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A command that may change how a child is started: `alter:` in the configuration.
 *
 *      start wanted ──► waits (at most BT_ALTER_RUNNING run at once) ──► command ──► exit 0, an answer that makes sense ──► started, altered
 *                                                                          └─ anything else, or hook_timeout: said ──► started as specified
 *
 * It runs before each start of a child outside a swap: the first, each restart, the first under a hub that adopted it (then nobody waits: it
 * runs already). The answer belongs to the child until the next one and is applied to every process that is started in the meantime, so a successor
 * of a swap has what its predecessor had. Nothing of a swap waits for a command.
 *
 * The answer is what it prints to stdout: records, each ended by a NUL byte, at most BT_ALTER_BYTES_MAX together and BT_ALTER_RECORDS_MAX of them:
 *
 *      env.NAME=VALUE      a variable, over the specified one of that name. Not one of those that the hub sets itself
 *      arg=TEXT            one more argument, behind the specified ones
 *      cwd=/ABSOLUTE       the folder it is started in
 *      meta.KEY=TEXT       a key of its metadata, over the specified one
 *      node=NAME           where it is started; of one that runs already it is not read
 *
 * The daemon parses no text: a record is compared with these five beginnings and otherwise copied. Whatever is wrong with one refuses them all,
 * because half an alteration is a start that nobody specified.
 *
 * What cannot be altered: the program (that is an upgrade, which can be rolled back), and limits and strategy, which the state machines read while
 * the child lives.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <baton/types.h>

struct bt_child;
struct bt_hub;
struct bt_alter;

#define BT_ALTER_RUNNING 8
#define BT_ALTER_BYTES_MAX 65536
#define BT_ALTER_RECORDS_MAX 256

/* True: the start waits, and bt_child_start_altered() follows from the loop. False: there is nothing to wait for. */
bool bt_alter_before(struct bt_child *child, enum baton_reason reason);
/* The same for processes to come, when one runs already. */
void bt_alter_adopted(struct bt_child *child);
void bt_alter_free(struct bt_child *child); /* kills its command, if one runs */

/* ---- the answer that counts ---- */

/* How many records there are at most for one vector: the room that bt_alter_apply() needs. */
size_t bt_alter_count(const struct bt_child *child);
/* Adds to vectors with room for so many; returns the new end of @envp. @cwd is replaced or left alone. */
size_t bt_alter_apply(const struct bt_child *child, char **argv, size_t argc, char **envp, size_t envc, const char **cwd);

/* ---- what a child is found by ---- */

/* Strings, one after the other. Valid until the child is asked about again. */
struct bt_labels {
        const char *first;
        uint32_t count;
};

struct bt_labels bt_child_tags(const struct bt_child *child);
struct bt_labels bt_child_meta(const struct bt_child *child); /* KEY=TEXT: as specified, or as an answer changed it */

/* ---- in a program that has a hub inside (embed.c): asked after the turn, in place of a command ---- */

typedef void (*bt_alter_ask_fn)(void *ctx, struct bt_alter *alter);
void bt_alter_ask_all(struct bt_hub *hub, bt_alter_ask_fn ask, void *ctx);
const struct bt_child *bt_alter_child(const struct bt_alter *alter);
enum baton_reason bt_alter_reason(const struct bt_alter *alter);
/* One more record, without its NUL. 0; -EINVAL; -ENOSPC. */
int bt_alter_say(struct bt_alter *alter, const char *record);
