/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints, the child's side: a whole copy of the state beside the living one, in case this process is killed.
 *
 *      blob      capture(CHECKPOINT) ─► free slot ─► sum ─► description ─► one store ─► the hub is told
 *      arena     the used part       ─► free copy ─┘
 *
 * shm/checkpoint.h has the protocol; a death at any instruction leaves the last checkpoint whole. No thread and no timer: the program calls
 * baton_child_checkpoint() where it likes, or the hub asks (checkpoint_every) and the program's own dispatch() answers, between two items of work.
 *
 * An arena is its own best checkpoint: one whose holder died outside a bracket is used as it is. The copy counts when it is torn. It is written
 * with pwrite(2), not through a mapping: three more mappings of the arena's size would cost page tables in each process, and the kernel copies as
 * fast as we can. capture() is not run for it, because it is not run before a crash either.
 *
 * A capture for a swap or a stop is a whole state as well; in a child that keeps checkpoints it becomes the last one (I5: in others, a state
 * that was delivered must not come back).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "child-api/child.h"
#include "shm/checkpoint.h"
#include "shm/record.h"

#define COPY_BYTES (UINT64_C(256) << 10) /* summed and copied while it is in the cache */

/* ---- telling the hub ---- */

/*
 * A program may keep checkpoints faster than the hub listens, and the ring is for more important things. So one notice is on its way at a time;
 * the hub takes it, then reads the word. Both sides have a full fence in between: it sees our word, or we see that it took the notice.
 */
static void tell(struct baton_child *child, int error, uint64_t bytes, bool asked)
{
        uint32_t taken;

        atomic_thread_fence(memory_order_seq_cst);
        taken = child->link ? atomic_load(&child->link->to_hub.tail) : 0;
        if (!asked && (int32_t)(taken - child->checkpoint_said) < 0)
                return;
        if (!bt_child_say(child, BT_MSG_CHECKPOINTED, child->checkpoint, (uint64_t)-error, bytes, asked))
                child->checkpoint_said = child->outbox.cursor;
}

/* ---- blob ---- */

bool bt_child_checkpoints(const struct baton_child *child)
{
        return child->baton->checkpoint_slots != 0 || atomic_load(&child->baton->checkpoint) != 0;
}

/* Who wrote it, when. */
static struct bt_state_meta describe_now(const struct baton_child *child)
{
        struct bt_state_meta meta = {
                .version = child->ops->version, .version_oldest = child->ops->version_oldest, .incarnation = child->incarnation};

        if (child->ops->schema)
                memcpy(meta.schema, child->ops->schema, strlen(child->ops->schema)); /* at most 63 bytes: see open() */
        meta.boot_ns = bt_boot_ns();
        meta.wall_ns = bt_wall_ns();
        return meta;
}

void bt_child_publish_capture(struct baton_child *child, const struct baton_capture *capture)
{
        if (child->arena || child->baton->form != BATON_STATE_BLOB || !bt_child_checkpoints(child))
                return;
        if (capture->committed)
                child->checkpoint = bt_checkpoint_publish(child->baton, capture->slot_idx, &child->baton->meta);
        else
                child->checkpoint = bt_checkpoint_retract(child->baton);
}

static int checkpoint_blob(struct baton_child *child, uint64_t *ret_bytes)
{
        struct baton_capture capture = {.child = child, .purpose = BATON_CAPTURE_CHECKPOINT, .version = child->ops->version};
        struct bt_state_meta meta;
        int r = 0;

        BT_POINT("checkpoint.begin");
        child->capturing = child->checkpointing = true;
        if (child->ops->capture)
                r = child->ops->capture(child, &capture, child->ctx);
        child->capturing = child->checkpointing = false;
        if (r < 0)
                return r;
        BT_POINT("checkpoint.written");
        if (!capture.committed)
                return -ENODATA; /* the program has nothing to keep now: the last one stays */
        meta = describe_now(child);
        meta.bytes = *ret_bytes = capture.bytes;
        meta.xxh3 = bt_capture_sum(&capture);
        BT_POINT("checkpoint.summed");
        child->checkpoint = bt_checkpoint_publish(child->baton, capture.slot_idx, &meta);
        return 0;
}

/* ---- arena ---- */

static int copy_out(int fd, const char *from, uint64_t bytes, uint64_t off)
{
        while (bytes) {
                ssize_t n = pwrite(fd, from, bytes, (off_t)off);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                from += n;
                off += (uint64_t)n;
                bytes -= (uint64_t)n;
        }
        return 0;
}

static int copy_in(int fd, char *to, uint64_t bytes, uint64_t off)
{
        while (bytes) {
                ssize_t n = pread(fd, to, bytes, (off_t)off);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                to += n;
                off += (uint64_t)n;
                bytes -= (uint64_t)n;
        }
        return 0;
}

static int checkpoint_arena(struct baton_child *child, uint64_t *ret_bytes)
{
        struct bt_state_meta meta = describe_now(child);
        uint32_t idx = bt_checkpoint_slot(child->baton);
        uint64_t off, bytes = child->arena->top;
        struct bt_sum sum;
        int r = 0;

        if (idx == UINT32_MAX)
                return -EOPNOTSUPP;
        BT_POINT("checkpoint.begin");
        off = bt_checkpoint_off(child->baton, idx);
        bt_sum_init(&sum);
        for (uint64_t done = 0; !r && done < bytes; done += COPY_BYTES) {
                const char *from = (const char *)child->arena + done;
                uint64_t part = bytes - done < COPY_BYTES ? bytes - done : COPY_BYTES;

                r = copy_out(child->baton_fd, from, part, off + done);
                bt_sum_add(&sum, from, part);
        }
        if (r)
                return r;
        BT_POINT("checkpoint.written");
        meta.bytes = *ret_bytes = bytes;
        meta.xxh3 = bt_sum_end(&sum);
        BT_POINT("checkpoint.summed");
        child->checkpoint = bt_checkpoint_publish(child->baton, idx, &meta);
        return 0;
}

/* What lies behind the copy is what the dead one did since: back to zeroes, as above any arena's top. */
static int clear_behind(struct baton_child *child, uint64_t bytes)
{
        uint64_t end = child->baton->state_bytes_max;
        uint64_t page = (bytes + BT_PAGE_BYTES - 1) & ~(uint64_t)(BT_PAGE_BYTES - 1);

        memset((char *)child->arena + bytes, 0, page - bytes);
        if (page < end && fallocate(child->baton_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    (off_t)(child->baton->state_off + page), (off_t)(end - page)) < 0)
                return -errno;
        return 0;
}

/*
 * Puts the last checkpoint in the place of a torn arena, when there is one. The bracket stays set until all is done: whoever dies here leaves it torn,
 * with the checkpoint still whole, for the next one to try. 0 also when there is nothing to repair, or nothing to repair it with.
 */
int bt_child_repair_arena(struct baton_child *child)
{
        struct bt_baton *baton = child->baton;
        struct bt_checkpoint last;
        int r;

        if (!child->supervised || !atomic_load(&baton->bracket) || !baton->checkpoint_slots || !bt_checkpoint_read(baton, &last))
                return 0;
        BT_POINT("repair.begin");
        r = copy_in(child->baton_fd, (char *)child->arena, last.meta.bytes, bt_checkpoint_off(baton, last.meta.slot_idx));
        if (!r)
                r = clear_behind(child, last.meta.bytes);
        if (r)
                return r;
        BT_POINT("repair.copied");
        if (bt_sum_of(child->arena, last.meta.bytes) != last.meta.xxh3 || child->arena->top != last.meta.bytes ||
            !bt_arena_valid(child->arena, baton->state_bytes_max))
                return -BATON_E_CORRUPT;
        atomic_store(&baton->bracket, 0);
        return 0;
}

/* ---- both ---- */

static int checkpoint(struct baton_child *child, bool asked)
{
        uint64_t bytes = 0;
        int r;

        if (child->bracket_depth || child->capturing || (child->stage != BT_CHILD_HOLDING && child->stage != BT_CHILD_LEAVING))
                r = -BATON_E_PROTOCOL;
        else if (!bt_baton_serves(child->baton, child->incarnation))
                r = -BATON_E_STALE;
        else if (child->baton->form == BATON_STATE_BLOB)
                r = checkpoint_blob(child, &bytes);
        else if (child->arena)
                r = checkpoint_arena(child, &bytes);
        else
                r = -EOPNOTSUPP;
        BT_POINT("checkpoint.published");
        if (r < 0 && asked)
                bt_child_say_why(child, "checkpoint failed", r);
        if (r >= 0 || asked)
                tell(child, r < 0 ? r : 0, bytes, asked);
        BT_POINT("checkpoint.told");
        return r < 0 ? r : 0;
}

int baton_child_checkpoint(struct baton_child *child)
{
        if (bt_child_forked())
                return -BATON_E_FORKED;
        if (!child->supervised)
                return -ENOTCONN;
        return checkpoint(child, false);
}

uint64_t baton_child_checkpointed(const struct baton_child *child)
{
        return child->checkpoint;
}

uint64_t baton_child_durable(const struct baton_child *child)
{
        return atomic_load(&child->baton->durable);
}

/* ---- what the hub says ---- */

void bt_child_on_checkpoint(struct baton_child *child)
{
        (void)checkpoint(child, true);
}

/* The message says "look"; the hub has stored the number before it. The fence is the other half of the one in the hub: see tell(). */
void bt_child_on_durable(struct baton_child *child)
{
        uint64_t sequence;

        atomic_thread_fence(memory_order_seq_cst);
        sequence = atomic_load(&child->baton->durable);
        if (sequence <= child->durable)
                return;
        child->durable = sequence;
        if (child->ops->size >= offsetof(struct baton_child_ops, durable) + sizeof(child->ops->durable) && child->ops->durable)
                child->ops->durable(child, sequence, child->ctx);
}
