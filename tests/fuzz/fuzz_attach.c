/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another process could have put into a segment: attach it, look at it, use it as its owner would. Nothing may be read outside of it, no
 * assertion may fail, no call may hang. What is refused is refused with the outcome of its header.
 *
 *      fuzz_attach [FILE|DIR]...   runs inputs, then as many mutations of each (BATON_SEED, BATON_LONG)
 *      fuzz_attach --make DIR      writes the corpus: one input of each kind that is accepted, and some that are nearly so
 *
 * With -DBATON_LIBFUZZER there is no main(), and libFuzzer drives LLVMFuzzerTestOneInput().
 *
 *      input:  kind | seals | pages | odd bytes | contents, followed by zeroes up to pages * 4096 + odd
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "shm/arena.h"
#include "shm/baton.h"
#include "shm/desk.h"
#include "shm/link.h"
#include "shm/mailbox.h"
#include "shm/node.h"
#include "shm/share.h"
#include "tests/support/seed.h"

#define HEAD_BYTES 4
#define INPUT_BYTES_MAX (64 * 1024)
#define MUTATIONS 2000

enum kind { KIND_NODE, KIND_LINK, KIND_BATON, KIND_ARENA, KIND_MAILBOX, KIND_DESK, KINDS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint64_t accepted[KINDS], refused[KINDS];

/* ---- one segment ---- */

static int segment_of(const uint8_t *data, size_t bytes)
{
        uint64_t whole = (uint64_t)(data[2] % 33) * BT_PAGE_BYTES + data[3] % 2 * 77;
        int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        size_t there = bytes - HEAD_BYTES < whole ? bytes - HEAD_BYTES : whole;

        bt_assert(fd >= 0 && ftruncate(fd, (off_t)whole) == 0);
        if (there)
                bt_assert(pwrite(fd, data + HEAD_BYTES, there, 0) == (ssize_t)there);
        /* Most inputs are sealed: an unsealed one is refused, and that is soon tried. */
        if (data[1] % 8 != 7)
                bt_assert(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
        return fd;
}

static int use_node(int fd)
{
        struct bt_node_view view;
        struct bt_slot slot;
        int r = bt_node_attach(&view, fd);

        if (r)
                return r;
        for (uint32_t i = 0; i < view.slot_count + 2 && i < 300; i++) {
                if (!bt_node_read(&view, i, &slot))
                        continue;
                bt_assert(i < view.slot_count && strlen(slot.id) > 0 && strlen(slot.id) < sizeof(slot.id));
                bt_assert(strlen(slot.exec) < sizeof(slot.exec) && strlen(slot.note) < sizeof(slot.note));
                bt_assert(bt_phase_name(slot.phase)[0]);
        }
        bt_assert(!bt_node_read(&view, UINT32_MAX, &slot));
        bt_node_detach(&view);
        return 0;
}

static void use_ring(struct bt_ring *ring)
{
        struct bt_ring_end in, out;
        struct bt_rec rec = {.type = BT_MSG_READY};
        int count = 0;

        bt_assert(bt_ring_valid(ring)); /* bt_link_valid() has said so */
        bt_ring_end_init_push(&in, ring);
        bt_ring_end_init_pop(&out, ring);
        while (bt_ring_push(&in, &rec) == 0)
                bt_assert(++count <= BT_RING_RECS);
        for (count = 0; bt_ring_pop(&out, &rec) == 0;)
                bt_assert(++count <= BT_RING_RECS);
        bt_assert(count == BT_RING_RECS);
}

static int use_link(int fd)
{
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_link *link;
        int r = bt_seg_attach(&seg, fd, BT_MAGIC_LINK, BT_PAGE_BYTES, 1);

        if (r)
                return r;
        link = seg.at;
        if (bt_link_valid(link)) {
                use_ring(&link->to_child);
                use_ring(&link->to_hub);
        } else {
                r = BT_SEG_E_LAYOUT;
        }
        bt_seg_detach(&seg);
        return r;
}

/* Any process may find any word there. Whatever is done to it, a valid word stays valid, and nobody but the holder serves. */
static void use_word(struct bt_baton *baton)
{
        uint64_t word = atomic_load(&baton->word);
        struct bt_word w = bt_word_unpack(word);
        const uint64_t numbers[] = {0, 1, w.holder, w.heir, w.holder + 1, BT_INC_MAX, BT_INC_MAX + 1, UINT64_MAX};
        static _Atomic uint32_t called = 1;

        for (size_t i = 0; i < 64 * 8; i++) {
                uint64_t a = numbers[i / 8 % 8], b = numbers[i % 8];
                int r = BT_BATON_E_STALE;

                atomic_store(&baton->word, word);
                switch (i / 64) {
                case 0:
                        r = bt_baton_grant(baton, a);
                        break;
                case 1:
                        r = bt_baton_offer(baton, a, b);
                        break;
                case 2:
                        r = bt_baton_withdraw(baton, a, b);
                        break;
                case 3:
                        r = bt_baton_pass(baton, a, b);
                        break;
                case 4:
                        r = bt_baton_confirm(baton, a);
                        break;
                case 5:
                        r = bt_baton_give_back(baton, a, b);
                        break;
                case 6:
                        r = bt_baton_release(baton, a);
                        break;
                default:
                        r = bt_baton_reclaim(baton, a);
                        break;
                }
                bt_assert(r ? atomic_load(&baton->word) == word : bt_word_valid(atomic_load(&baton->word)));
        }
        (void)bt_baton_park(baton, w.holder, &called, 0, 0, 0); /* called already: never sleeps */
}

static int use_baton(int fd)
{
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_baton *baton;
        int r = bt_seg_attach(&seg, fd, BT_MAGIC_BATON, sizeof(struct bt_baton), 1);

        if (r)
                return r;
        baton = seg.at;
        use_word(baton);
        if (bt_baton_valid(baton)) {
                bt_assert(strlen(baton->id) < sizeof(baton->id));
                if (baton->form == BATON_STATE_BLOB)
                        bt_assert(bt_baton_blob_off(baton, BT_BLOB_SLOTS - 1) + baton->state_bytes_max == baton->head.bytes);
                if (baton->form == BATON_STATE_ARENA)
                        bt_assert(baton->state_off + baton->state_bytes_max == baton->head.bytes);
        } else {
                r = BT_SEG_E_LAYOUT;
        }
        bt_seg_detach(&seg);
        return r;
}

/* An arena is used only when its head is valid; its lists are its own holder's business (an assertion there is one against itself). */
static int use_arena(int fd)
{
        struct stat st;
        struct bt_arena *arena;
        uint64_t bytes;
        int r = BT_SEG_E_LAYOUT;

        bt_assert(fstat(fd, &st) == 0);
        bytes = (uint64_t)st.st_size & ~(uint64_t)(BT_PAGE_BYTES - 1);
        if (bytes < BT_ARENA_BYTES_MIN)
                return r;
        arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        bt_assert(arena != MAP_FAILED);
        if (bt_arena_valid(arena, bytes)) {
                const char *root = bt_arena_root(arena);

                bt_assert(!root || (root >= (char *)arena + sizeof(*arena) && root < (char *)arena + bytes));
                for (size_t i = 0; i < BT_ARENA_CLASSES; i++)
                        arena->free[i] = 0;
                for (size_t i = 0; i < 4000; i += 100) {
                        char *block = bt_arena_alloc(arena, i);

                        if (block)
                                memset(block, 1, i);
                        bt_arena_free(arena, block);
                }
                r = 0;
        }
        (void)munmap(arena, bytes);
        return r;
}

/* As a producer, as the consumer, as the hub: none leaves the segment, none asserts, each comes back. */
/* Two members, one of which dies again and again. */
static void use_share(struct bt_mailbox_view *view)
{
        static uint64_t room[BT_MAILBOX_BYTES_MAX / 8];
        static struct bt_desk desks[2];
        const struct bt_letter letter = {.bytes = 1};

        memset((void *)desks, 0, sizeof(desks));
        for (uint32_t i = 0; i < 2 * view->slot_count && i < 100; i++) {
                struct bt_desk *desk = &desks[i % 2];
                struct bt_taken taken;
                int r = bt_mailbox_push(view, 1, &letter, "x", NULL);

                bt_assert(r <= BT_MAILBOX_E_CLOSED);
                r = bt_share_take(view, desk, 10 + i % 2, &taken, room);
                bt_assert(r <= BT_MAILBOX_E_BROKEN && (r || taken.letter.bytes <= view->payload_bytes));
                if (i % 3)
                        bt_share_done(view, desk);
                else
                        (void)bt_share_settle(view, desk);
                bt_share_put_back(view, i, (uint32_t)room[0]);
                (void)bt_mailbox_repair(view, bt_share_waits_for(view));
                (void)bt_share_sleep(view, desk);
                (void)bt_mailbox_must_ring(view);
                (void)bt_share_more(view);
                bt_assert(desk->claim == 0 && bt_mailbox_depth(view) <= view->slot_count);
        }
        (void)bt_share_valid(view);
}

/* What a member left on its desk is read by the hub, which settles it against a queue of others. */
static void use_claim(struct bt_desk *desk)
{
        const struct bt_mailbox_shape shape = {.slot_count = 4, .payload_bytes = 8, .shared = true};
        const struct bt_letter letter = {.bytes = 1};
        static struct bt_seg seg = BT_SEG_NULL;
        static struct bt_mailbox_view view;
        int fd = -1;

        if (!seg.at) {
                bt_assert(!bt_mailbox_create(&seg, &fd, "web", &shape) && bt_mailbox_look(&view, &seg));
                (void)bt_close(fd);
        }
        (void)bt_mailbox_push(&view, 1, &letter, "x", NULL);
        (void)bt_share_settle(&view, desk);
        bt_assert(desk->claim == 0);
        (void)bt_share_settle(&view, desk);
}

static int use_mailbox(int fd)
{
        static uint64_t room[BT_MAILBOX_BYTES_MAX / 8];
        const struct bt_letter letter = {.bytes = 1};
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_mailbox_view view;
        int r = bt_mailbox_attach(&seg, &view, fd);

        if (r)
                return r;
        if (view.shared)
                use_share(&view);
        for (uint64_t pos = 0; pos < 2 * (uint64_t)view.slot_count && pos < 100; pos++) {
                struct bt_taken taken;

                r = bt_mailbox_push(&view, 1, &letter, "x", NULL);
                bt_assert(r <= BT_MAILBOX_E_CLOSED);
                r = bt_mailbox_take(&view, pos, &taken, room);
                bt_assert(r || taken.letter.bytes <= view.payload_bytes);
                if (r != BT_MAILBOX_E_EMPTY && r != BT_MAILBOX_E_BUSY)
                        bt_mailbox_free(&view, pos);
                (void)bt_mailbox_repair(&view, bt_mailbox_waits_for(&view, pos));
                (void)bt_mailbox_withdraw(&view, 1, pos);
                bt_assert(bt_mailbox_depth(&view) <= view.slot_count);
        }
        (void)bt_mailbox_valid(&view, 0);
        bt_mailbox_resume(&view, 1);
        bt_seg_detach(&seg);
        return 0;
}

static int use_desk(int fd)
{
        static union {
                struct bt_arena head;
                char room[BT_ARENA_BYTES_MIN];
        } arena;
        struct bt_baton baton = {.head = {.epoch = 1}, .bracket = 1};
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_desk *desk;
        int r = bt_desk_attach(&seg, fd);

        if (r)
                return r;
        desk = seg.at;
        bt_arena_init(&arena.head, sizeof(arena));
        use_claim(desk);
        (void)bt_desk_repairs(desk, &baton);
        r = bt_desk_recover(desk, &baton, &arena.head, sizeof(arena));
        bt_assert(r == 0 || r == -EBADMSG);
        if (bt_desk_answer(desk))
                bt_assert(desk->answer_letter.bytes <= desk->box_bytes);
        bt_arena_init(&arena.head, sizeof(arena));
        (void)bt_desk_begin(desk, 5, &baton);
        (void)bt_desk_save(desk, &arena.head, arena.room + 100, 50);
        bt_assert(bt_desk_put_answer(desk, 1, &(struct bt_letter){.bytes = 3}, "abc") == 0 || desk->box_bytes < 3);
        bt_assert(bt_desk_undo(desk, &arena.head, sizeof(arena)) == 0);
        bt_seg_detach(&seg);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
        static int (*const uses[KINDS])(int) = {use_node, use_link, use_baton, use_arena, use_mailbox, use_desk};
        int fd, r;

        if (bytes < HEAD_BYTES)
                return 0;
        fd = segment_of(data, bytes);
        r = uses[data[0] % KINDS](fd);
        bt_assert(r == 0 || r == BT_SEG_E_LAYOUT || r == BT_SEG_E_UNSEALED);
        if (r)
                refused[data[0] % KINDS]++;
        else
                accepted[data[0] % KINDS]++;
        (void)bt_close(fd);
        return 0;
}

#ifndef BATON_LIBFUZZER
/* ---- corpus ---- */

static void save(const char *dir, const char *name, enum kind kind, const void *contents, uint64_t bytes)
{
        const uint8_t head[HEAD_BYTES] = {(uint8_t)kind, 0, (uint8_t)(bytes / BT_PAGE_BYTES), 0};
        char path[4096];
        int fd;

        while (bytes && ((const char *)contents)[bytes - 1] == 0) /* the rest is zeroes anyway */
                bytes--;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        bt_assert(fd >= 0 && bt_write_all(fd, head, sizeof(head)) == 0 && bt_write_all(fd, contents, bytes) == 0);
        (void)bt_close(fd);
}

static void make_node(const char *dir)
{
        struct bt_node_owner owner = BT_NODE_OWNER_NULL;
        struct bt_slot *slot;

        bt_assert(bt_node_create(&owner, "shop", "local", 8) == 0);
        owner.node->head.epoch = 1; /* the same corpus every time */
        owner.node->hub_pid = 1;
        owner.node->started_wall_ns = 1;
        for (uint32_t i = 0; i < 3; i++) {
                slot = bt_node_begin(&owner, i);
                (void)snprintf(slot->id, sizeof(slot->id), "web/%u", i);
                slot->phase = BT_PHASE_RUNNING;
                slot->incarnation = i + 1;
                if (i < 2)
                        bt_node_end(slot);
        }
        save(dir, "node", KIND_NODE, owner.node, owner.seg.bytes);
        owner.node->slot_count = UINT32_MAX;
        save(dir, "node-too-many-slots", KIND_NODE, owner.node, owner.seg.bytes);
        bt_node_destroy(&owner);
}

static void make_link(const char *dir)
{
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_rec rec = {.type = BT_MSG_HANDOVER, .token = 8};
        struct bt_ring_end end;
        struct bt_link *link;
        int fd = -1;

        bt_assert(bt_link_create(&seg, &fd, 7, BATON_REASON_HOT) == 0);
        link = seg.at;
        link->head.epoch = 1;
        for (int i = 0; i < _BT_LINK_FD_N; i++)
                link->fds[i] = 10 + i;
        bt_ring_end_init_push(&end, &link->to_child);
        bt_assert(bt_ring_push(&end, &rec) == 0);
        save(dir, "link", KIND_LINK, link, seg.bytes);
        link->to_hub.head = 17;
        save(dir, "link-broken-ring", KIND_LINK, link, seg.bytes);
        bt_seg_detach(&seg);
        (void)bt_close(fd);
}

static void make_baton(const char *dir, const char *name, uint32_t form, uint64_t word)
{
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_baton *baton;
        int fd = -1;

        bt_assert(bt_baton_create(&seg, &fd, "web/1", form, BT_ARENA_BYTES_MIN) == 0);
        baton = seg.at;
        baton->head.epoch = 1;
        baton->word = word;
        {
                uint8_t *whole = calloc(1, baton->head.bytes);

                bt_assert(whole);
                memcpy(whole, baton, sizeof(*baton));
                save(dir, name, KIND_BATON, whole, baton->head.bytes);
                free(whole);
        }
        bt_seg_detach(&seg);
        (void)bt_close(fd);
}

static void make_mailbox(const char *dir)
{
        const struct bt_mailbox_shape shape = {.slot_count = 8, .payload_bytes = 40, .region_bytes = 100};
        const struct bt_letter letter = {.call = 1, .flags = BT_LETTER_CALL, .bytes = 4};
        struct bt_mailbox_view view;
        struct bt_seg seg = BT_SEG_NULL;
        uint64_t pos;
        int fd = -1;

        bt_assert(bt_mailbox_create(&seg, &fd, "web/0", &shape) == 0 && bt_mailbox_look(&view, &seg));
        view.mb->head.epoch = 1;
        for (int i = 0; i < 3; i++)
                bt_assert(bt_mailbox_push(&view, 5, &letter, "text", NULL) == 0);
        bt_assert(bt_mailbox_claim(&view, 6, &pos) == 0 && bt_mailbox_withdraw(&view, 5, 1) == 0);
        save(dir, "mailbox", KIND_MAILBOX, seg.at, seg.bytes);
        view.mb->slot_count = 7;
        save(dir, "mailbox-seven-slots", KIND_MAILBOX, seg.at, seg.bytes);
        bt_seg_detach(&seg);
        (void)bt_close(fd);
}

static void make_share(const char *dir)
{
        const struct bt_mailbox_shape shape = {.slot_count = 4, .payload_bytes = 40, .shared = true};
        const struct bt_letter letter = {.bytes = 4};
        static struct bt_desk desks[2];
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_mailbox_view view;
        struct bt_taken taken;
        uint64_t room[8];
        int fd = -1;

        bt_assert(bt_mailbox_create(&seg, &fd, "web", &shape) == 0 && bt_mailbox_look(&view, &seg));
        view.mb->head.epoch = 1;
        for (int i = 0; i < 4; i++)
                bt_assert(bt_mailbox_push(&view, 5, &letter, "text", NULL) == 0);
        bt_assert(bt_share_take(&view, &desks[0], 10, &taken, room) == 0 && bt_share_take(&view, &desks[1], 11, &taken, room) == 0);
        bt_share_done(&view, &desks[1]);
        (void)bt_share_sleep(&view, &desks[1]);
        save(dir, "mailbox-shared", KIND_MAILBOX, seg.at, seg.bytes);
        view.mb->next = UINT64_MAX;
        save(dir, "mailbox-shared-next", KIND_MAILBOX, seg.at, seg.bytes);
        bt_seg_detach(&seg);
        (void)bt_close(fd);
}

static void make_desk(const char *dir)
{
        static const struct bt_baton baton = {.head = {.epoch = 1}};
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_desk *desk;
        struct bt_arena *arena = calloc(1, BT_ARENA_BYTES_MIN);
        int fd = -1;

        bt_assert(arena && bt_desk_create(&seg, &fd, 4096, 4096) == 0);
        desk = seg.at;
        desk->head.epoch = 1;
        bt_arena_init(arena, BT_ARENA_BYTES_MIN);
        (void)bt_desk_begin(desk, 0, &baton);
        bt_assert(bt_desk_save(desk, arena, &arena->top, 24) == 0 && bt_desk_save(desk, arena, arena + 1, 5) == 0);
        save(dir, "desk", KIND_DESK, desk, seg.bytes);
        desk->claim = 2;
        desk->claim_owner = 10;
        save(dir, "desk-claim", KIND_DESK, desk, seg.bytes);
        desk->claim = 0;
        desk->claim_owner = 0;
        bt_assert(bt_desk_put_answer(desk, 7, &(struct bt_letter){.bytes = 4}, "text") == 0);
        bt_desk_commit(desk);
        save(dir, "desk-answer", KIND_DESK, desk, seg.bytes);
        free(arena);
        bt_seg_detach(&seg);
        (void)bt_close(fd);
}

static void make_arena(const char *dir)
{
        struct bt_arena *arena = calloc(1, BT_ARENA_BYTES_MIN);
        char *block;

        bt_assert(arena);
        bt_arena_init(arena, BT_ARENA_BYTES_MIN);
        block = bt_arena_alloc(arena, 100);
        memset(block, 'b', 100);
        bt_arena_set_root(arena, block);
        bt_arena_free(arena, bt_arena_alloc(arena, 50));
        save(dir, "arena", KIND_ARENA, arena, BT_ARENA_BYTES_MIN);
        arena->top = BT_ARENA_BYTES_MIN + 8;
        save(dir, "arena-top-outside", KIND_ARENA, arena, BT_ARENA_BYTES_MIN);
        free(arena);
}

static int make(const char *dir)
{
        make_node(dir);
        make_link(dir);
        make_baton(dir, "baton-none-held", BATON_STATE_NONE, bt_word_pack(BT_WORD_HELD, 3, 0));
        make_baton(dir, "baton-blob-offered", BATON_STATE_BLOB, bt_word_pack(BT_WORD_OFFERED, 3, 4));
        make_baton(dir, "baton-arena-passed", BATON_STATE_ARENA, bt_word_pack(BT_WORD_PASSED, 4, 3));
        make_baton(dir, "baton-arena-scribbled", BATON_STATE_ARENA, UINT64_C(0xdeadbeefdeadbeef));
        make_arena(dir);
        make_mailbox(dir);
        make_share(dir);
        make_desk(dir);
        return 0;
}

/* ---- running ---- */

/* A few bytes, words or bits; members near the start matter most, so half of all changes go there. */
static size_t mutate(uint8_t *data, size_t bytes, struct seed *seed)
{
        for (uint64_t i = 0, n = 1 + seed_below(seed, 4); i < n; i++) {
                size_t at = seed_below(seed, seed_below(seed, 2) && bytes > 600 ? 600 : bytes);
                uint64_t word = seed_below(seed, 3) ? seed_below(seed, 40) - 10 : seed_next(seed);

                switch (seed_below(seed, 3)) {
                case 0:
                        data[at] ^= (uint8_t)(1u << seed_below(seed, 8));
                        break;
                case 1:
                        at = HEAD_BYTES + (at & ~(size_t)7);
                        if (at + 8 <= bytes)
                                memcpy(data + at, &word, 8);
                        break;
                default:
                        at = HEAD_BYTES + (at & ~(size_t)3);
                        if (at + 4 <= bytes)
                                memcpy(data + at, &word, 4);
                }
        }
        return seed_below(seed, 20) ? bytes : 1 + seed_below(seed, bytes);
}

static void run_file(const char *path, struct seed *seed)
{
        static uint8_t original[INPUT_BYTES_MAX], data[INPUT_BYTES_MAX];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t bytes = fd < 0 ? -1 : read(fd, original, sizeof(original));

        if (bytes <= 0) {
                (void)fprintf(stderr, "cannot read %s, or it is empty\n", path);
                exit(1);
        }
        (void)bt_close(fd);
        (void)LLVMFuzzerTestOneInput(original, (size_t)bytes);
        for (uint64_t i = 0; i < seed_rounds(MUTATIONS); i++) {
                memcpy(data, original, (size_t)bytes);
                (void)LLVMFuzzerTestOneInput(data, mutate(data, (size_t)bytes, seed));
        }
}

static void run(const char *path, struct seed *seed)
{
        DIR *dir = opendir(path);
        struct dirent *entry;
        char file[4096];

        if (!dir) {
                run_file(path, seed);
                return;
        }
        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.')
                        continue;
                (void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
                run_file(file, seed);
        }
        (void)closedir(dir);
}

int main(int argc, char **argv)
{
        struct seed seed = seed_new();
        bool all = true;

        if (argc == 3 && !strcmp(argv[1], "--make"))
                return make(argv[2]);
        if (argc < 2) {
                (void)fprintf(stderr, "usage: %s FILE|DIR...\n", argv[0]);
                return 2;
        }
        for (int i = 1; i < argc; i++)
                run(argv[i], &seed);
        for (int i = 0; i < KINDS; i++) {
                printf("kind %d: %llu accepted, %llu refused\n", i, (unsigned long long)accepted[i], (unsigned long long)refused[i]);
                all &= accepted[i] && refused[i];
        }
        return all || argc > 2 ? 0 : 1; /* a corpus that is all refused tests nothing */
}
#endif
