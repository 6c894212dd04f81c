/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/fd.h"

#define HEAD_BYTES 4096
#define TEXTS_OFF (HEAD_BYTES + (uint64_t)BT_REGISTRY_MAX * sizeof(struct bt_registry_entry))
#define FILE_BYTES_MAX (TEXTS_OFF + (uint64_t)BT_REGISTRY_TEXTS_MAX * BT_REGISTRY_TEXT_BYTES)
#define TEXTS_MIN 16
#define BUCKETS 1024

struct bt_registry_head {
        uint64_t magic;
        uint64_t entry_bytes;
        uint32_t count;      /* records and texts that the file has blocks for */
        uint32_t text_count;
        uint32_t used;       /* no record from here on was ever live */
        uint8_t pad[HEAD_BYTES - 28];
};
static_assert(sizeof(struct bt_registry_head) == HEAD_BYTES, "one page");

/* Text 0 is none. */
struct bt_registry_text {
        uint32_t refs;
        uint32_t next; /* in its bucket, or of the free ones; 0: the last */
};

/* ---- texts ---- */

static char *text_at(const struct bt_registry *registry, uint32_t text)
{
        return (char *)registry->head + TEXTS_OFF + (uint64_t)text * BT_REGISTRY_TEXT_BYTES;
}

static uint32_t *text_bucket(const struct bt_registry *registry, const char *string)
{
        uint32_t hash = UINT32_C(0x811c9dc5); /* FNV-1a */

        for (; *string; string++)
                hash = (hash ^ (uint8_t)*string) * UINT32_C(0x01000193);
        return &registry->buckets[hash % BUCKETS];
}

/* Blocks now, not at a store: a full file system is an error here and a SIGBUS there. */
static int texts_grow(struct bt_registry *registry, uint32_t count)
{
        struct bt_registry_text *texts;

        if (count > BT_REGISTRY_TEXTS_MAX)
                count = BT_REGISTRY_TEXTS_MAX;
        if (count <= registry->text_count ||
            posix_fallocate(registry->fd, (off_t)TEXTS_OFF, (off_t)((uint64_t)count * BT_REGISTRY_TEXT_BYTES)))
                return -ENOSPC;
        texts = reallocarray(registry->texts, count, sizeof(*texts));
        if (!texts)
                return -ENOMEM;
        registry->texts = texts;
        for (uint32_t i = count; i-- > registry->text_count;) {
                texts[i] = (struct bt_registry_text){.next = registry->text_free};
                registry->text_free = i ? i : registry->text_free;
        }
        registry->text_count = registry->head->text_count = count;
        return 0;
}

/* One more record names it; it is written when it is new. 0: there is no room. */
static uint32_t text_take(struct bt_registry *registry, const char *string)
{
        uint32_t *bucket = text_bucket(registry, string), text;
        size_t bytes = strlen(string) + 1;

        for (text = *bucket; text && strcmp(text_at(registry, text), string) != 0;)
                text = registry->texts[text].next;
        if (!text) {
                if (bytes > BT_REGISTRY_TEXT_BYTES || (!registry->text_free && texts_grow(registry, registry->text_count * 2)))
                        return 0;
                text = registry->text_free;
                registry->text_free = registry->texts[text].next;
                memcpy(text_at(registry, text), string, bytes);
                registry->texts[text].next = *bucket;
                *bucket = text;
        }
        registry->texts[text].refs++;
        return text;
}

static void text_give_back(struct bt_registry *registry, uint32_t text)
{
        uint32_t *at;

        if (!text || text >= registry->text_count || --registry->texts[text].refs)
                return;
        for (at = text_bucket(registry, text_at(registry, text)); *at != text; at = &registry->texts[*at].next)
                bt_assert(*at);
        *at = registry->texts[text].next;
        registry->texts[text].next = registry->text_free;
        registry->text_free = text;
}

/* Of a hub that was killed: it stays where it is. False: no hub of this build writes such a record. */
static bool text_keep(struct bt_registry *registry, uint32_t text)
{
        uint32_t *bucket;

        if (!text || text >= registry->text_count || !memchr(text_at(registry, text), '\0', BT_REGISTRY_TEXT_BYTES))
                return false;
        if (registry->texts[text].refs++ == 0) {
                bucket = text_bucket(registry, text_at(registry, text));
                registry->texts[text].next = *bucket;
                *bucket = text;
        }
        return true;
}

/* What live records name is counted; the rest is free. */
static void texts_count(struct bt_registry *registry)
{
        for (uint32_t i = 0; i < registry->head->used; i++) {
                struct bt_registry_entry *entry = &registry->entries[i];

                if (!bt_registry_live(registry, i))
                        continue;
                entry->path = text_keep(registry, entry->path) ? entry->path : 0;
                entry->node = text_keep(registry, entry->node) ? entry->node : 0;
        }
        registry->text_free = 0;
        for (uint32_t i = registry->text_count; i-- > 1;) {
                if (registry->texts[i].refs)
                        continue;
                registry->texts[i].next = registry->text_free;
                registry->text_free = i;
        }
}

const char *bt_registry_text(const struct bt_registry *registry, uint32_t text)
{
        return text && text < registry->text_count ? text_at(registry, text) : "";
}

/* ---- the file ---- */

static int records_grow(struct bt_registry *registry, uint32_t count)
{
        if (count > BT_REGISTRY_MAX)
                count = BT_REGISTRY_MAX;
        if (count <= registry->count || posix_fallocate(registry->fd, 0, (off_t)(HEAD_BYTES + (uint64_t)count * sizeof(struct bt_registry_entry))))
                return -ENOSPC;
        registry->count = registry->head->count = count;
        return 0;
}

/* What another version left, or nobody, is emptied: a process of such a hub is not known to us. */
static int registry_begin(struct bt_registry *registry)
{
        struct bt_registry_head head = {0};

        if (pread(registry->fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) || head.magic != BT_REGISTRY_MAGIC ||
            head.entry_bytes != sizeof(struct bt_registry_entry) || head.count > BT_REGISTRY_MAX || head.text_count > BT_REGISTRY_TEXTS_MAX ||
            head.used > head.count) {
                if (ftruncate(registry->fd, 0) < 0)
                        return -errno;
                if (posix_fallocate(registry->fd, 0, HEAD_BYTES))
                        return -ENOSPC;
                registry->head->magic = BT_REGISTRY_MAGIC;
                registry->head->entry_bytes = sizeof(struct bt_registry_entry);
        }
        return 0;
}

/* All that the head speaks of has blocks, whoever wrote it. */
static int registry_fill(struct bt_registry *registry, uint32_t count)
{
        uint32_t records = registry->head->count, texts = registry->head->text_count;
        int r = records_grow(registry, records > count ? records : count);

        return r ? r : texts_grow(registry, texts > TEXTS_MIN ? texts : TEXTS_MIN);
}

int bt_registry_open(struct bt_registry *ret_registry, const char *path, uint32_t count)
{
        struct bt_registry registry = BT_REGISTRY_NULL;
        BT_CLEANUP(bt_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        void *at;
        int r;

        if (fd < 0)
                return -errno;
        at = mmap(NULL, FILE_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (at == MAP_FAILED)
                return -errno;
        registry.fd = fd;
        registry.head = at;
        registry.entries = (struct bt_registry_entry *)(void *)((char *)at + HEAD_BYTES);
        registry.buckets = calloc(BUCKETS, sizeof(*registry.buckets));
        r = registry.buckets ? registry_begin(&registry) : -ENOMEM;
        if (!r)
                r = registry_fill(&registry, count ? count : 1);
        registry.fd = BT_STEAL_FD(fd);
        if (r) {
                bt_registry_close(&registry);
                return r;
        }
        texts_count(&registry);
        *ret_registry = registry;
        return 0;
}

void bt_registry_close(struct bt_registry *registry)
{
        if (registry->head)
                (void)munmap(registry->head, FILE_BYTES_MAX);
        registry->head = NULL;
        registry->entries = NULL;
        free(registry->texts);
        free(registry->buckets);
        registry->texts = NULL;
        registry->buckets = NULL;
        registry->fd = bt_close(registry->fd);
}

/* ---- records ---- */

uint32_t bt_registry_used(const struct bt_registry *registry)
{
        return registry->head ? registry->head->used : 0;
}

bool bt_registry_live(const struct bt_registry *registry, uint32_t idx)
{
        return atomic_load_explicit(&registry->entries[idx].live, memory_order_acquire) != 0;
}

static struct bt_registry_entry *record_take(struct bt_registry *registry)
{
        uint32_t i = registry->free_from;

        while (i < registry->count && bt_registry_live(registry, i))
                i++;
        if (i == registry->count && records_grow(registry, registry->count * 2))
                return NULL;
        registry->free_from = i; /* it is free until its user sets @live */
        if (i >= registry->head->used)
                registry->head->used = i + 1; /* before it can be live */
        return &registry->entries[i];
}

struct bt_registry_entry *bt_registry_add(struct bt_registry *registry, const char *path, const char *node)
{
        struct bt_registry_entry *entry = registry->entries ? record_take(registry) : NULL;
        uint32_t texts[2];

        if (!entry)
                return NULL;
        texts[0] = text_take(registry, path);
        texts[1] = text_take(registry, node);
        if (!texts[0] || !texts[1]) {
                text_give_back(registry, texts[0]);
                text_give_back(registry, texts[1]);
                return NULL;
        }
        memset((void *)entry, 0, sizeof(*entry));
        entry->link_fd = -1;
        entry->path = texts[0];
        entry->node = texts[1];
        return entry;
}

void bt_registry_remove(struct bt_registry *registry, struct bt_registry_entry *entry)
{
        if (!entry)
                return;
        atomic_store_explicit(&entry->live, 0, memory_order_release);
        text_give_back(registry, entry->path);
        text_give_back(registry, entry->node);
        entry->path = entry->node = 0;
        if (entry - registry->entries < (ptrdiff_t)registry->free_from)
                registry->free_from = (uint32_t)(entry - registry->entries);
}
