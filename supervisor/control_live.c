/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's requests about children: add, remove, list, and what became of a request.
 *
 * Everything that is long is a memfd: the fragment and the ids that come in, sealed, so that nobody changes them while they are read; the list and
 * the results that go out. So a request for 65536 children is one message, and its results cannot be dropped as progress may be.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/alter.h"
#include "supervisor/control_state.h"
#include "supervisor/live.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define IDS_BYTES_MAX (BT_PLAN_CHILDREN_MAX * (off_t)(BATON_ID_BYTES_MAX + 1))
#define FLAGS_KNOWN (BT_CTL_LIVE_STOPPED_ONLY | BT_CTL_LIVE_NO_WAIT | BT_CTL_LIVE_ROLLBACK | BT_CTL_LIVE_DROP_STATE)

/* ---- answers ---- */

void bt_live_tell(struct bt_client *client, const struct bt_live *live)
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-results", MFD_CLOEXEC);
        int r = fd < 0 ? -errno : 0;

        for (uint32_t i = 0; !r && i < live->count; i++)
                r = bt_write_all(fd, &live->items[i].result, sizeof(live->items[i].result));
        if (!r)
                r = bt_client_send(client, BT_CTL_RESULTS, fd, live->count, live->number);
        if (r)
                bt_client_answer(client, BT_CTL_FAILED, "the results could not be sent: ask for them with 'baton child result'");
        else
                bt_client_done(client, live->over_ns ? bt_live_outcome(live) : BT_CTL_OK, live->ok, live->count - live->ok, "");
}

/* The request is taken. */
static void answer_taken(struct bt_client *client, struct bt_live_waiter *waiter, struct bt_live *live, uint32_t flags)
{
        if (bt_client_accepted(client, live->number) || (flags & BT_CTL_LIVE_NO_WAIT))
                bt_client_done(client, BT_CTL_OK, live->count, 0, "");
        else
                bt_live_wait(live, waiter);
}

static enum bt_ctl_outcome outcome_of(int r)
{
        return r == -EINVAL ? BT_CTL_INVALID : BT_CTL_FAILED;
}

/* ---- add ---- */

static void request_add(struct bt_client *client, struct bt_live_waiter *waiter, struct bt_hub *hub, const struct bt_ctl_live *ask, int fd)
{
        struct bt_plan_ref *plan = NULL;
        struct bt_live *live = NULL;
        const char *error = NULL;
        char why[512] = "the plan of the children is missing";
        int r = fd < 0 ? -EINVAL : bt_plan_load(&plan, fd, &error);

        if (r && fd >= 0)
                (void)snprintf(why, sizeof(why), "the plan of the children is not usable: %s", error ? error : strerrordesc_np(-r));
        if (!r && !(plan->view.plan->flags & BT_PLAN_FRAGMENT)) {
                (void)snprintf(why, sizeof(why), "this is the plan of a whole hub, not of children to add");
                r = -EINVAL;
        }
        if (!r)
                r = bt_live_add(hub, plan, ask->deadline_ns, ask->flags, &live, why, sizeof(why));
        if (r)
                bt_client_answer(client, outcome_of(r), why);
        else
                answer_taken(client, waiter, live, ask->flags);
        (void)bt_plan_unref(plan);
}

/* ---- who is meant ---- */

static void select_close(struct bt_ctl_select *select)
{
        select->id[sizeof(select->id) - 1] = '\0';
        select->tag[sizeof(select->tag) - 1] = '\0';
        select->meta[sizeof(select->meta) - 1] = '\0';
        select->node[sizeof(select->node) - 1] = '\0';
}

/* ---- remove ---- */

/* The ids in a memfd, each with its NUL; on the heap. 0 or -errno. */
static int ids_read(int fd, char **ret_ids, size_t *ret_bytes)
{
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;
        char *ids;

        if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > IDS_BYTES_MAX)
                return -EINVAL;
        ids = malloc((size_t)st.st_size);
        if (!ids)
                return -ENOMEM;
        if (pread(fd, ids, (size_t)st.st_size, 0) != (ssize_t)st.st_size || ids[st.st_size - 1]) {
                free(ids);
                return -EINVAL;
        }
        *ret_ids = ids;
        *ret_bytes = (size_t)st.st_size;
        return 0;
}

static enum bt_live_verb verb_of(uint32_t op, uint32_t flags)
{
        switch (op) {
        case BT_CTL_CHILD_STOP:
                return BT_LIVE_STOP;
        case BT_CTL_CHILD_START:
                return BT_LIVE_START;
        case BT_CTL_CHILD_RESTART:
                return BT_LIVE_RESTART;
        default:
                return flags & BT_CTL_LIVE_STOPPED_ONLY ? BT_LIVE_DELETE : BT_LIVE_REMOVE;
        }
}

static void request_remove(struct bt_client *client, struct bt_live_waiter *waiter, struct bt_hub *hub, const struct bt_ctl_live *ask,
                           enum bt_live_verb verb, int fd)
{
        const struct bt_ctl_select *select = &ask->select;
        struct bt_live *live = NULL;
        char *ids = NULL;
        size_t bytes = 0;

        if (fd < 0 && !*select->id && !*select->tag && !*select->meta && !*select->node) {
                bt_client_answer(client, BT_CTL_INVALID, "which children? Say ids, or a tag");
                return;
        }
        if (fd >= 0 && ids_read(fd, &ids, &bytes)) {
                bt_client_answer(client, BT_CTL_INVALID, "the list of ids is not usable");
                return;
        }
        live = fd >= 0 ? bt_live_remove_ids(hub, verb, ids, bytes) : bt_live_remove(hub, verb, select);
        free(ids);
        if (live && !live->count) {
                bt_live_begin(live);
                bt_client_answer(client, BT_CTL_NO_SUCH, "there is no such child");
                return;
        }
        if (!live) {
                bt_client_answer(client, BT_CTL_FAILED, "no memory, or too many requests are under way: try again when one is over");
                return;
        }
        live->deadline_ns = ask->deadline_ns;
        live->drop_state = ask->flags & BT_CTL_LIVE_DROP_STATE;
        bt_live_begin(live);
        answer_taken(client, waiter, live, ask->flags);
}

/* ---- list ---- */

/* What is sent: records in front, strings behind them. */
struct listing {
        struct bt_ctl_child *records;
        char *strings;
        size_t count, strings_bytes;
};

static size_t labels_bytes(struct bt_labels labels)
{
        const char *at = labels.first;

        while (labels.count--)
                at = bt_plan_string_next(at);
        return (size_t)(at - labels.first);
}

static uint32_t labels_put(struct listing *listing, struct bt_labels labels, size_t strings_off)
{
        size_t bytes = labels_bytes(labels), at = listing->strings_bytes;

        memcpy(listing->strings + at, labels.first, bytes);
        listing->strings_bytes += bytes;
        return (uint32_t)(strings_off + at);
}

static void listing_put(struct listing *listing, const struct bt_child *child, size_t strings_off)
{
        struct bt_ctl_child *record = &listing->records[listing->count++];
        struct bt_labels tags = bt_child_tags(child), meta = bt_child_meta(child);

        (void)snprintf(record->id, sizeof(record->id), "%s", child->id);
        (void)snprintf(record->pool, sizeof(record->pool), "%s", child->pool);
        (void)snprintf(record->node, sizeof(record->node), "%s", child->seat.node->name);
        record->phase = child->phase;
        record->live = child->plan != child->hub->plan_ref;
        record->incarnation = child->current ? child->current->number : 0;
        record->pid = child->current ? child->current->pid : 0;
        record->tag_count = tags.count;
        record->meta_count = meta.count;
        record->tags = labels_put(listing, tags, strings_off);
        record->meta = labels_put(listing, meta, strings_off);
}

/* 0 or -errno. */
static int listing_make(struct listing *listing, const struct bt_hub *hub, const struct bt_ctl_select *select)
{
        size_t count = 0, bytes = 1;

        bt_hub_foreach_child (child, hub) {
                if (!bt_live_selected(child, select))
                        continue;
                count++;
                bytes += labels_bytes(bt_child_tags(child)) + labels_bytes(bt_child_meta(child));
        }
        listing->records = calloc(count + 1, sizeof(*listing->records));
        listing->strings = malloc(bytes);
        if (!listing->records || !listing->strings)
                return -ENOMEM;
        bt_hub_foreach_child (child, hub)
                if (bt_live_selected(child, select))
                        listing_put(listing, child, count * sizeof(*listing->records));
        return 0;
}

static void request_list(struct bt_client *client, const struct bt_hub *hub, const struct bt_ctl_select *select)
{
        BT_CLEANUP(bt_closep) int fd = memfd_create("baton-children", MFD_CLOEXEC);
        struct listing listing = {0};
        size_t head;
        int r = fd < 0 ? -errno : listing_make(&listing, hub, select);

        head = listing.count * sizeof(*listing.records);
        if (!r)
                r = bt_write_all(fd, listing.records, head);
        if (!r)
                r = bt_write_all(fd, listing.strings, listing.strings_bytes);
        if (!r)
                r = bt_client_send(client, BT_CTL_CHILDREN, fd, listing.count, head + listing.strings_bytes);
        free(listing.records);
        free(listing.strings);
        if (r)
                bt_client_answer(client, BT_CTL_FAILED, "the list could not be made or sent");
        else
                bt_client_answer(client, BT_CTL_OK, "");
}

/* ---- results ---- */

static void request_result(struct bt_client *client, struct bt_live_waiter *waiter, struct bt_hub *hub, uint64_t number, uint32_t flags)
{
        struct bt_live *live = bt_live_find(hub, number);

        if (!live)
                bt_client_answer(client, BT_CTL_NO_SUCH,
                                 "there is no such request: results are kept for ten minutes, and not over a restart of the hub");
        else if (live->over_ns || (flags & BT_CTL_LIVE_NO_WAIT))
                bt_live_tell(client, live);
        else
                bt_live_wait(live, waiter);
}

/* ---- all ---- */

void bt_live_request(struct bt_client *client, struct bt_live_waiter *waiter, struct bt_hub *hub, const struct bt_ctl_request *request, int fd)
{
        BT_CLEANUP(bt_closep) int taken = fd;
        struct bt_ctl_live ask = request->live;

        select_close(&ask.select);
        if ((ask.flags & ~FLAGS_KNOWN) || ask.reserved || (ask.deadline_ns > BT_PLAN_NS_MAX)) {
                bt_client_answer(client, BT_CTL_INVALID, "this hub speaks another version of the control protocol");
                return;
        }
        if (hub->stopping && request->op != BT_CTL_CHILD_LIST && request->op != BT_CTL_CHILD_RESULT) {
                bt_client_answer(client, BT_CTL_FAILED, "the hub is stopping");
                return;
        }
        switch (request->op) {
        case BT_CTL_CHILD_ADD:
                request_add(client, waiter, hub, &ask, taken);
                break;
        case BT_CTL_CHILD_REMOVE:
        case BT_CTL_CHILD_STOP:
        case BT_CTL_CHILD_START:
        case BT_CTL_CHILD_RESTART:
                request_remove(client, waiter, hub, &ask, verb_of(request->op, ask.flags), taken);
                break;
        case BT_CTL_CHILD_LIST:
                request_list(client, hub, &ask.select);
                break;
        default:
                request_result(client, waiter, hub, request->sequence, ask.flags);
                break;
        }
}
