/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Waiting with a deadline, for tests and for the programs they start (child_*.c, which are not linked with the harness). A deadline is there to end a hang
 * only: it is as long as nobody would wait, and reaching it is a failure.
 *
 *      a process of ours ends          waitid(), world_wait(): no deadline but the watchdog's
 *      a reply, a line over a socket   poll(2) with wait_left_ms()
 *      something the hub tells         events_wait() (tests/support/events.h)
 *      a file comes, goes or grows     wait_for_file(), or wait_folder() before the first look and wait_change() between looks
 *
 * What tells nobody (a word of shared memory, a slot of the node, a line of /proc) is looked at every millisecond:
 *
 *      uint64_t deadline = wait_until(WORLD_WAIT_MS);
 *
 *      while (!what_is_waited_for()) {
 *              if (!wait_again(deadline))
 *                      fail_msg("..");
 *      }
 */

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* The deadline in so many milliseconds. */
static inline uint64_t wait_until(uint64_t ms)
{
        return bt_ns_add(bt_now_ns(), ms * BT_NS_PER_MS);
}

/* For poll(2): what is left until @deadline, rounded up; 0: it is over. */
static inline int wait_left_ms(uint64_t deadline)
{
        uint64_t now = bt_now_ns();

        return now < deadline ? (int)((deadline - now + BT_NS_PER_MS - 1) / BT_NS_PER_MS) : 0;
}

/* Lets a millisecond pass; false: the deadline has come. */
static inline bool wait_again(uint64_t deadline)
{
        const struct timespec moment = {.tv_nsec = (long)BT_NS_PER_MS};

        if (bt_now_ns() >= deadline)
                return false;
        (void)nanosleep(&moment, NULL);
        return true;
}

/* ---- files ---- */

/* Tells of all changes in @folder from now on; close() it. -1: there is none to be had, and wait_change() looks again every millisecond. */
static inline int wait_folder(const char *folder)
{
        int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

        if (changes >= 0 && inotify_add_watch(changes, folder, IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE) < 0) {
                (void)close(changes);
                changes = -1;
        }
        return changes;
}

/* Until something has changed since the last call; false: the deadline has come. */
static inline bool wait_change(int changes, uint64_t deadline)
{
        struct pollfd change = {.fd = changes, .events = POLLIN};
        char events[4096];

        if (changes < 0)
                return wait_again(deadline);
        if (poll(&change, 1, wait_left_ms(deadline)) == 0)
                return false;
        while (read(changes, events, sizeof(events)) > 0)
                ;
        return true;
}

/* Until the file @path is there, or is not; false: the deadline has come. */
static inline bool wait_for_file(const char *path, bool there, uint64_t deadline)
{
        const char *name = strrchr(path, '/');
        char folder[256] = ".";
        int changes;
        bool come;

        if (name)
                (void)snprintf(folder, sizeof(folder), "%.*s", (int)(name - path), path);
        changes = wait_folder(folder);
        while (!(come = (access(path, F_OK) == 0) == there)) {
                if (!wait_change(changes, deadline))
                        break;
        }
        if (changes >= 0)
                (void)close(changes);
        return come;
}
