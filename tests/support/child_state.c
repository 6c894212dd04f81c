/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child whose state is a text, and which says what it was given. Its file's name says what it reads and writes: state-V-O has version V and reads
 * from version O on, so a copy under another name is another program; state-V-O-W can write the versions from W on, too, and appends "wN" to what it writes as N.
 *
 *      restored fresh none v0          on stderr: the reason, the state in quotes or "none", its version
 *      restored cold 'a1' v1
 *
 * A fresh start's state is "a", and each process adds its version: a1, a11, a112. Files in its folder tell it what to do:
 *
 *      refuse       a state (not its absence) is refused by restore()
 *      empty        it captures a state of 0 bytes
 *      nothing      it captures nothing
 *      slow         terminate() takes 50 ms
 *      stuck        restore() of a state does not return as long as the file is there
 *      own          restore() prefers its own fresh state, "b", to the one it is given
 *      defaults     it has no callbacks at all
 *      stubborn     capture() in an older version fails
 *      broken-1     version 1 ends at once, unless it is asked to describe itself
 *      version-mute it never comes to baton_child_open() when it is asked to describe itself
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <baton/child.h>

#include "tests/support/wait.h"

#define STUCK_MS 60000
#define EXIT_STUCK 41

static char text[4096];
static uint32_t version = 1, oldest = 1, writable;

static int there(const char *name)
{
        return access(name, F_OK) == 0;
}

static const char *reason_name(enum baton_reason reason)
{
        static const char *const names[] = {"fresh", "hot", "cold", "crash", "reboot", "rollback"};

        return (size_t)reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}

static int restore(struct baton_child *child, const struct baton_restore *restored, void *ctx)
{
        size_t used;

        (void)child, (void)ctx;
        if (restored->state && there("refuse"))
                return -EUNATCH;
        if (restored->state && !wait_for_file("stuck", false, wait_until(STUCK_MS)))
                _exit(EXIT_STUCK);
        (void)snprintf(text, sizeof(text), "%.*s", restored->state ? (int)restored->state_bytes : 1,
                       restored->state ? (const char *)restored->state : "a");
        if (restored->state)
                (void)fprintf(stderr, "restored %s '%s' v%u\n", reason_name(restored->reason), text, restored->version);
        else
                (void)fprintf(stderr, "restored %s none\n", reason_name(restored->reason));
        if (there("own"))
                (void)snprintf(text, sizeof(text), "b");
        used = strlen(text);
        (void)snprintf(text + used, sizeof(text) - used, "%u", version);
        for (size_t i = 0; i < restored->fd_count; i++)
                (void)close(restored->fds[i].fd);
        return 0;
}

static int capture(struct baton_child *child, struct baton_capture *capture, void *ctx)
{
        uint32_t as = baton_capture_version(capture);
        char written[sizeof(text) + 16];
        size_t bytes;
        void *room;
        int r;

        (void)child, (void)ctx;
        if (there("nothing"))
                return 0;
        if (as != version && there("stubborn"))
                return -EPROTO;
        bytes = (size_t)(as == version ? snprintf(written, sizeof(written), "%s", text) : snprintf(written, sizeof(written), "%sw%u", text, as));
        if (there("empty"))
                bytes = 0;
        r = baton_capture_reserve(capture, bytes, &room);
        if (r)
                return r;
        memcpy(room, written, bytes);
        return baton_capture_commit(capture, bytes);
}

static void terminate(struct baton_child *child, void *ctx)
{
        (void)child, (void)ctx;
        if (there("slow"))
                (void)usleep(50000); /* the state grows old: time is what this is about */
}

static void read_own_name(void)
{
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        const char *name;

        if (n <= 0)
                return;
        path[n] = '\0';
        name = strrchr(path, '/');
        if (!name || /* the test wrote the numbers: NOLINTNEXTLINE(cert-err34-c) */
            sscanf(name, "/state-%u-%u-%u", &version, &oldest, &writable) < 2)
                version = oldest = 1;
}

int main(void)
{
        struct baton_child_ops ops = {
                .size = sizeof(ops), .schema = "text", .restore = restore, .capture = capture, .terminate = terminate};
        struct baton_child *child = NULL;
        int r;

        read_own_name();
        ops.version = version;
        ops.version_oldest = oldest;
        ops.version_writable = writable;
        if (version == 1 && there("broken-1") && !getenv("BATON_DESCRIBE_FD"))
                return 7;
        if (there("defaults"))
                ops.restore = NULL, ops.capture = NULL, ops.terminate = NULL;
        if (there("describes"))
                (void)baton_child_describe(&ops);
        while (there("version-mute") && getenv("BATON_DESCRIBE_FD"))
                (void)pause();
        r = baton_child_open(&child, &ops, NULL);
        if (!r)
                r = baton_child_run(child);
        if (r)
                (void)fprintf(stderr, "state: %s\n", baton_strerror(r));
        child = baton_child_close(child);
        return r ? 1 : 0;
}
