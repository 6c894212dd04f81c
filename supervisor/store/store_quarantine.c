/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record that failed its check is evidence: it is kept for whoever wants to know what happened, and it is never delivered again.
 *
 *      'R' len id part  ──►  'Q' len id wall part        all parts, one transaction
 *
 * At most BT_STORE_QUARANTINED_MAX a child; the oldest goes. Their times only grow, also where the clock was moved back, so "oldest" is the first key
 * and the newcomer is never the one that goes.
 *
 * The hub sets states aside, too, that are whole but of no use to it: too old, refused too often, of a schema that nobody here reads. Those that
 * lie in shared memory only are written straight to a place of their own.
 *
 * LMDB cannot rename a key, so the parts are copied. That costs what the state's put had cost, once, after a disk has lied.
 */
#include "supervisor/store/store_records.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "shm/record.h"
#include "supervisor/store/store_key.h"
#include "supervisor/store/store_tx.h"

static int move_part(struct bt_engine *engine, const struct bt_key *from, const struct bt_key *to)
{
        struct bt_value value;
        size_t bytes;
        void *room;
        int r = engine->ops->get(engine, from, &value);

        if (r)
                return r;
        /* The room is asked for first and the old value looked up again: a change would have moved it. */
        bytes = value.bytes;
        r = engine->ops->reserve(engine, to, bytes, &room);
        if (r)
                return r;
        r = engine->ops->get(engine, from, &value);
        if (r)
                return r;
        bt_assert(value.bytes == bytes);
        memcpy(room, value.at, bytes);
        BT_POINT("store.quarantine.part");
        return engine->ops->del(engine, from);
}

/* Counts a child's quarantined records, and finds the oldest's and the newest's time. */
static int quarantine_count(struct bt_engine *engine, const char *child, size_t *ret_count, uint64_t *ret_oldest,
                            uint64_t *ret_newest)
{
        struct bt_key from, prefix, key;
        struct bt_value value;
        size_t count = 0;
        int r;

        bt_key_child(&prefix, BT_KEY_KIND_QUARANTINE, child);
        from = prefix;
        for (;;) {
                uint64_t wall_ns;

                r = engine->ops->seek(engine, &from, &key, &value);
                if (r == BT_ENGINE_E_ABSENT || (!r && !bt_key_begins(&key, &prefix)))
                        break;
                if (r)
                        return r;
                if (key.bytes != prefix.bytes + 12) {
                        bt_key_after(&from, &key);
                        continue;
                }
                wall_ns = bt_key_number(&key, prefix.bytes, 8);
                if (!count++)
                        *ret_oldest = wall_ns;
                *ret_newest = wall_ns;
                bt_key_quarantine(&from, child, wall_ns, UINT32_MAX);
                bt_key_after(&from, &from);
        }
        *ret_count = count;
        return 0;
}

/* Makes place for one more and says under which time it goes: later than all others, also when the clock was moved back. */
static int quarantine_slot(struct bt_engine *engine, const char *child, uint64_t *ret_wall_ns)
{
        uint64_t oldest = 0, newest = 0, now = bt_wall_ns();
        size_t count = 0;
        int r;

        for (;;) {
                struct bt_key prefix;

                r = quarantine_count(engine, child, &count, &oldest, &newest);
                if (r)
                        return r;
                if (count < BT_STORE_QUARANTINED_MAX)
                        break;
                bt_key_quarantine(&prefix, child, oldest, 0);
                prefix.bytes -= 4;
                r = bt_tx_del_prefix(engine, &prefix);
                if (r)
                        return r;
        }
        *ret_wall_ns = count && newest >= now && newest < UINT64_MAX ? newest + 1 : now;
        return 0;
}

static int quarantine_body(struct bt_engine *engine, void *ctx)
{
        const char *child = *(const char **)ctx;
        struct bt_key prefix, from, to;
        struct bt_value value;
        uint64_t wall_ns;
        int r = quarantine_slot(engine, child, &wall_ns);

        if (r)
                return r;
        bt_key_child(&prefix, BT_KEY_KIND_RECORD, child);
        for (;;) {
                r = engine->ops->seek(engine, &prefix, &from, &value);
                if (r == BT_ENGINE_E_ABSENT || (!r && !bt_key_begins(&from, &prefix)))
                        break;
                if (r)
                        return r;
                bt_key_quarantine(&to, child, wall_ns, (uint32_t)bt_key_number(&from, prefix.bytes, 4));
                /* A key of another shape is nothing that this format writes; it would be found again for ever. */
                r = from.bytes == prefix.bytes + 4 ? move_part(engine, &from, &to)
                                                   : engine->ops->del(engine, &from);
                if (r)
                        return r;
        }
        BT_POINT("store.quarantine.before_commit");
        return 0;
}

/* move aside, put aside: the hub's own judgement */

struct move {
        const char *child;
        uint64_t sequence;
};

static int move_body(struct bt_engine *engine, void *ctx)
{
        const struct move *move = ctx;
        const char *child = move->child;
        struct bt_record record;
        struct bt_value value;
        struct bt_key key;
        int r;

        bt_key_record(&key, child, 0);
        r = engine->ops->get(engine, &key, &value);
        if (r)
                return r;
        /* A header that cannot be read here has no sequence; only "whatever is there" means it. */
        if (move->sequence && (bt_record_read(&record, value.at, value.bytes) || record.sequence != move->sequence))
                return BT_ENGINE_E_ABSENT;
        return quarantine_body(engine, &child);
}

int bt_records_move_aside(struct bt_engine *engine, const char *child, uint64_t sequence)
{
        struct move move = {.child = child, .sequence = sequence};

        return bt_tx_result(bt_tx_run(engine, true, 0, move_body, &move, NULL));
}

struct put_aside {
        const struct bt_store_item *item;
        uint64_t part_bytes;
};

static int put_aside_body(struct bt_engine *engine, void *ctx)
{
        const struct put_aside *put = ctx;
        uint64_t wall_ns;
        int r = quarantine_slot(engine, put->item->record.child, &wall_ns);

        return r ? r : bt_records_write(engine, put->item, put->part_bytes, wall_ns);
}

int bt_records_put_aside(struct bt_engine *engine, const struct bt_store_item *item, uint64_t part_bytes)
{
        struct put_aside put = {.item = item, .part_bytes = part_bytes};

        return bt_tx_result(bt_tx_run(engine, true, item->record.payload_bytes + sizeof(item->record), put_aside_body, &put, NULL));
}

void bt_records_quarantine(struct bt_engine *engine, const char *child, uint64_t payload_bytes)
{
        int r;

        BT_POINT("store.quarantine.begin");
        r = bt_tx_run(engine, true, payload_bytes, quarantine_body, &child, NULL);
        if (r)
                (void)bt_tx_result(r);
        else
                BT_POINT("store.quarantine.after_commit");
}
