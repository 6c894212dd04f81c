/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be known of live children after a restart (docs/children.md): a note for each fragment, with all its bytes, and one for each child that is
 * still there, with its place in it.
 *
 *      P  1763714000123   the plan                    one a request, shared by its children
 *      C  web/3           struct child_note ──► P, index
 *
 * At the start the file of the hub comes first. What is noted and cannot be used (a fragment of another version, a socket that the configuration has no
 * longer) is said and left where it is: an older hub, or a corrected file, may have a use for it. What the file has taken over is forgotten.
 */
#include "supervisor/live.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/replicas.h"

#define ITEM_NOTES_MAX 4

struct child_note {
        uint64_t plan;
        uint32_t idx;
        uint32_t reserved;
        char node[64]; /* where it was */
};

static void plan_name(struct bt_note *note, uint64_t number)
{
        note->kind = BT_NOTE_PLAN;
        (void)snprintf(note->name, sizeof(note->name), "%" PRIu64, number);
}

static void child_name(struct bt_note *note, enum bt_note_kind kind, const char *id)
{
        note->kind = kind;
        (void)snprintf(note->name, sizeof(note->name), "%s", id);
}

/* ---- while the hub runs ---- */

static void on_noted(void *ctx, int result, const struct bt_record *record)
{
        (void)record;
        bt_live_noted(ctx, result);
}

int bt_live_note(struct bt_live *live)
{
        struct bt_note *notes = calloc((size_t)live->count + 1, sizeof(*notes));
        struct child_note *says = calloc((size_t)live->count + 1, sizeof(*says));
        const struct bt_plan *plan = live->plan->view.plan;
        const struct bt_replicas *noted = NULL; /* its instances are neighbours, and have one note */
        size_t n = 1;
        int r = -ENOMEM;

        if (notes && says) {
                plan_name(&notes[0], live->number);
                notes[0].at = plan;
                notes[0].bytes = plan->bytes;
                for (uint32_t i = 0; i < live->count; i++) {
                        const struct bt_live_item *item = &live->items[i];

                        if (!item->child || (item->child->replicas && item->child->replicas == noted))
                                continue;
                        noted = item->child->replicas;
                        says[n] = (struct child_note){.plan = live->number, .idx = item->plan_idx};
                        (void)snprintf(says[n].node, sizeof(says[n].node), "%s", item->child->seat.node->name);
                        child_name(&notes[n], BT_NOTE_CHILD, noted ? noted->id : item->child->id);
                        notes[n].at = &says[n];
                        notes[n++].bytes = sizeof(says[0]);
                }
                live->plan->noted = (uint32_t)n - 1;
                live->noting = true;
                r = bt_store_put_notes(live->hub->store, notes, n, on_noted, live);
        }
        free(notes);
        free(says);
        return r;
}

static void on_forgotten(void *ctx, int result, const struct bt_record *record)
{
        (void)record;
        bt_live_forgotten(ctx, result);
}

/* A replicated child has one note for all of its instances, and its removal is asked for once. One or two. */
static size_t replicas_notes(struct bt_replicas *replicas, struct bt_note *notes)
{
        struct bt_plan_ref *plan = replicas->plan;
        size_t n = 0;

        if (!plan->number || replicas->unnoted)
                return 0; /* the configuration's */
        replicas->unnoted = true;
        child_name(&notes[n++], BT_NOTE_CHILD, replicas->id);
        if (plan->noted && --plan->noted == 0)
                plan_name(&notes[n++], plan->number);
        return n;
}

/* The notes of @item that go; at most ITEM_NOTES_MAX. */
static size_t item_notes(const struct bt_live_item *item, struct bt_note *notes)
{
        struct bt_child *child = item->child;
        size_t n = 0;

        child_name(&notes[n++], BT_NOTE_CHILD, child->id);
        if (item->live->drop_state)
                child_name(&notes[n++], BT_NOTE_STATE, child->id);
        if (child->replicas)
                return n + (child->replicas->leaving ? replicas_notes(child->replicas, notes + n) : 0);
        if (child->plan->number && child->plan->noted && --child->plan->noted == 0)
                plan_name(&notes[n++], child->plan->number);
        return n;
}

static void on_unnoted(void *ctx, int result, const struct bt_record *record)
{
        (void)record;
        if (result)
                bt_hub_say(ctx, "a replicated child was removed, but the store could not be written: it comes back at the next start");
}

void bt_live_unnote(struct bt_replicas *replicas)
{
        struct bt_note notes[2] = {0};
        size_t n = replicas_notes(replicas, notes);

        if (n && bt_store_put_notes(replicas->hub->store, notes, n, on_unnoted, replicas->hub))
                on_unnoted(replicas->hub, -EIO, NULL);
}

int bt_live_forget(struct bt_live *live)
{
        struct bt_note *notes;
        size_t count = 0, n = 0;
        int r;

        bt_list_foreach (it, &live->gone)
                count++;
        notes = calloc(count * ITEM_NOTES_MAX + 1, sizeof(*notes));
        bt_list_foreach_safe (it, &live->gone) {
                struct bt_live_item *item = bt_list_entry(it, struct bt_live_item, ready);

                if (notes && !item->unnoted)
                        n += item_notes(item, notes + n);
                item->unnoted = item->forgetting = true;
                bt_list_unlink(&item->ready);
        }
        live->noting = true;
        r = notes ? bt_store_put_notes(live->hub->store, notes, n, on_forgotten, live) : -ENOMEM;
        free(notes);
        return r;
}

/* ---- at the start ---- */

struct opening {
        struct bt_hub *hub;
        struct bt_plan_ref **plans; /* one reference each; NULL: cannot be used */
        uint64_t *numbers;
        size_t plan_count;
        struct bt_note *stale;      /* to be removed */
        size_t stale_count;
        uint32_t added, unusable;
        int error;
};

static void opening_deinit(struct opening *opening)
{
        for (size_t i = 0; i < opening->plan_count; i++)
                (void)bt_plan_unref(opening->plans[i]);
        free((void *)opening->plans);
        free(opening->numbers);
        free(opening->stale);
}

static int plan_from_bytes(struct bt_plan_ref **ret_plan, const struct bt_note *note, const char **ret_error)
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-fragment", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r = fd < 0 ? -errno : bt_write_all(fd, note->at, note->bytes);

        *ret_error = "it cannot be put into memory";
        if (!r && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                r = -errno;
        return r ? r : bt_plan_load(ret_plan, fd, ret_error);
}

static void on_plan_note(void *ctx, const struct bt_note *note)
{
        struct opening *opening = ctx;
        struct bt_plan_ref *plan = NULL;
        const char *error = "";
        char why[256];
        size_t n = opening->plan_count + 1;
        struct bt_plan_ref **plans;
        uint64_t *numbers;

        plans = reallocarray((void *)opening->plans, n, sizeof(void *));
        if (plans)
                opening->plans = plans;
        numbers = reallocarray(opening->numbers, n, sizeof(*numbers));
        if (numbers)
                opening->numbers = numbers;
        if (!plans || !numbers) {
                opening->error = -ENOMEM;
                return;
        }
        if (plan_from_bytes(&plan, note, &error)) {
                bt_hub_say(opening->hub, "children that were added live (request %s) cannot be used: %s", note->name, error);
        } else if (!(plan->view.plan->flags & BT_PLAN_FRAGMENT) || bt_live_sockets(opening->hub, plan, why, sizeof(why))) {
                bt_hub_say(opening->hub, "children that were added live (request %s) are not started: %s", note->name,
                           plan->view.plan->flags & BT_PLAN_FRAGMENT ? why : "their plan is not a fragment");
                plan = bt_plan_unref(plan);
        }
        if (plan)
                plan->number = strtoull(note->name, NULL, 10);
        numbers[opening->plan_count] = strtoull(note->name, NULL, 10);
        plans[opening->plan_count++] = plan;
}

static void stale_add(struct opening *opening, const struct bt_note *note)
{
        struct bt_note *more = reallocarray(opening->stale, opening->stale_count + 1, sizeof(*more));

        if (!more)
                return; /* it is found again at the next start */
        opening->stale = more;
        more[opening->stale_count] = (struct bt_note){.kind = note->kind};
        memcpy(more[opening->stale_count++].name, note->name, sizeof(note->name));
}

static struct bt_plan_ref *plan_of(const struct opening *opening, const struct child_note *says)
{
        for (size_t i = 0; i < opening->plan_count; i++)
                if (opening->numbers[i] == says->plan)
                        return opening->plans[i];
        return NULL;
}

static void on_child_note(void *ctx, const struct bt_note *note)
{
        struct opening *opening = ctx;
        struct bt_hub *hub = opening->hub;
        struct bt_plan_ref *plan = NULL;
        struct child_note says;
        struct bt_replicas *replicas;
        struct bt_child *child;
        int r;

        if (note->bytes == sizeof(says)) {
                memcpy(&says, note->at, sizeof(says));
                says.node[sizeof(says.node) - 1] = '\0';
                plan = plan_of(opening, &says);
        }
        if (!plan || says.idx >= plan->view.plan->child_count ||
            strcmp(bt_plan_string(&plan->view, plan->view.children[says.idx].id), note->name) != 0) {
                opening->unusable++;
                return;
        }
        if (bt_hub_child_find(hub, note->name) || bt_replicas_find(hub, note->name)) {
                bt_hub_say(hub, "%s: was added live, and is in the configuration by now: it is the configuration's from here on", note->name);
                stale_add(opening, note);
                return;
        }
        if (plan->view.children[says.idx].replicas)
                r = bt_replicas_new(&replicas, hub, plan, says.idx);
        else
                r = bt_hub_child_add(hub, plan, says.idx, bt_live_node(hub), &child);
        if (r) {
                bt_hub_say(hub, "%s: was added live, and cannot be started: %s; it stays noted, for the next start of the hub", note->name,
                           strerrordesc_np(-r));
                opening->unusable++;
                return;
        }
        plan->noted++;
        opening->added++;
}

/* Fragments of which no child is noted any more. */
static void plans_stale(struct opening *opening)
{
        for (size_t i = 0; i < opening->plan_count; i++) {
                struct bt_note note = {0};

                if (!opening->plans[i] || opening->plans[i]->noted || opening->unusable)
                        continue;
                plan_name(&note, opening->numbers[i]);
                stale_add(opening, &note);
        }
}

static void on_stale_removed(void *ctx, int result, const struct bt_record *record)
{
        (void)record;
        if (result)
                bt_hub_say(ctx, "notes of children that are in the configuration by now could not be removed; they are at the next start");
}

int bt_live_open(struct bt_hub *hub)
{
        struct opening opening = {.hub = hub};
        int r = bt_store_read_notes(hub->store, BT_NOTE_PLAN, on_plan_note, &opening);

        if (!r)
                r = bt_store_read_notes(hub->store, BT_NOTE_CHILD, on_child_note, &opening);
        if (!r)
                r = opening.error;
        if (r)
                bt_hub_say(hub, "the children that were added live cannot be read from the store: %s", strerrordesc_np(r < 0 ? -r : EIO));
        if (!r)
                plans_stale(&opening);
        if (!r && opening.stale_count)
                (void)bt_store_put_notes(hub->store, opening.stale, opening.stale_count, on_stale_removed, hub);
        if (opening.added || opening.unusable)
                bt_hub_say(hub, "%u %s added live, %u not usable", opening.added, opening.added == 1 ? "child was" : "children were",
                           opening.unusable);
        opening_deinit(&opening);
        return r;
}
