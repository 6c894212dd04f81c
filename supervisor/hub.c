/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub: its start, its loop, its end.
 *
 * Start, in an order that leaves nothing behind when a step fails: lock (a second hub of this name stops here), store, sockets, node directory,
 * control socket, children. Stop: stop.c.
 *
 * The hub prints for people on stderr and never waits for its reader. It holds no lock a child can hold and reads no text.
 */
#include "supervisor/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/callers.h"
#include "supervisor/carry.h"
#include "supervisor/events.h"
#include "supervisor/groups.h"
#include "supervisor/hooks.h"
#include "supervisor/live.h"
#include "supervisor/notify.h"
#include "supervisor/keeper.h"
#include "supervisor/mailbox.h"
#include "supervisor/redistribute.h"
#include "supervisor/renew.h"
#include "supervisor/replicas.h"
#include "supervisor/request.h"
#include "supervisor/rolling.h"
#include "supervisor/embed.h"
#include "supervisor/zygote.h"

#define LOCK_WAIT_NS BT_NS_PER_S
#define LOCK_PAUSE_NS (2 * BT_NS_PER_MS)

void bt_hub_say(struct bt_hub *hub, const char *format, ...)
{
        char line[1024], text[1024];
        size_t used = (size_t)snprintf(line, sizeof(line), "baton: ");
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        (void)bt_escape(line + used, sizeof(line) - used - 1, text); /* there is an id in it: one message is one line */
        if (hub->embed) {
                bt_embed_say(hub->embed, line + strlen("baton: "));
                return;
        }
        used = strlen(line);
        line[used++] = '\n';
        bt_log_say(line, used);
}

static void on_signal(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_hub *hub = bt_container_of(watch, struct bt_hub, signals_watch);
        struct signalfd_siginfo info;

        (void)events;
        while (read(hub->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
                bt_hub_stop(hub);
}

/* ---- start ---- */

/* When the first start of every child is over, one way or the other, whoever waits for us is told. */
void bt_hub_settled(struct bt_hub *hub)
{
        uint32_t running = 0, failed;

        if (hub->settled || !bt_list_empty(&hub->children.unsettled))
                return;
        bt_hub_foreach_child (child, hub)
                running += child->phase == BT_PHASE_RUNNING || child->phase == BT_PHASE_MIGRATING;
        failed = hub->children.count - running;
        hub->settled = true;
        bt_event(hub, BT_EVENT_CHILDREN_STARTED, NULL, 0, "%u running, %u not", running, failed);
        bt_hub_say(hub, "%s: %u running, %u not", bt_plan_string(&hub->plan, hub->plan.plan->hub), running, failed);
        if (hub->ready_fd >= 0) {
                (void)!write(hub->ready_fd, "\n", 1);
                hub->ready_fd = bt_close(hub->ready_fd);
        }
}

static int open_signals(struct bt_hub *hub)
{
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        if (pthread_sigmask(SIG_BLOCK, &set, NULL) || signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGHUP, SIG_IGN) == SIG_ERR)
                return -errno;
        if (!hub->embed)
                bt_spawn_signals_settled();
        hub->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (hub->signals < 0)
                return -errno;
        return bt_loop_watch_fd(hub->loop, &hub->signals_watch, hub->signals, EPOLLIN, on_signal);
}

/*
 * Whoever was being started by a hub that was killed this instant has a copy of its lock until it executes its program (registry.h): not for long, but
 * longer than it takes to start us. A hub that really runs keeps it, and is found a moment later.
 */
static int lock_soon(int fd)
{
        const uint64_t deadline = bt_ns_add(bt_now_ns(), LOCK_WAIT_NS);
        const struct timespec pause = {.tv_nsec = (long)LOCK_PAUSE_NS};

        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK || bt_now_ns() >= deadline)
                        return -errno;
                (void)nanosleep(&pause, NULL);
        }
        return 0;
}

/* The lock is on an open file and dies with us: a hub that was killed blocks nobody (R7). */
static int take_lock(struct bt_hub *hub)
{
        const char *dir = bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir);
        char path[4096];
        int r = hub->lock_fd >= 0 ? 0 : bt_hub_make_dir(dir);

        if (hub->lock_fd >= 0)
                return 0; /* since before an exec */
        if (r) {
                bt_hub_say(hub, "cannot use runtime directory %s: %s", dir, strerrordesc_np(-r));
                return r;
        }
        (void)snprintf(path, sizeof(path), "%s/lock", dir);
        hub->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        r = hub->lock_fd < 0 ? -errno : lock_soon(hub->lock_fd);
        if (r)
                bt_hub_say(hub, r == -EWOULDBLOCK ? "hub '%s' is already running" : "cannot lock the runtime directory of hub '%s'",
                           bt_plan_string(&hub->plan, hub->plan.plan->hub));
        return r;
}

/* True when what is written to one of them appears where the other one's does. */
static bool logs_meet(void)
{
        struct stat out, err;

        return fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 && out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

/* A child costs five or six descriptors here (docs/performance.md). Children get back what we were started with. */
static void raise_nofile(struct bt_hub *hub)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        hub->nofile = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void count_processors(struct bt_hub *hub)
{
        cpu_set_t set;

        hub->processors = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (uint32_t)CPU_COUNT(&set);
}

/* On the first node, to begin with; then all at once where they belong. */
static int open_children(struct bt_hub *hub)
{
        struct bt_hub_node *first = bt_list_entry(hub->nodes.next, struct bt_hub_node, order);
        struct bt_replicas *replicas;
        struct bt_child *child;
        int r = 0;

        for (uint32_t i = 0; !r && i < hub->plan.plan->child_count; i++)
                r = hub->plan.children[i].replicas ? bt_replicas_new(&replicas, hub, hub->plan_ref, i)
                                                   : bt_hub_child_add(hub, hub->plan_ref, i, first, &child);
        if (!r)
                r = bt_live_open(hub);
        if (!r)
                r = bt_groups_open(hub);
        return r ? r : bt_redistribution_place_new(hub);
}

/* And who is in it: processes of a hub that was killed. */
static int open_registry(struct bt_hub *hub)
{
        const char *dir = bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir);
        char path[4096];
        int r;

        (void)snprintf(path, sizeof(path), "%s/processes", dir);
        r = bt_registry_open(&hub->registry, path, hub->plan.plan->child_count + 64);
        if (r) {
                bt_hub_say(hub, "cannot use %s: %s", path, strerrordesc_np(-r));
                return r;
        }
        return bt_hub_find(hub);
}

static int open_all(struct bt_hub *hub)
{
        char reason[BT_LOOP_REASON_BYTES] = "";
        int r;

        if (!hub->embed) /* limits and signals of a program that has a hub inside are its own */
                raise_nofile(hub);
        hub->one_log = !hub->embed && logs_meet(); /* nor do we know what such a program makes of its own output later */
        count_processors(hub);
        hub->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (hub->null_fd < 0)
                return -errno;
        r = take_lock(hub);
        if (r)
                return r;
        bt_spawn_stage_open(hub->lock_fd); /* before the children take the low numbers */
        hub->staged = true;
        r = (hub->embed && hub->embed->polled ? bt_loop_new_polled : bt_loop_new)(&hub->loop, reason);
        if (r) {
                bt_hub_say(hub, "%s", reason);
                return r;
        }
        r = bt_events_open(hub);
        if (!r)
                r = bt_hooks_open(hub);
        if (!r)
                if (!hub->embed || hub->embed->signals)
                r = open_signals(hub);
        if (!r)
                r = bt_hub_open_store(hub);
        if (!r)
                r = open_registry(hub);
        if (!r)
                bt_notify_clean(hub);
        if (!r)
                r = bt_callers_open(hub);
        if (!r)
                r = bt_hub_open_sockets(hub);
        if (!r)
                r = bt_hub_nodes_open(hub);
        if (!r)
                r = bt_redistribution_open(hub);
        if (!r)
                r = open_children(hub);
        if (!r)
                bt_carry_nodes(hub);
        if (!r)
                r = bt_hub_open_control(hub);
        return r;
}

/* After an orderly stop nobody is left to be found. */
static void close_registry(struct bt_hub *hub)
{
        char path[4096];
        uint32_t live = 0;

        for (uint32_t i = 0; i < bt_registry_used(&hub->registry); i++)
                live += bt_registry_live(&hub->registry, i);
        if (hub->registry.entries && !live) {
                (void)snprintf(path, sizeof(path), "%s/processes", bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir));
                (void)unlink(path);
        }
        bt_registry_close(&hub->registry);
}

/* Only after all processes have ended, or when none was started. */
static void close_all(struct bt_hub *hub)
{
        bt_renewal_stop(hub);
        hub->carry = bt_carry_free(hub->carry);
        if (hub->over)
                bt_hooks_finish(hub);
        bt_hooks_close(hub);
        bt_keep_close(hub);
        hub->store = bt_store_close(hub->store);
        bt_redistribution_close(hub);
        bt_groups_close(hub);
        bt_children_free_all(hub);
        bt_zygotes_end(hub);
        bt_callers_close(hub);
        bt_hub_close_control(hub);
        bt_stock_deinit(&hub->stock);
        bt_events_close(hub);
        bt_rolling_stop_all(hub);
        bt_request_free_all(hub);
        bt_live_free_all(hub);
        bt_hub_found_free(hub);
        bt_hub_nodes_free(hub);
        close_registry(hub);
        bt_hub_close_sockets(hub);
        if (hub->loop) {
                bt_loop_timer_disarm(&hub->shutdown_timer);
                bt_loop_timer_disarm(&hub->ask_timer);
                bt_loop_timer_disarm(&hub->stop_timer);
                bt_loop_timer_disarm(&hub->later_timer);
                bt_loop_forget(&hub->signals_watch);
                hub->store_sender = bt_loop_sender_free(hub->store_sender);
                hub->loop = bt_loop_free(hub->loop);
        }
        if (hub->staged)
                bt_spawn_stage_close();
        (void)bt_close(hub->signals);
        (void)bt_close(hub->null_fd);
        (void)bt_close(hub->lock_fd);
        (void)bt_close(hub->ready_fd);
        hub->plan_ref = bt_plan_unref(hub->plan_ref);
        hub->plan = (struct bt_plan_view){0};
}

void bt_hub_init(struct bt_hub *hub)
{
        *hub = (struct bt_hub){.null_fd = -1, .lock_fd = -1, .listener = -1, .signals = -1, .ready_fd = -1, .plan_fd = -1,
                               .registry = BT_REGISTRY_NULL};
        bt_list_init(&hub->clients);
        bt_list_init(&hub->requests);
        bt_list_init(&hub->lives);
        bt_list_init(&hub->zygotes);
        bt_list_init(&hub->later);
        bt_list_init(&hub->rollings);
        bt_list_init(&hub->nodes);
        bt_list_init(&hub->binaries);
        bt_list_init(&hub->replicated);
        bt_children_init(&hub->children);
        bt_list_init(&hub->alters);
        for (size_t i = 0; i < BT_ARRAY_LEN(hub->sockets); i++)
                hub->sockets[i] = -1;
}

int bt_hub_open(struct bt_hub *hub, int plan_fd)
{
        const char *error = "";
        int r = bt_plan_load(&hub->plan_ref, plan_fd, &error);

        if (r) {
                bt_hub_say(hub, "the plan is not usable: %s", r == -EINVAL ? error : strerrordesc_np(-r));
                return -EBADMSG;
        }
        if (hub->plan_ref->view.plan->flags & BT_PLAN_FRAGMENT) {
                bt_hub_say(hub, "the plan is not usable: it is a fragment, for a hub that runs");
                hub->plan_ref = bt_plan_unref(hub->plan_ref);
                return -EBADMSG;
        }
        hub->plan = hub->plan_ref->view;
        bt_carry_begin(hub);
        r = open_all(hub);
        if (r) {
                bt_hub_close(hub);
                return r;
        }
        bt_event(hub, BT_EVENT_CHILDREN_STARTING, NULL, 0, "%u", hub->children.count);
        bt_hub_adopt(hub);
        bt_carry_children(hub);
        bt_callers_adopt(hub);
        if (!bt_carry_keeper(hub))
                bt_keep_take(hub);
        bt_mail_return_all(hub);
        hub->resuming = false;
        bt_hub_load_all(hub);
        if (!bt_carry_groups(hub))
                bt_groups_begin(hub);
        bt_carry_lost(hub);
        bt_carry_over(hub);
        bt_hub_settled(hub);
        return 0;
}

void bt_hub_close(struct bt_hub *hub)
{
        if (hub->plan.plan)
                close_all(hub);
}

/*
 * After an exec: what the program before carried over, and the lock. What cannot be read was rehearsed, and is read all the same: then this hub is as one that
 * follows a killed one, and closes what it does not know.
 */
static void open_carry(struct bt_hub *hub, const struct bt_hub_start *start)
{
        char why[BT_CARRY_WHY_BYTES] = "";

        hub->lock_fd = start->lock_fd;
        if (start->carry_fd < 0)
                return;
        BT_POINT("hub.renew.begun");
        (void)prctl(PR_SET_NAME, "batond"); /* executed by descriptor, it has the name of that */
        if (!bt_carry_open(&hub->carry, start->carry_fd, why)) {
                bt_carry_own(hub->carry);
                return;
        }
        bt_hub_say(hub, "what the program before this one carried over cannot be used: %s: its processes are adopted as those of a hub that was killed", why);
        bt_fds_close_but(start->plan_fd, start->lock_fd);
}

int bt_hub_run(const struct bt_hub_start *start)
{
        struct bt_hub hub;
        int r;

        bt_hub_init(&hub);
        hub.ready_fd = start->ready_fd;
        hub.plan_fd = start->plan_fd;
        open_carry(&hub, start);
        (void)bt_close(start->carry_fd);
        r = bt_hub_open(&hub, start->plan_fd);
        if (r)
                return r == -EBADMSG ? 2 : 1;
        while (!hub.over) {
                r = bt_loop_turn(hub.loop);
                if (r) {
                        bt_hub_say(&hub, "the event loop failed: %s", strerrordesc_np(-r));
                        hub.exit_status = 1;
                        break;
                }
        }
        bt_hub_say(&hub, "stopped");
        bt_hub_close(&hub);
        return hub.exit_status;
}
