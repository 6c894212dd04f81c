/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Clients of children (client-api/), the hub's side. The hub hands descriptors around and buries the dead; no message passes through it.
 *
 *      hello     a number, a segment for its answers, a bell: made here, kept here
 *      open      the client's segment to every process of the children it named, then their mailboxes to the client. In this order: who is sent a
 *                message knows already where its answer goes
 *      process   each new process of a child is sent the segments of all clients that have opened it, before it is started
 *      death     of a client: its half-written messages become holes, the processes are told to forget it.
 *                of a process: its half-written answers become holes
 *
 * A hub that was killed leaves client_book.h. What it says is checked by pid and start time: a number whose process is gone is buried; one whose
 * process lives is kept for it, until it comes back with its segment or dies.
 *
 * bt_client (control.c) is a connection that asks one thing; this is what becomes of one that asks to stay.
 */

#include <stdbool.h>
#include <stdint.h>

struct bt_callers;
struct bt_hub;
struct bt_child;
struct bt_inc;

int bt_callers_open(
        struct bt_hub
                *hub); /* the book, before any process is started. 0 or -errno, said in words */
void bt_callers_adopt(
        struct bt_hub *hub); /* who was there before: after the children were adopted */
/* After the mailboxes were closed. */
void bt_callers_close(struct bt_hub *hub);

/* Takes over a connection that asked for BT_CTL_ATTACH. Takes @fd. */
void bt_callers_take(struct bt_hub *hub, int fd);

/* A number under which claims are made, never given before by a hub of this runtime directory. 0: none can be had. */
uint32_t bt_callers_number(struct bt_hub *hub);

uint32_t bt_callers_count(const struct bt_child *child); /* clients that have opened it */
/* It has the mailbox of the hub before, and no process: claims of those that died meanwhile are void. */
void bt_callers_child_taken_up(struct bt_child *child);

/* To a process that is about to be started. */
void bt_callers_introduce(struct bt_inc *inc);
/* It can run no more code. */
void bt_callers_process_gone(const struct bt_inc *inc);

void bt_callers_child_added(struct bt_child *child);
/*
 * The word of @child is vacant, and its last holder had done a message whose answer it did not give any more: it is given now, for nobody knows whether there
 * will be another holder.
 */
void bt_callers_answer(struct bt_child *child);

/* @name: of its mailbox, whose gate is closed; "": others of its pool have it still. */
void bt_callers_child_removed(struct bt_child *child, const char *name);
