/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting a ring, or a sentence that says why there is none.
 *
 * io_uring is switched off in many places: by a sysctl, by a container's seccomp filter (some refuse io_uring_setup, some only the other two
 * calls), by an old kernel. A bare "Operation not permitted" costs an operator an hour. So each of the three system calls is tried here, once,
 * when the hub starts, and a refusal is explained with what this host says about itself:
 *
 *      io_uring_setup     queue_init, with fewer flags when the kernel does not know them
 *      io_uring_register  the table of opcodes
 *      io_uring_enter     one NOP through the ring and back
 *
 * Required, and why nothing older will do: multishot poll (5.13), a wait with a deadline (EXT_ARG, 5.11), a completion queue that loses
 * nothing (NODROP, 5.5), silent cancellations (CQE_SKIP, 5.17), MSG_RING (5.18).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/loop/internal.h"

/* ---- what the host says ---- */

/* The integer after @key in @path ("" for the start of the file), or -1. */
static int host_number(const char *path, const char *key)
{
        char text[4096];
        BT_CLEANUP(bt_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t bytes;
        const char *at;

        if (fd < 0)
                return -1;
        bytes = read(fd, text, sizeof(text) - 1);
        if (bytes <= 0)
                return -1;
        text[bytes] = '\0';
        at = strstr(text, key);
        return at ? (int)strtol(at + strlen(key), NULL, 10) : -1;
}

void bt_loop_host_read(struct bt_loop_host *ret_host)
{
        struct utsname names;

        if (uname(&names) < 0)
                (void)snprintf(names.release, sizeof(names.release), "(unknown)");
        (void)snprintf(ret_host->release, sizeof(ret_host->release), "%.63s", names.release);
        ret_host->disabled = host_number("/proc/sys/kernel/io_uring_disabled", "");
        ret_host->seccomp = host_number("/proc/self/status", "\nSeccomp:");
}

/* ---- sentences ---- */

#define SAY_SECCOMP                                                                                \
        "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile of the " \
        "container or service this runs in"

static void say_not_permitted(char *reason, const struct bt_loop_host *host, const char *call)
{
        const char *sysctl = "sysctl -w kernel.io_uring_disabled=0";

        if (host->disabled == 2)
                (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                               "%s was refused: io_uring is switched off on this host "
                               "(kernel.io_uring_disabled = 2, kernel %s); switch it on: %s",
                               call, host->release, sysctl);
        else if (host->disabled == 1)
                (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                               "%s was refused: io_uring is for privileged processes only on this "
                               "host (kernel.io_uring_disabled = 1, kernel %s); put this user into "
                               "the group that kernel.io_uring_group names, or allow all: %s",
                               call, host->release, sysctl);
        else if (host->seccomp > 0)
                (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                               "%s was refused by a seccomp filter (kernel %s); " SAY_SECCOMP, call,
                               host->release);
        else
                (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                               "%s was refused (kernel %s, no seccomp filter, not switched off by "
                               "kernel.io_uring_disabled); look for a security module's denial in "
                               "the audit log",
                               call, host->release);
}

static void say_missing_call(char *reason, const struct bt_loop_host *host, const char *call)
{
        if (host->seccomp > 0)
                (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                               "%s does not exist here: a seccomp filter hides it, or kernel %s was "
                               "built without CONFIG_IO_URING; " SAY_SECCOMP,
                               call, host->release);
        else
                (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                               "%s does not exist on kernel %s; kernel 5.18 or later, built with "
                               "CONFIG_IO_URING, is needed",
                               call, host->release);
}

int bt_loop_refusal(char reason[BT_LOOP_REASON_BYTES], const struct bt_loop_host *host,
                    const char *call, int err)
{
        switch (err) {
        case EPERM:
        case EACCES:
                say_not_permitted(reason, host, call);
                break;
        case ENOSYS:
                say_missing_call(reason, host, call);
                break;
        case EMFILE:
                (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                               "%s: this process has no descriptor left; raise its limit of open "
                               "files (ulimit -n, LimitNOFILE=)",
                               call);
                break;
        case ENFILE:
                (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                               "%s: the host has no descriptor left; raise fs.file-max", call);
                break;
        case ENOMEM:
                (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                               "%s: no memory for the ring (kernel %s); before kernel 5.12 it counts "
                               "as locked memory: raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=) to "
                               "1 MiB at least; later kernels count it to the memory cgroup",
                               call, host->release);
                break;
        default:
                (void)snprintf(reason, BT_LOOP_REASON_BYTES, "%s: %s (kernel %s)", call,
                               strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error",
                               host->release);
                break;
        }
        return -err;
}

static int refuse(char *reason, const char *call, int r)
{
        struct bt_loop_host host;

        bt_loop_host_read(&host);
        return bt_loop_refusal(reason, &host, call, -r);
}

static int refuse_old(char *reason, const char *what, const char *since)
{
        struct bt_loop_host host;

        bt_loop_host_read(&host);
        (void)snprintf(reason, BT_LOOP_REASON_BYTES,
                       "kernel %s is too old: its io_uring has no %s (since %s); kernel 5.18 or later "
                       "is needed",
                       host.release, what, since);
        return -EOPNOTSUPP;
}

/* ---- the three calls ---- */

/* Best flags first. A kernel that does not know one of them says EINVAL. */
static int ring_setup(struct bt_loop *loop)
{
        static const unsigned flags[] = {
                IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, /* 6.1 */
                IORING_SETUP_SUBMIT_ALL, /* 5.18 */
                0,
        };
        int r = -EINVAL;

        for (size_t i = loop->polled ? 1 : 0; i < BT_ARRAY_LEN(flags) && r == -EINVAL; i++) {
                struct io_uring_params params = {
                        .flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
                        .cq_entries = BT_LOOP_CQ_ENTRIES,
                };

                r = io_uring_queue_init_params(BT_LOOP_SQ_ENTRIES, &loop->ring, &params);
        }
        loop->ring_up = r == 0;
        return r;
}

static int features_check(const struct bt_loop *loop, char *reason)
{
        static const struct {
                unsigned bit;
                const char *what, *since;
        } needed[] = {
                {IORING_FEAT_NODROP, "completion queue without loss", "5.5"},
                {IORING_FEAT_EXT_ARG, "wait with a deadline", "5.11"},
                {IORING_FEAT_CQE_SKIP, "silent completion", "5.17"},
        };

        for (size_t i = 0; i < BT_ARRAY_LEN(needed); i++) {
                if (!(loop->ring.features & needed[i].bit))
                        return refuse_old(reason, needed[i].what, needed[i].since);
        }
        return 0;
}

static int opcodes_check(struct bt_loop *loop, char *reason)
{
        static const struct {
                int op;
                const char *what, *since;
        } needed[] = {
                {IORING_OP_NOP, "NOP", "5.1"},
                {IORING_OP_POLL_ADD, "POLL_ADD", "5.1"},
                {IORING_OP_POLL_REMOVE, "POLL_REMOVE", "5.1"},
                {IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL", "5.5"},
                {IORING_OP_MSG_RING, "MSG_RING", "5.18"},
        };
        union {
                struct io_uring_probe head;
                char room[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
        } probe;
        int r;

        memset(&probe, 0, sizeof(probe)); /* the kernel insists */
        r = io_uring_register_probe(&loop->ring, &probe.head, 256);
        if (r == -EINVAL)
                return refuse_old(reason, "table of opcodes", "5.6");
        if (r)
                return refuse(reason, "io_uring_register", r);
        for (size_t i = 0; i < BT_ARRAY_LEN(needed); i++) {
                if (!io_uring_opcode_supported(&probe.head, needed[i].op))
                        return refuse_old(reason, needed[i].what, needed[i].since);
        }
        loop->has_futex = io_uring_opcode_supported(&probe.head, BT_LOOP_OP_FUTEX_WAIT);
        return 0;
}

static int enter_check(struct bt_loop *loop, char *reason)
{
        struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);
        struct io_uring_cqe *cqe = NULL;
        int r;

        bt_assert(sqe); /* the first of an empty queue */
        io_uring_prep_nop(sqe);
        sqe->user_data = BT_LOOP_HANDLE_NONE;
        do {
                r = io_uring_submit_and_wait(&loop->ring, 1);
        } while (r == -EINTR);
        if (r < 0)
                return refuse(reason, "io_uring_enter", r);
        r = io_uring_peek_cqe(&loop->ring, &cqe);
        if (r < 0)
                return refuse(reason, "io_uring_enter", r);
        io_uring_cqe_seen(&loop->ring, cqe);
        return 0;
}

int bt_loop_ring_up(struct bt_loop *loop, char reason[BT_LOOP_REASON_BYTES])
{
        int r = ring_setup(loop);

        /* A kernel so old that it refuses even the sizes says EINVAL to everything. */
        if (r == -EINVAL)
                return refuse_old(reason, "ring with a completion queue of a chosen size", "5.5");
        if (r)
                return refuse(reason, "io_uring_setup", r);
        r = features_check(loop, reason);
        if (r)
                return r;
        r = opcodes_check(loop, reason);
        if (r)
                return r;
        return enter_check(loop, reason);
}
