/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub: its start, its loop, its stop.
 *
 * Start, in an order that leaves nothing behind when a step fails: lock (a second hub of this name stops here), store, sockets, node directory,
 * control socket, children. Stop: see swap/shutdown.h; this file performs its actions.
 *
 * The hub prints for people on stderr and never waits for its reader. It holds no lock a child can hold and reads no text.
 */
#include "supervisor/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/events.h"
#include "supervisor/hooks.h"
#include "supervisor/request.h"
#include "supervisor/embed.h"

#define LOCK_WAIT_NS BT_NS_PER_S
#define LOCK_PAUSE_NS (2 * BT_NS_PER_MS)

void bt_hub_say(struct bt_hub *hub, const char *format, ...)
{
        char line[1024];
        size_t used = (size_t)snprintf(line, sizeof(line), "baton: ");
        va_list args;

        va_start(args, format);
        (void)vsnprintf(line + used, sizeof(line) - used - 1, format, args);
        va_end(args);
        if (hub->embed) {
                bt_embed_say(hub->embed, line + strlen("baton: "));
                return;
        }
        used = strlen(line);
        line[used++] = '\n';
        bt_log_say(line, used);
}

/* ---- stop ---- */

/* What an action found out at once: the next event. */
struct next {
        enum bt_shutdown_event event;
        uint32_t count;
};

static void shutdown_event(struct bt_hub *hub, enum bt_shutdown_event event, uint32_t count);

__attribute__((format(printf, 2, 3))) static void note_kept(struct bt_hub *hub, const char *format, ...)
{
        size_t used = strlen(hub->stop_text);

        va_list args;

        va_start(args, format);
        (void)vsnprintf(hub->stop_text + used, sizeof(hub->stop_text) - used, format, args);
        va_end(args);
}

static void shutdown_cancel_migrations(struct bt_hub *hub)
{
        for (uint32_t i = 0; i < hub->child_count; i++) {
                if (hub->children[i].migration)
                        bt_migration_cancel(hub->children[i].migration);
        }
}

/* The outer limit is the shorter one: what is left of shutdown_timeout, at most @inner_ns. */
static uint64_t within_stop(const struct bt_hub *hub, uint64_t inner_ns)
{
        uint64_t now = bt_now_ns();
        uint64_t left = hub->stop_deadline_ns == BT_NS_NEVER ? BT_NS_INFINITE : hub->stop_deadline_ns > now ? hub->stop_deadline_ns - now : 0;

        return left < inner_ns ? left : inner_ns;
}

/*
 * shutdown_timeout is over. States that did not arrive are not waited for; those that did are written all the same, and then everything ends
 * at once. A migration that is still being called off has its own limits; what it waits for an end of, gets it.
 */
static void on_stop_timer(struct bt_loop_timer *timer)
{
        struct bt_hub *hub = bt_container_of(timer, struct bt_hub, stop_timer);

        bt_hub_say(hub, "shutdown_timeout is over: what has not ended is killed");
        for (uint32_t i = 0; i < hub->child_count; i++) {
                bt_list_foreach (it, &hub->children[i].incs) {
                        struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                        if (!inc->told_to_end || inc->dead)
                                continue;
                        hub->children[i].limits_hit++;
                        bt_inc_kill(inc);
                }
        }
        if (hub->shutdown.state == BT_SHUTDOWN_S_CAPTURING)
                shutdown_event(hub, BT_SHUTDOWN_EV_TIMEOUT, 0);
}

static void on_shutdown_timer(struct bt_loop_timer *timer)
{
        shutdown_event(bt_container_of(timer, struct bt_hub, shutdown_timer), BT_SHUTDOWN_EV_TIMEOUT, 0);
}

/* All at once; one deadline, the longest that any of them was given. */
static struct next shutdown_ask(struct bt_hub *hub)
{
        uint64_t wait = 0;
        uint32_t asked = 0;

        for (uint32_t i = 0; i < hub->child_count; i++) {
                struct bt_child *child = &hub->children[i];
                struct bt_inc *inc = child->current;

                bt_loop_timer_disarm(&child->restart_timer);
                if (!inc && child->spec->handover)
                        bt_child_salvage(child);
                if (!inc || !inc->link || !child->spec->handover || child->spec->state_form == BATON_STATE_NONE)
                        continue;
                if (child->spec->durability == BT_DURABILITY_NONE) {
                        note_kept(hub, "%s: state not kept (durability: none)\n", child->id);
                        continue;
                }
                if (!bt_baton_serves(inc->holding->baton, inc->number))
                        continue; /* not serving yet: a state from the store is still in the store */
                child->asked = true;
                asked++;
                if (child->spec->handover_data_wait_ns > wait)
                        wait = child->spec->handover_data_wait_ns;
                bt_inc_say(inc, BT_MSG_CAPTURE, 0, 0, BATON_CAPTURE_SHUTDOWN, 0);
        }
        if (asked)
                (void)bt_loop_timer_arm(hub->loop, &hub->shutdown_timer, bt_ns_add(bt_now_ns(), within_stop(hub, wait)),
                                            on_shutdown_timer);
        return (struct next){.event = BT_SHUTDOWN_EV_ASKED, .count = asked};
}

void bt_hub_captured(struct bt_hub *hub, struct bt_child *child, bool whole)
{
        child->asked = false;
        child->captured = whole;
        if (whole)
                bt_event(hub, BT_EVENT_STATE_CAPTURED, child, 0, "%llu bytes", (unsigned long long)child->state_bytes);
        else
                bt_event(hub, BT_EVENT_STATE_MISSING, child, 0, "it gave none");
        if (!whole)
                note_kept(hub, "%s: gave no state\n", child->id);
        shutdown_event(hub, BT_SHUTDOWN_EV_ANSWERED, 0);
}

/* What became of the states, for those who asked for the stop. */
static void note_stored(struct bt_hub *hub, int result)
{
        for (uint32_t i = 0; i < hub->child_count; i++) {
                const struct bt_child *child = &hub->children[i];

                if (child->captured)
                        note_kept(hub, "%s: %s\n", child->id, result ? "state LOST, the store could not be written" : "state kept");
        }
        if (!result)
                return;
        hub->exit_status = 1;
        bt_hub_say(hub, "the states could not be written: %s", result == BT_STORE_E_ROOM ? "the disk is full" : strerrordesc_np(-result));
}

/* True when there is nothing to wait for. */
static bool shutdown_store(struct bt_hub *hub)
{
        int r;

        bt_loop_timer_disarm(&hub->shutdown_timer);
        for (uint32_t i = 0; i < hub->child_count; i++) {
                struct bt_child *child = &hub->children[i];

                if (child->asked) {
                        child->asked = false;
                        child->limits_hit++;
                        note_kept(hub, "%s: did not give its state in time (handover_data_wait)\n", child->id);
                        bt_event(hub, BT_EVENT_STATE_MISSING, child, 0, "not in time (handover_data_wait)");
                }
        }
        r = bt_hub_store_states(hub);
        if (r < 0) {
                note_stored(hub, r);
                bt_event(hub, BT_EVENT_STATES_STORED, NULL, 0, "they could not be written");
        }
        return r != 0;
}

void bt_hub_stored(struct bt_hub *hub, int result)
{
        note_stored(hub, result);
        bt_event(hub, BT_EVENT_STATES_STORED, NULL, 0, "%s", result ? "they could not be written" : "all that were captured");
        shutdown_event(hub, BT_SHUTDOWN_EV_STORED, 0);
}

static void on_patience_over(struct bt_loop_timer *timer)
{
        struct bt_inc *inc = bt_container_of(timer, struct bt_inc, deadline);

        inc->child->limits_hit++;
        bt_inc_kill(inc);
}

static struct next shutdown_end(struct bt_hub *hub)
{
        uint32_t told = 0;

        for (uint32_t i = 0; i < hub->child_count; i++) {
                struct bt_child *child = &hub->children[i];
                uint64_t patience = within_stop(hub, child->spec->shutdown_ns);

                child->phase = BT_PHASE_STOPPING;
                bt_list_foreach (it, &child->incs) {
                        struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                        told++;
                        if (!patience) {
                                bt_inc_kill(inc);
                                continue;
                        }
                        bt_inc_stop(inc);
                        if (patience != BT_NS_INFINITE)
                                (void)bt_loop_timer_arm(hub->loop, &inc->deadline, bt_ns_add(bt_now_ns(), patience), on_patience_over);
                }
                bt_child_publish(child);
        }
        return (struct next){.event = BT_SHUTDOWN_EV_TOLD, .count = told};
}

static void tell_over(struct bt_hub *hub)
{
        for (uint32_t i = 0; i < hub->child_count; i++)
                bt_event(hub, BT_EVENT_CHILD_UNREGISTERED, &hub->children[i], 0, "the hub ends");
        bt_event(hub, BT_EVENT_SHUTDOWN_OVER, NULL, 0, "%s", hub->stop_text);
}

static void shutdown_event(struct bt_hub *hub, enum bt_shutdown_event event, uint32_t count)
{
        struct next next = {.event = event, .count = count};

        for (;;) {
                switch (bt_shutdown_step(&hub->shutdown, next.event, next.count)) {
                case BT_SHUTDOWN_ACT_CANCEL_MIGRATIONS:
                        shutdown_cancel_migrations(hub); /* their ends are events */
                        return;
                case BT_SHUTDOWN_ACT_ASK:
                        next = shutdown_ask(hub);
                        break;
                case BT_SHUTDOWN_ACT_STORE:
                        if (!shutdown_store(hub))
                                return;
                        next = (struct next){.event = BT_SHUTDOWN_EV_STORED};
                        break;
                case BT_SHUTDOWN_ACT_END:
                        next = shutdown_end(hub);
                        break;
                case BT_SHUTDOWN_ACT_FINISH:
                        tell_over(hub);
                        hub->over = true;
                        return;
                case BT_SHUTDOWN_ACT_NONE:
                        return;
                }
        }
}

void bt_hub_stop(struct bt_hub *hub)
{
        uint32_t migrations = 0;

        if (hub->stopping)
                return;
        hub->stopping = true;
        hub->stop_deadline_ns = BT_NS_NEVER;
        if (hub->plan.plan->shutdown_timeout_ns) {
                hub->stop_deadline_ns = bt_ns_add(bt_now_ns(), hub->plan.plan->shutdown_timeout_ns);
                (void)bt_loop_timer_arm(hub->loop, &hub->stop_timer, hub->stop_deadline_ns, on_stop_timer);
        }
        bt_hub_say(hub, "stopping");
        bt_event(hub, BT_EVENT_SHUTDOWN_BEGUN, NULL, 0, "%u children", hub->child_count);
        for (uint32_t i = 0; i < hub->child_count; i++)
                migrations += hub->children[i].migration != NULL;
        shutdown_event(hub, BT_SHUTDOWN_EV_BEGIN, migrations);
}

void bt_hub_migration_over(struct bt_hub *hub)
{
        if (hub->stopping)
                shutdown_event(hub, BT_SHUTDOWN_EV_SETTLED, 0);
}

void bt_hub_exited(struct bt_hub *hub)
{
        if (hub->stopping)
                shutdown_event(hub, BT_SHUTDOWN_EV_EXITED, 0);
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
void bt_hub_child_settled(struct bt_hub *hub)
{
        uint32_t running = 0, failed = 0;

        if (hub->settled)
                return;
        for (uint32_t i = 0; i < hub->child_count; i++) {
                enum bt_phase phase = hub->children[i].phase;

                running += phase == BT_PHASE_RUNNING || phase == BT_PHASE_MIGRATING;
                failed += phase == BT_PHASE_FAILED || phase == BT_PHASE_STOPPED;
        }
        if (running + failed < hub->child_count || hub->load_next < hub->child_count)
                return;
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
        int r = bt_hub_make_dir(dir);

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

/* A child costs seven descriptors here. Children get back what we were started with. */
static void raise_nofile(struct bt_hub *hub)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        hub->nofile = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_children(struct bt_hub *hub)
{
        int r = bt_node_create(&hub->node, bt_plan_string(&hub->plan, hub->plan.plan->hub), "local", hub->plan.plan->child_count);

        if (r)
                return r;
        hub->children = calloc(hub->plan.plan->child_count ? hub->plan.plan->child_count : 1, sizeof(*hub->children));
        if (!hub->children)
                return -ENOMEM;
        for (uint32_t i = 0; i < hub->plan.plan->child_count; i++) {
                hub->child_count++;
                r = bt_child_init(&hub->children[i], hub, i);
                if (r)
                        return r;
        }
        return 0;
}

/* And who is in it: processes of a hub that was killed. */
static int open_registry(struct bt_hub *hub)
{
        const char *dir = bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir);
        char path[4096];
        int r;

        (void)snprintf(path, sizeof(path), "%s/processes", dir);
        /* A child has one process, two in a swap, and those that drain. */
        r = bt_registry_open(&hub->registry, path, hub->plan.plan->child_count * 4 + 64);
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
        hub->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (hub->null_fd < 0)
                return -errno;
        r = take_lock(hub);
        if (r)
                return r;
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
                r = bt_hub_open_sockets(hub);
        if (!r)
                r = open_children(hub);
        if (!r)
                r = bt_hub_open_control(hub);
        return r;
}

/* After an orderly stop nobody is left to be found. */
static void close_registry(struct bt_hub *hub)
{
        char path[4096];
        uint32_t live = 0;

        for (uint32_t i = 0; hub->registry.entries && i < hub->registry.count; i++)
                live += atomic_load_explicit(&hub->registry.entries[i].live, memory_order_relaxed);
        if (hub->registry.entries && !live) {
                (void)snprintf(path, sizeof(path), "%s/processes", bt_plan_string(&hub->plan, hub->plan.plan->runtime_dir));
                (void)unlink(path);
        }
        bt_registry_close(&hub->registry);
}

/* Only after all processes have ended, or when none was started. */
static void close_all(struct bt_hub *hub)
{
        if (hub->over)
                bt_hooks_finish(hub);
        bt_hooks_close(hub);
        hub->store = bt_store_close(hub->store);
        for (uint32_t i = 0; i < hub->child_count; i++)
                bt_child_deinit(&hub->children[i]);
        free(hub->children);
        bt_hub_close_control(hub);
        bt_events_close(hub);
        bt_request_free_all(hub);
        bt_hub_found_free(hub);
        bt_node_destroy(&hub->node);
        close_registry(hub);
        bt_hub_close_sockets(hub);
        if (hub->loop) {
                bt_loop_timer_disarm(&hub->shutdown_timer);
                bt_loop_timer_disarm(&hub->stop_timer);
                bt_loop_forget(&hub->signals_watch);
                hub->store_sender = bt_loop_sender_free(hub->store_sender);
                hub->loop = bt_loop_free(hub->loop);
        }
        (void)bt_close(hub->signals);
        (void)bt_close(hub->null_fd);
        (void)bt_close(hub->lock_fd);
        (void)bt_close(hub->ready_fd);
        bt_plan_close(&hub->plan);
}

void bt_hub_init(struct bt_hub *hub)
{
        *hub = (struct bt_hub){.null_fd = -1, .lock_fd = -1, .listener = -1, .signals = -1, .ready_fd = -1, .node = BT_NODE_OWNER_NULL,
                               .registry = BT_REGISTRY_NULL};
        bt_list_init(&hub->clients);
        bt_list_init(&hub->requests);
        for (size_t i = 0; i < BT_ARRAY_LEN(hub->sockets); i++)
                hub->sockets[i] = -1;
}

int bt_hub_open(struct bt_hub *hub, int plan_fd)
{
        const char *error = "";
        int r = bt_plan_open(&hub->plan, plan_fd, &error);

        if (r) {
                bt_hub_say(hub, "the plan is not usable: %s", r == -EINVAL ? error : strerrordesc_np(-r));
                return -EBADMSG;
        }
        r = open_all(hub);
        if (r) {
                bt_hub_close(hub);
                return r;
        }
        bt_event(hub, BT_EVENT_CHILDREN_STARTING, NULL, 0, "%u", hub->child_count);
        bt_hub_adopt(hub);
        bt_hub_load_all(hub);
        bt_hub_child_settled(hub);
        return 0;
}

void bt_hub_close(struct bt_hub *hub)
{
        if (hub->plan.plan)
                close_all(hub);
}

int bt_hub_run(int plan_fd, int ready_fd)
{
        struct bt_hub hub;
        int r;

        bt_hub_init(&hub);
        hub.ready_fd = ready_fd;
        r = bt_hub_open(&hub, plan_fd);
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
