/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that run at events: see hooks.h.
 *
 * The event is copied when it happens; a process is started later, at the end of a turn, and one a turn at most: starting a process keeps the hub for
 * some hundred microseconds, and what a child has to say in the meantime comes first.
 *
 * While a swap is under way nothing is started, for at most BT_HOOKS_HOLD_NS: a process that starts on the core where a successor spins for its
 * state makes the pause longer (a busy machine with two cores, medians: 32 us, and 200 to 320 us with a command at each step). What is under way
 * is counted from the events themselves: each migration begins with one, and ends with one.
 *
 * Dropped: threads, and callbacks inside the hub. A hook that raises, hangs or scribbles must not be able to take supervision with it; in another
 * process it cannot.
 */
#include "supervisor/hooks.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/errand.h"
#include "supervisor/events.h"
#include "supervisor/hub.h"

#define ENV_COUNT 9
#define ENV_BYTES 320 /* of one of ours: the longest has an event's text */

struct hook_job {
        const struct bt_plan_hook *hook;
        struct bt_plan_ref *plan;          /* that @hook is in */
        char pool[BATON_ID_BYTES_MAX + 1]; /* of the event's child, which may be gone by now; "": of none */
        struct bt_event event;
};

struct hook_run {
        struct bt_list node;
        struct bt_hooks *hooks;
        struct hook_job job;
        struct bt_errand errand;
};

struct bt_hooks {
        struct bt_hub *hub;
        struct hook_job *queue; /* ring of BT_HOOKS_QUEUED */
        uint32_t first;
        uint32_t queued;
        uint32_t running;
        uint32_t migrations; /* under way */
        uint64_t dropped;    /* not told yet */
        struct bt_list runs;
        struct bt_loop_timer start_timer;
        uint64_t due_ns; /* of start_timer; 0: not armed */
};

/* ---- telling ---- */

__attribute__((format(printf, 3, 4))) static void hook_failed(struct bt_hooks *hooks, const struct hook_job *job, const char *format, ...)
{
        char text[BT_EVENT_TEXT_BYTES];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        bt_hub_say(hooks->hub, "on %s%s%s: %s", bt_event_row(job->event.kind)->name, *job->event.child ? " " : "", job->event.child, text);
        bt_event(hooks->hub, BT_EVENT_HOOK_FAILED, bt_hub_child_find(hooks->hub, job->event.child), job->event.incarnation, "on %s: %s",
                 bt_event_row(job->event.kind)->name, text);
}

/* ---- one command ---- */

static void hooks_start_soon(struct bt_hooks *hooks);

static void run_report(const struct hook_run *run, const struct bt_proc_exit *how)
{
        const struct bt_plan *plan = run->hooks->hub->plan.plan;
        const char *exec = bt_plan_string(&run->job.plan->view, run->job.hook->exec);
        char text[96];

        if (run->errand.timed_out)
                hook_failed(run->hooks, &run->job, "%s took longer than hook_timeout (%" PRIu64 " ms) and was killed", exec,
                            plan->hook_timeout_ns / BT_NS_PER_MS);
        else if (how->code != CLD_EXITED || how->status)
                hook_failed(run->hooks, &run->job, "%s: %s", exec, bt_proc_exit_text(how, text, sizeof(text)));
}

static void run_over(struct bt_errand *errand, const struct bt_proc_exit *how)
{
        struct hook_run *run = bt_container_of(errand, struct hook_run, errand);
        struct bt_hooks *hooks = run->hooks;

        run_report(run, how);
        bt_list_unlink(&run->node);
        (void)bt_plan_unref(run->job.plan);
        free(run);
        hooks->running--;
        hooks_start_soon(hooks);
}

static int run_begin(struct hook_run *run, enum bt_spawn_step *ret_step)
{
        struct bt_hub *hub = run->hooks->hub;
        const struct bt_plan_view *plan = &run->job.plan->view;
        const struct bt_plan_hook *hook = run->job.hook;
        const struct bt_event *event = &run->job.event;
        const char *variables[ENV_COUNT + 1] = {NULL};
        char room[ENV_COUNT][ENV_BYTES], label[BATON_ID_BYTES_MAX + 1];
        struct bt_errand_start start = {.exec = bt_plan_string(plan, hook->exec), .argv = bt_plan_string(plan, hook->argv),
                                        .argv_count = hook->argv_count, .variables = variables, .label = label, .timeout_ns = hub->plan.plan->hook_timeout_ns};

        (void)snprintf(room[0], ENV_BYTES, "BATON_HUB=%s", bt_plan_string(&hub->plan, hub->plan.plan->hub));
        (void)snprintf(room[1], ENV_BYTES, "BATON_EVENT=%s", bt_event_row(event->kind)->name);
        (void)snprintf(room[2], ENV_BYTES, "BATON_SEQUENCE=%" PRIu64, event->sequence);
        (void)snprintf(room[3], ENV_BYTES, "BATON_TIME_NS=%" PRIu64, event->wall_ns);
        (void)snprintf(room[4], ENV_BYTES, "BATON_MONOTONIC_NS=%" PRIu64, event->mono_ns);
        (void)snprintf(room[5], ENV_BYTES, "BATON_CHILD=%s", event->child);
        (void)snprintf(room[6], ENV_BYTES, "BATON_POOL=%s", run->job.pool);
        (void)snprintf(room[7], ENV_BYTES, "BATON_INCARNATION=%" PRIu64, event->incarnation);
        (void)snprintf(room[8], ENV_BYTES, "BATON_REASON=%s", event->text);
        for (size_t i = 0; i < ENV_COUNT; i++)
                variables[i] = room[i];
        (void)snprintf(label, sizeof(label), "on %s%s%.24s", bt_event_row(event->kind)->name, *event->child ? " " : "", event->child);
        return bt_errand_begin(&run->errand, hub, &start, run_over, ret_step);
}

/* Takes the job's plan. */
static void hook_start(struct bt_hooks *hooks, const struct hook_job *job)
{
        struct hook_run *run = calloc(1, sizeof(*run));
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        int r;

        if (!run) {
                hook_failed(hooks, job, "was not run: out of memory");
                (void)bt_plan_unref(job->plan);
                return;
        }
        run->hooks = hooks;
        run->job = *job;
        r = run_begin(run, &step);
        if (r) {
                hook_failed(hooks, job, "%s was not run: %s: %s", bt_plan_string(&job->plan->view, job->hook->exec), bt_spawn_step_name(step),
                            strerrordesc_np(-r));
                (void)bt_plan_unref(job->plan);
                free(run);
                return;
        }
        bt_list_push(&hooks->runs, &run->node);
        hooks->running++;
}

/* ---- the queue ---- */

static void hooks_on_start(struct bt_loop_timer *timer)
{
        struct bt_hooks *hooks = bt_container_of(timer, struct bt_hooks, start_timer);
        struct hook_job job;
        uint64_t dropped = hooks->dropped;

        hooks->due_ns = 0;
        if (!hooks->queued || hooks->running == BT_HOOKS_RUNNING)
                return;
        job = hooks->queue[hooks->first];
        hooks->first = (hooks->first + 1) % BT_HOOKS_QUEUED;
        hooks->queued--;
        hooks->dropped = 0;
        if (dropped)
                hook_failed(hooks, &job, "%" PRIu64 " commands were not run: %d were waiting already", dropped, BT_HOOKS_QUEUED);
        hook_start(hooks, &job);
        hooks_start_soon(hooks);
}

/*
 * In the next turn, after what that one has to do; or when no swap is under way. A timer that is due soon stays as it is: put off by each event, it
 * would never be due while there are events in every turn.
 */
static void hooks_start_soon(struct bt_hooks *hooks)
{
        struct bt_loop *loop = hooks->hub->loop;
        uint64_t soon = bt_ns_add(bt_loop_now(loop), 1);
        uint64_t hold = hooks->queue[hooks->first].event.mono_ns + BT_HOOKS_HOLD_NS;
        bool held = hooks->migrations && hold > soon;

        if (!hooks->queued || hooks->running == BT_HOOKS_RUNNING)
                return;
        if (!held && hooks->due_ns && hooks->due_ns <= soon)
                return;
        hooks->due_ns = held ? hold : soon;
        if (bt_loop_timer_arm(loop, &hooks->start_timer, hooks->due_ns, hooks_on_start))
                hooks->due_ns = 0; /* the next event, or the end of a command, tries again */
}

static void hooks_queue(struct bt_hooks *hooks, struct bt_plan_ref *plan, uint32_t idx, const struct bt_event *event,
                        const struct bt_child *child)
{
        const struct bt_plan_hook *hook = &plan->view.hooks[idx];
        struct hook_job *job;

        if (hook->event != event->kind)
                return;
        if (hooks->queued == BT_HOOKS_QUEUED) {
                hooks->dropped++;
                return;
        }
        job = &hooks->queue[(hooks->first + hooks->queued++) % BT_HOOKS_QUEUED];
        *job = (struct hook_job){.hook = hook, .plan = bt_plan_ref(plan), .event = *event};
        (void)snprintf(job->pool, sizeof(job->pool), "%s", child ? child->pool : "");
}

static void hooks_count_migrations(struct bt_hooks *hooks, uint32_t kind)
{
        if (kind == BT_EVENT_MIGRATION_BEGUN)
                hooks->migrations++;
        else if ((kind == BT_EVENT_MIGRATION_COMPLETED || kind == BT_EVENT_MIGRATION_FAILED) && hooks->migrations)
                hooks->migrations--;
}

void bt_hooks_event(struct bt_hub *hub, const struct bt_event *event, const struct bt_child *child)
{
        if (!hub->hooks)
                return;
        for (uint32_t i = 0; i < hub->plan.plan->hub_hook_count; i++)
                hooks_queue(hub->hooks, hub->plan_ref, i, event, child);
        for (uint32_t i = 0; child && i < child->spec->hook_count; i++)
                hooks_queue(hub->hooks, child->plan, child->spec->hook_first + i, event, child);
        hooks_count_migrations(hub->hooks, event->kind);
        hooks_start_soon(hub->hooks);
}

/* ---- life ---- */

int bt_hooks_open(struct bt_hub *hub)
{
        struct bt_hooks *hooks;

        if (!hub->plan.plan->hook_count)
                return 0;
        hooks = calloc(1, sizeof(*hooks));
        if (!hooks)
                return -ENOMEM;
        hooks->queue = calloc(BT_HOOKS_QUEUED, sizeof(*hooks->queue));
        if (!hooks->queue) {
                free(hooks);
                return -ENOMEM;
        }
        hooks->hub = hub;
        bt_list_init(&hooks->runs);
        hub->hooks = hooks;
        return 0;
}

static void on_finish_timer(struct bt_loop_timer *timer)
{
        (void)timer; /* it ends the turn */
}

void bt_hooks_finish(struct bt_hub *hub)
{
        struct bt_hooks *hooks = hub->hooks;
        uint64_t deadline = bt_ns_add(bt_now_ns(), hub->plan.plan->hook_timeout_ns);
        struct bt_loop_timer timer = {0};

        if (!hooks || (!hooks->queued && !hooks->running))
                return;
        if (hub->stop_deadline_ns && hub->stop_deadline_ns < deadline)
                deadline = hub->stop_deadline_ns;
        bt_hub_close_control(hub); /* who waits for the stop does not wait for hooks */
        if (bt_loop_timer_arm(hub->loop, &timer, deadline, on_finish_timer))
                return;
        while ((hooks->queued || hooks->running) && bt_now_ns() < deadline) {
                if (bt_loop_turn(hub->loop))
                        break;
        }
        bt_loop_timer_disarm(&timer);
        if (hooks->queued)
                bt_hub_say(hub, "%u commands for events were not run: the hub ends", hooks->queued);
}

bool bt_hooks_busy(const struct bt_hub *hub)
{
        return hub->hooks && (hub->hooks->queued || hub->hooks->running);
}

void bt_hooks_close(struct bt_hub *hub)
{
        struct bt_hooks *hooks = hub->hooks;

        if (!hooks)
                return;
        bt_list_foreach_safe (it, &hooks->runs)
                bt_errand_end(&bt_list_entry(it, struct hook_run, node)->errand);
        bt_loop_timer_disarm(&hooks->start_timer);
        for (uint32_t i = 0; i < hooks->queued; i++)
                (void)bt_plan_unref(hooks->queue[(hooks->first + i) % BT_HOOKS_QUEUED].plan);
        free(hooks->queue);
        free(hooks);
        hub->hooks = NULL;
}
