/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Asking a binary what it can read (shm/describe.h), beside a child that serves. One process, one pipe, one deadline; embedded in the migration.
 *
 *      bt_describe_begin()  ->  done(describe, text) once, from the loop      or  bt_describe_end() before
 */

#include "shm/describe.h"
#include "supervisor/loop/loop.h"
#include "supervisor/proc/proc.h"
#include "supervisor/registry.h"

#define BT_DESCRIBE_NS UINT64_C(2000000000) /* or child_migration_timeout, if that is shorter */

struct bt_child;
struct bt_binary;
struct bt_describe;

/* @answer: NULL: it gave none, and @why says how it went. */
typedef void (*bt_describe_fn)(struct bt_describe *describe, const struct bt_description *answer, const char *why);

/* Starts as zero bytes. */
struct bt_describe {
        struct bt_loop_watch exit_watch;
        struct bt_loop_timer deadline;
        struct bt_registry *registry;
        struct bt_registry_entry *entry; /* in it; NULL: none */
        bt_describe_fn done;
        bool under_way;
        bool too_late;
        pid_t pid;
        int pidfd;
        int fd; /* read end */
};

/* Can this binary be asked? Not a script: what it does before it becomes a program of ours is unknown. */
bool bt_describe_possible(const struct bt_binary *binary);
/* 0; or -errno, and nothing is under way. */
int bt_describe_begin(struct bt_describe *describe, struct bt_child *child, const struct bt_binary *binary, bt_describe_fn done);
/* Ends it, if it is under way. @done is not called. */
void bt_describe_end(struct bt_describe *describe);
/* The state of @child can be captured in a version that who gave @answer can read; else why not. */
bool bt_describe_reads(const struct bt_child *child, const struct bt_description *answer, char *ret_why, size_t why_bytes);
