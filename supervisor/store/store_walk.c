/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk over the pages of an LMDB 0.9 environment, on its side of <lmdb.h>: the format is not public, but it has been the same since 2011, and it says
 * its version. What is checked is what LMDB takes for granted:
 *
 *      meta (pages 0, 1) ─┬─ tree of free pages: leaves hold lists of page numbers ─── each in the file, in use nowhere, listed once
 *                         └─ tree of records: branch ... branch, leaf ─── overflow pages of a large value
 *
 *      each page          has its own number, is of one kind, the kind that its depth asks for, and is reached once
 *      its nodes          lie inside it, behind the array that points to them, with key and value, and fill it to its end, each place once
 *      what they point to lies inside what the newer meta page calls the end of the file
 *
 * Not checked: the order of keys (a search in a page out of order finds the wrong record or none; it does not leave the page), and contents: records have sums.
 *
 * Dropped: having a small process open the environment first. It would show what crashes a reader, not what would crash the first writer, and it takes a
 * process at each start of a hub.
 */
#include "supervisor/store/store_walk.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/store/store_engine.h"

#define MAGIC 0xbeefc0deu
#define DATA_VERSION 1
#define PAGE_BYTES_MIN 512
#define PAGE_BYTES_MAX 65536
#define DEPTH_MAX 32 /* LMDB's cursor has room for so many */
#define KEY_BYTES_MAX 511
#define PAGES_MAX (UINT64_C(1) << 34) /* 64 TiB in 4 KiB pages: the map's own limit, and then the bitmap has 2 GiB */
#define NO_PAGE UINT64_MAX

#define P_BRANCH   0x01u
#define P_LEAF     0x02u
#define P_OVERFLOW 0x04u
#define P_META     0x08u
#define F_BIGDATA  0x01u

struct page_head {
        uint64_t number;
        uint16_t pad;
        uint16_t flags;
        uint16_t lower; /* of branch and leaf: end of the array of offsets; of overflow: low half of the number of pages */
        uint16_t upper; /* where the nodes begin; high half */
};
_Static_assert(sizeof(struct page_head) == 16, "as in the file");

struct node_head {
        uint16_t lo;
        uint16_t hi;
        uint16_t flags;
        uint16_t key_bytes;
};
_Static_assert(sizeof(struct node_head) == 8, "as in the file");

struct tree {
        uint32_t pad; /* of the free tree: bytes of a page */
        uint16_t flags;
        uint16_t depth;
        uint64_t branch_pages;
        uint64_t leaf_pages;
        uint64_t overflow_pages;
        uint64_t entries;
        uint64_t root;
};
_Static_assert(sizeof(struct tree) == 48, "as in the file");

struct meta {
        uint32_t magic;
        uint32_t version;
        uint64_t address;
        uint64_t map_bytes;
        struct tree trees[2]; /* free pages, records */
        uint64_t last_page;
        uint64_t txn;
};
_Static_assert(sizeof(struct meta) == 136, "as in the file");

struct walk {
        int fd;
        uint32_t page_bytes;
        uint64_t last_page;
        uint8_t *seen; /* a bit a page */
        bool free_tree;
        int error; /* -errno; 0: what is wrong is the file */
};

static void walk_deinit(struct walk *walk)
{
        free(walk->seen);
}

/* ---- reading ---- */

/* What is behind the end is zeros: see store_lmdb.c. */
static bool read_at(struct walk *walk, void *room, size_t bytes, uint64_t off)
{
        size_t used = 0;

        while (used < bytes) {
                ssize_t n = pread(walk->fd, (char *)room + used, bytes - used, (off_t)(off + used));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        walk->error = -errno;
                        return false;
                }
                if (!n) {
                        memset((char *)room + used, 0, bytes - used);
                        return true;
                }
                used += (size_t)n;
        }
        return true;
}

static bool read_page(struct walk *walk, uint8_t *page, uint64_t number)
{
        struct page_head head;

        if (!read_at(walk, page, walk->page_bytes, number * walk->page_bytes))
                return false;
        memcpy(&head, page, sizeof(head));
        return head.number == number;
}

/* Each page has one place: false when it is not in the file, or was met before. */
static bool mark(struct walk *walk, uint64_t first, uint64_t count)
{
        if (first < 2 || first > walk->last_page || count > walk->last_page - first + 1)
                return false;
        for (uint64_t at = first; at < first + count; at++) {
                if (walk->seen[at / 8] & 1u << at % 8)
                        return false;
                walk->seen[at / 8] |= (uint8_t)(1u << at % 8);
        }
        return true;
}

/* ---- values ---- */

/* A list of free pages: how many, then their numbers, from the highest down. */
static bool free_list_valid(struct walk *walk, const uint8_t *value, size_t bytes)
{
        uint64_t count, number, before = NO_PAGE;

        if (bytes < sizeof(count))
                return false;
        memcpy(&count, value, sizeof(count));
        if (count > bytes / sizeof(count) - 1)
                return false;
        for (uint64_t i = 1; i <= count; i++, before = number) {
                memcpy(&number, value + i * sizeof(number), sizeof(number));
                if (number >= before || !mark(walk, number, 1))
                        return false;
        }
        return true;
}

static bool big_value_valid(struct walk *walk, uint64_t number, uint64_t bytes)
{
        struct page_head head;
        uint64_t pages, need = (sizeof(head) + bytes + walk->page_bytes - 1) / walk->page_bytes;
        uint8_t *value;
        bool valid;

        if (number > walk->last_page || !read_at(walk, &head, sizeof(head), number * walk->page_bytes))
                return false;
        pages = head.lower | (uint64_t)head.upper << 16;
        if (head.number != number || (head.flags & (P_BRANCH | P_LEAF | P_OVERFLOW | P_META)) != P_OVERFLOW || pages < need || !mark(walk, number, pages))
                return false;
        if (!walk->free_tree)
                return true;
        value = malloc(bytes + 1);
        if (!value)
                walk->error = -ENOMEM;
        valid = value && read_at(walk, value, bytes, number * walk->page_bytes + sizeof(head)) && free_list_valid(walk, value, bytes);
        free(value);
        return valid;
}

/* ---- pages ---- */

static bool leaf_node_valid(struct walk *walk, const uint8_t *page, uint32_t at, const struct node_head *node)
{
        uint64_t bytes = node->lo | (uint32_t)node->hi << 16, number;
        const uint8_t *value = page + at + sizeof(*node) + node->key_bytes;
        uint64_t in_page = node->flags == F_BIGDATA ? sizeof(number) : bytes;

        if (!node->key_bytes || node->key_bytes > KEY_BYTES_MAX || (node->flags && node->flags != F_BIGDATA) ||
            at + sizeof(*node) + node->key_bytes + in_page > walk->page_bytes)
                return false;
        if (!node->flags)
                return !walk->free_tree || free_list_valid(walk, value, bytes);
        memcpy(&number, value, sizeof(number));
        return big_value_valid(walk, number, bytes);
}

static bool page_valid(struct walk *walk, uint64_t number, uint32_t depth);

/* A tree has few levels: the depth was checked. NOLINTNEXTLINE(misc-no-recursion) */
static bool branch_node_valid(struct walk *walk, uint32_t at, const struct node_head *node, uint32_t depth)
{
        uint64_t number = node->lo | (uint64_t)node->hi << 16 | (uint64_t)node->flags << 32;

        return node->key_bytes <= KEY_BYTES_MAX && at + sizeof(*node) + node->key_bytes <= walk->page_bytes && page_valid(walk, number, depth - 1);
}

/* Nodes begin at even offsets and follow each other without a hole: LMDB moves them by their sizes when one is deleted. */
static uint32_t node_bytes(const struct node_head *node, uint32_t depth)
{
        uint64_t bytes = sizeof(*node) + node->key_bytes;

        if (depth == 1)
                bytes += node->flags & F_BIGDATA ? sizeof(uint64_t) : node->lo | (uint32_t)node->hi << 16;
        return bytes > PAGE_BYTES_MAX ? PAGE_BYTES_MAX + 1 : (uint32_t)(bytes + 1) & ~1u;
}

/* Where the nodes are, no matter what is in them. @taken: a byte for each two of the page, zeros. */
static bool nodes_packed(const struct walk *walk, const uint8_t *page, const struct page_head *head, uint32_t count, uint32_t depth, uint8_t *taken)
{
        uint32_t used = 0;

        for (uint32_t i = 0; i < count; i++) {
                struct node_head node;
                uint32_t bytes;
                uint16_t at;

                memcpy(&at, page + sizeof(*head) + i * sizeof(at), sizeof(at));
                if (at < head->upper || at % 2 || at + sizeof(node) > walk->page_bytes)
                        return false;
                memcpy(&node, page + at, sizeof(node));
                bytes = node_bytes(&node, depth);
                if (at + bytes > walk->page_bytes)
                        return false;
                for (uint32_t k = at / 2; k < (at + bytes) / 2; k++) {
                        if (taken[k]++)
                                return false;
                }
                used += bytes;
        }
        return used == walk->page_bytes - head->upper;
}

/* @page: with room for @taken behind it. NOLINTNEXTLINE(misc-no-recursion) */
static bool nodes_valid(struct walk *walk, uint8_t *page, uint32_t depth)
{
        struct page_head head;
        struct node_head node;
        uint32_t count, least = depth > 1 && !walk->free_tree ? 2 : 1; /* LMDB asserts it */
        uint16_t at;

        memcpy(&head, page, sizeof(head));
        if (head.lower < sizeof(head) || head.lower % 2 || head.lower > head.upper || head.upper > walk->page_bytes)
                return false;
        count = (head.lower - (uint32_t)sizeof(head)) / 2;
        if (count < least || !nodes_packed(walk, page, &head, count, depth, page + walk->page_bytes))
                return false;
        for (uint32_t i = 0; i < count; i++) {
                memcpy(&at, page + sizeof(head) + i * sizeof(at), sizeof(at));
                memcpy(&node, page + at, sizeof(node));
                if (depth > 1 ? !branch_node_valid(walk, at, &node, depth) : !leaf_node_valid(walk, page, at, &node))
                        return false;
        }
        return true;
}

/* @depth: 1: a leaf. NOLINTNEXTLINE(misc-no-recursion) */
static bool page_valid(struct walk *walk, uint64_t number, uint32_t depth)
{
        uint32_t kind = depth > 1 ? P_BRANCH : P_LEAF;
        struct page_head head;
        uint8_t *page;
        bool valid;

        if (!mark(walk, number, 1))
                return false;
        page = calloc(1, walk->page_bytes + walk->page_bytes / 2);
        if (!page) {
                walk->error = -ENOMEM;
                return false;
        }
        valid = read_page(walk, page, number);
        if (valid) {
                memcpy(&head, page, sizeof(head));
                valid = head.flags == kind && nodes_valid(walk, page, depth);
        }
        free(page);
        return valid;
}

static bool tree_valid(struct walk *walk, const struct tree *tree)
{
        if (tree->root == NO_PAGE)
                return !tree->depth;
        return tree->depth && tree->depth <= DEPTH_MAX && page_valid(walk, tree->root, tree->depth);
}

/* ---- the file ---- */

/* Both header pages, as LMDB looks at them. 1: go on with @ret_meta; 0: not ours to judge. */
static int metas_read(struct walk *walk, struct meta *ret_meta)
{
        struct meta metas[2];
        uint64_t off = 0;

        for (int i = 0; i < 2; i++, off = metas[0].trees[0].pad) {
                struct page_head head;

                if (!read_at(walk, &head, sizeof(head), off) || !read_at(walk, &metas[i], sizeof(metas[i]), off + sizeof(head)))
                        return walk->error;
                if (!(head.flags & P_META) || metas[i].magic != MAGIC)
                        return BT_ENGINE_E_DAMAGED;
                if (metas[i].version != DATA_VERSION)
                        return 0; /* LMDB says so itself */
                if (metas[i].trees[0].pad < PAGE_BYTES_MIN || metas[i].trees[0].pad > PAGE_BYTES_MAX ||
                    metas[i].trees[0].pad & (metas[i].trees[0].pad - 1))
                        return BT_ENGINE_E_DAMAGED;
        }
        *ret_meta = metas[metas[1].txn > metas[0].txn];
        walk->page_bytes = metas[0].trees[0].pad;
        return 1;
}

int bt_store_walk(int fd)
{
        BT_CLEANUP(walk_deinit) struct walk walk = {.fd = fd};
        struct meta meta = {0};
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!st.st_size)
                return 0; /* LMDB makes one */
        r = metas_read(&walk, &meta);
        if (r <= 0 || r == BT_ENGINE_E_DAMAGED)
                return r;
        if (meta.last_page < 1 || meta.last_page >= PAGES_MAX || meta.trees[0].pad != walk.page_bytes)
                return BT_ENGINE_E_DAMAGED;
        walk.last_page = meta.last_page;
        walk.seen = calloc(1, meta.last_page / 8 + 1);
        if (!walk.seen)
                return -ENOMEM;
        if (!tree_valid(&walk, &meta.trees[1]))
                return walk.error ? walk.error : BT_ENGINE_E_DAMAGED;
        walk.free_tree = true;
        if (!tree_valid(&walk, &meta.trees[0]))
                return walk.error ? walk.error : BT_ENGINE_E_DAMAGED;
        return 0;
}
