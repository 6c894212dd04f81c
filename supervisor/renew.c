/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade of the hub itself: see the header. Nothing that it does before the exec is missed when the exec fails: the store is left open, with a thread that
 * sleeps; the ring is left with all its polls, which the kernel cancels when the exec goes through, and not before. Spares and zygotes are made again.
 *
 * Dropped: closing the store and the ring first. It is tidier, and an exec that fails (there is no memory for it) would leave a hub without either.
 */
#include "supervisor/renew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/carry.h"
#include "supervisor/control_state.h"
#include "supervisor/errand.h"
#include "supervisor/events.h"
#include "supervisor/zygote.h"

#define LOOK_NS      (5 * BT_NS_PER_MS) /* how often it is looked whether the hub is at rest */
#define REHEARSAL_NS (10 * BT_NS_PER_S)
#define LABEL        "hub upgrade"

struct bt_renewal {
        struct bt_hub *hub;
        struct bt_client *client; /* NULL: it has left */
        struct bt_carry_asker asker;
        struct bt_loop_timer timer;
        uint64_t deadline_ns;
        struct bt_errand errand; /* the rehearsal */
        uint64_t xxh3;           /* of what it reads */
        bool rehearsed;
        char refusal[2048]; /* "": none yet */
        int fd;
        char path[BT_CTL_PATH_BYTES];
};

/* ---- its end, when the exec is not ---- */

static struct bt_renewal *renewal_free(struct bt_renewal *renewal)
{
        bt_loop_timer_disarm(&renewal->timer);
        bt_errand_end(&renewal->errand);
        (void)bt_close(renewal->fd);
        free(renewal);
        return NULL;
}

static void refused(struct bt_renewal *renewal, enum bt_ctl_outcome outcome, const char *text)
{
        struct bt_hub *hub = renewal->hub;
        struct bt_client *client = BT_STEAL(renewal->client);
        int first = (int)strcspn(text, "\n"); /* what the rehearsal printed is in the log */
        int ignored;

        hub->renewal = NULL;
        bt_hub_say(hub, "goes on as the program it is: %.*s", first, text);
        bt_event(hub, BT_EVENT_HUB_NOT_UPGRADED, NULL, 0, "%.*s", first, text);
        hub->puts_wait = false;
        if (client) {
                bt_client_renews(client, NULL, &ignored);
                bt_client_answer(client, outcome, text);
        }
        (void)renewal_free(renewal);
        bt_hub_foreach_child(child, hub)
        {
                if (!child->current || hub->stopping)
                        continue;
                bt_child_checkpoints_put(child);
                bt_spare_wanted(child);
        }
}

void bt_renewal_abandon(struct bt_renewal *renewal)
{
        if (!renewal)
                return;
        renewal->client = NULL;
        renewal->asker.fd = -1;
}

void bt_renewal_stop(struct bt_hub *hub)
{
        if (hub->renewal)
                refused(hub->renewal, BT_CTL_FAILED, "the hub is stopping");
}

/* ---- the exec ---- */

static void pass(const int *fds, uint32_t count, int flags)
{
        for (uint32_t i = 0; i < count; i++)
                (void)fcntl(fds[i], F_SETFD, flags);
}

/* What was raised at the start (hub.c) is as it was, for the new program to find it so. */
static void limit_files(uint64_t soft)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Returns -errno, or not at all. */
static int execute(struct bt_renewal *renewal, const struct bt_carried *carried)
{
        const int own[] = {carried->fd, renewal->hub->plan_fd, renewal->hub->lock_fd};
        char name[] = "batond", plan[] = "--plan", carry[] = "--carry", lock[] = "--lock",
             numbers[BT_ARRAY_LEN(own)][16];
        char *argv[] = {name, carry, numbers[0], plan, numbers[1], lock, numbers[2], NULL};
        int r;

        for (size_t i = 0; i < BT_ARRAY_LEN(own); i++)
                (void)snprintf(numbers[i], sizeof(numbers[i]), "%d", own[i]);
        pass(carried->fds, carried->fd_count, 0);
        pass(own, BT_ARRAY_LEN(own), 0);
        limit_files(renewal->hub->nofile);
        BT_POINT("hub.renew.exec");
        r = syscall(SYS_execveat, renewal->fd, "", argv, environ, AT_EMPTY_PATH) < 0 ? -errno : 0;
        limit_files(UINT64_MAX);
        pass(own, BT_ARRAY_LEN(own), FD_CLOEXEC);
        pass(carried->fds, carried->fd_count, FD_CLOEXEC);
        return r;
}

static void look_again(struct bt_renewal *renewal, uint64_t in_ns);

/* -EAGAIN: it was not at rest after all. */
static void not_begun(struct bt_renewal *renewal, int r, const char *why)
{
        if (r == -EAGAIN && bt_now_ns() < renewal->deadline_ns)
                look_again(renewal, LOOK_NS);
        else
                refused(renewal, r == -EAGAIN ? BT_CTL_TIMED_OUT : BT_CTL_FAILED, why);
}

static void go(struct bt_renewal *renewal)
{
        struct bt_carried carried = BT_CARRIED_NULL;
        char why[BT_CARRY_WHY_BYTES] = "";
        int r;

        bt_zygotes_end_used(renewal->hub);
        r = bt_carry_write(renewal->hub, &renewal->asker, &carried, why);
        if (r) {
                not_begun(renewal, r, why);
                return;
        }
        r = execute(renewal, &carried);
        (void)snprintf(why, sizeof(why), "%.160s cannot be executed: %s", renewal->path,
                       strerrordesc_np(-r));
        bt_carried_deinit(&carried);
        refused(renewal, BT_CTL_FAILED, why);
}

/* ---- the rehearsal ---- */

static bool said_yes(const struct bt_renewal *renewal, const struct bt_errand *errand)
{
        struct bt_rehearsed says = {0};

        return read(errand->answer, &says, sizeof(says)) == (ssize_t)sizeof(says) &&
               says.magic == BT_REHEARSED_MAGIC && says.xxh3 == renewal->xxh3;
}

/* The errand is a part of the renewal, and still in use: what follows is done by the timer. */
static void on_rehearsed(struct bt_errand *errand, const struct bt_proc_exit *how)
{
        struct bt_renewal *renewal = bt_container_of(errand, struct bt_renewal, errand);
        bool well = how->code == CLD_EXITED && how->status == 0;
        char end[96];
        int used;

        if (renewal->hub->renewal != renewal)
                return; /* refused meanwhile */
        renewal->rehearsed = well && said_yes(renewal, errand);
        if (!renewal->rehearsed) {
                used = snprintf(renewal->refusal, sizeof(renewal->refusal),
                                "%.600s cannot go on in its place: its rehearsal ended with %s%s",
                                renewal->path, bt_proc_exit_text(how, end, sizeof(end)),
                                errand->timed_out ? ", it took too long"
                                : well            ? ", and it did not say that it can"
                                                  : "");
                if (errand->tail_bytes)
                        (void)snprintf(renewal->refusal + used,
                                       sizeof(renewal->refusal) - (size_t)used, "\n%.*s",
                                       (int)errand->tail_bytes, errand->tail);
        }
        look_again(renewal, 0);
}

static int rehearse_begin(struct bt_renewal *renewal, char *why)
{
        static const char argv[] = "batond\0--rehearse";
        static const char *const none[] = {NULL};
        struct bt_carried carried = BT_CARRIED_NULL;
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        int fds[2], r = bt_carry_write(renewal->hub, &renewal->asker, &carried, why);
        struct bt_errand_start start = {.exec = renewal->path,
                                        .exec_fd = &renewal->fd,
                                        .argv = argv,
                                        .argv_count = 2,
                                        .variables = none,
                                        .label = LABEL,
                                        .timeout_ns = REHEARSAL_NS,
                                        .answers = true,
                                        .fds = fds,
                                        .fd_count = BT_ARRAY_LEN(fds)};

        if (r)
                return r;
        fds[BT_REHEARSE_CARRY_FD - BT_REHEARSE_CARRY_FD] = carried.fd;
        fds[BT_REHEARSE_PLAN_FD - BT_REHEARSE_CARRY_FD] = renewal->hub->plan_fd;
        renewal->xxh3 = carried.xxh3;
        r = bt_errand_begin(&renewal->errand, renewal->hub, &start, on_rehearsed, &step);
        bt_carried_deinit(&carried);
        if (r)
                (void)snprintf(why, BT_CARRY_WHY_BYTES, "%.160s cannot be executed: %s: %s",
                               renewal->path, bt_spawn_step_name(step), strerrordesc_np(-r));
        return r;
}

static void rehearse(struct bt_renewal *renewal)
{
        char why[BT_CARRY_WHY_BYTES] = "";
        int r = rehearse_begin(renewal, why);

        if (r)
                not_begun(renewal, r, why);
}

/* ---- its steps ---- */

static void discard_spares(struct bt_hub *hub)
{
        bt_hub_foreach_child(child, hub)
        {
                if (child->spare)
                        bt_inc_discard(child->spare);
        }
}

/* A child may wait for its checkpoint to be durable: it is put off only while there is nothing else that we wait for. */
static void puts_wait(struct bt_hub *hub, bool wait)
{
        bool waited = hub->puts_wait;

        hub->puts_wait = wait;
        if (!waited || wait)
                return;
        bt_hub_foreach_child(child, hub) bt_child_checkpoints_put(child);
}

static const char *not_at_rest(struct bt_hub *hub, char *room, size_t bytes)
{
        const char *busy = bt_renewal_busy(hub, room, bytes);

        puts_wait(hub, !busy);
        return busy ? busy : bt_renewal_store_busy(hub);
}

static void on_timer(struct bt_loop_timer *timer)
{
        struct bt_renewal *renewal = bt_container_of(timer, struct bt_renewal, timer);
        char room[BT_CARRY_WHY_BYTES], text[BT_CARRY_WHY_BYTES + 32];
        struct bt_hub *hub = renewal->hub;
        const char *busy;

        if (*renewal->refusal) {
                refused(renewal, BT_CTL_FAILED, renewal->refusal);
                return;
        }
        discard_spares(hub);
        busy = not_at_rest(hub, room, sizeof(room));
        if (busy && bt_now_ns() >= renewal->deadline_ns) {
                (void)snprintf(text, sizeof(text), "busy: %s", busy);
                refused(renewal, BT_CTL_TIMED_OUT, text);
        } else if (busy) {
                look_again(renewal, LOOK_NS);
        } else if (renewal->rehearsed) {
                go(renewal);
        } else {
                rehearse(renewal); /* perhaps to its end */
                puts_wait(hub, false);
        }
}

static void look_again(struct bt_renewal *renewal, uint64_t in_ns)
{
        if (bt_loop_timer_arm(renewal->hub->loop, &renewal->timer, bt_ns_add(bt_now_ns(), in_ns),
                              on_timer))
                refused(renewal, BT_CTL_FAILED, "out of memory");
}

/* ---- its beginning ---- */

/* The file that this program was started from, by its name: what is there now. */
static int own_path(char path[BT_CTL_PATH_BYTES])
{
        static const char gone[] = " (deleted)";
        ssize_t n = readlink("/proc/self/exe", path, BT_CTL_PATH_BYTES - 1);
        size_t bytes = n > 0 ? (size_t)n : 0;

        path[bytes] = '\0';
        if (bytes > strlen(gone) && !strcmp(path + bytes - strlen(gone), gone))
                path[bytes - strlen(gone)] = '\0';
        return n > 0 ? 0 : -errno;
}

/* What was opened by who asks is what is executed, whatever the path names by then. */
static int open_program(struct bt_renewal *renewal, const struct bt_ctl_request *request, int fd)
{
        struct bt_binary *binary = NULL;
        int script = 0, r = 0;

        renewal->fd = -1;
        (void)snprintf(renewal->path, sizeof(renewal->path), "%s", request->path);
        if (fd >= 0) {
                r = bt_binary_adopt(&binary, request->path, fd);
                script = r ? 0 : binary->script;
                renewal->fd = r ? -1 : fcntl(binary->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
                (void)bt_binary_unref(binary);
                return r ? r : script ? -ENOEXEC : renewal->fd < 0 ? -errno : 0;
        }
        r = own_path(renewal->path);
        if (!r)
                r = bt_spawn_open_exec(&renewal->fd, &script, renewal->path);
        return r ? r : script ? -ENOEXEC : 0;
}

static const char *impossible(const struct bt_hub *hub)
{
        if (hub->embed)
                return "this hub is inside another program, which is upgraded as that program is";
        if (hub->stopping)
                return "the hub is stopping";
        if (hub->renewal)
                return "another upgrade of the hub is under way";
        if (hub->plan_fd < 0)
                return "this hub has no plan to pass on";
        return NULL;
}

void bt_renewal_request(struct bt_client *client, struct bt_hub *hub,
                        const struct bt_ctl_request *request, int fd)
{
        const char *why = impossible(hub);
        struct bt_renewal *renewal = why ? NULL : calloc(1, sizeof(*renewal));
        char text[BT_CTL_PATH_BYTES + 128];
        int r;

        if (!renewal) {
                (void)bt_close(fd);
                bt_client_answer(client, BT_CTL_FAILED, why ? why : "out of memory");
                return;
        }
        renewal->hub = hub;
        r = open_program(renewal, request, fd);
        if (r) {
                (void)snprintf(text, sizeof(text), "%s: %s", renewal->path,
                               r == -ENOEXEC ? "a script cannot be a hub" : strerrordesc_np(-r));
                (void)renewal_free(renewal);
                bt_client_answer(client, BT_CTL_INVALID, text);
                return;
        }
        renewal->deadline_ns = bt_ns_add(bt_now_ns(), request->deadline_ns ? request->deadline_ns
                                                                           : BT_RENEWAL_WAIT_NS);
        renewal->client = client;
        renewal->asker.asked_ns = bt_now_ns();
        bt_client_renews(client, renewal, &renewal->asker.fd);
        hub->renewal = renewal;
        look_again(renewal, 0);
}
