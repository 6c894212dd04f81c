/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define HEAD_BYTES 4096

struct head {
        uint64_t magic;
        uint64_t entry_bytes;
};

static uint64_t bytes_of(uint32_t count)
{
        return HEAD_BYTES + (uint64_t)count * sizeof(struct bt_registry_entry);
}

/* Blocks now, not at a store: a full file system is an error here and a SIGBUS there. */
static int registry_grow(struct bt_registry *registry, uint32_t count)
{
        if (count > BT_REGISTRY_MAX || posix_fallocate(registry->fd, 0, (off_t)bytes_of(count)))
                return -ENOSPC;
        registry->count = count;
        return 0;
}

int bt_registry_open(struct bt_registry *ret_registry, const char *path, uint32_t count)
{
        struct bt_registry registry = BT_REGISTRY_NULL;
        BT_CLEANUP(bt_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct head *head;
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if ((uint64_t)st.st_size > bytes_of(count)) /* of a configuration with more children */
                count = (uint32_t)(((uint64_t)st.st_size - HEAD_BYTES) / sizeof(struct bt_registry_entry));
        registry.fd = fd;
        r = registry_grow(&registry, count < BT_REGISTRY_MAX ? count : BT_REGISTRY_MAX);
        if (r)
                return r;
        head = mmap(NULL, bytes_of(BT_REGISTRY_MAX), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (head == MAP_FAILED)
                return -errno;
        if (head->magic != BT_REGISTRY_MAGIC || head->entry_bytes != sizeof(struct bt_registry_entry)) {
                memset(head, 0, bytes_of(registry.count));
                head->magic = BT_REGISTRY_MAGIC;
                head->entry_bytes = sizeof(struct bt_registry_entry);
        }
        registry.entries = (struct bt_registry_entry *)(void *)((char *)head + HEAD_BYTES);
        registry.fd = BT_STEAL_FD(fd);
        *ret_registry = registry;
        return 0;
}

void bt_registry_close(struct bt_registry *registry)
{
        if (registry->entries)
                (void)munmap((char *)registry->entries - HEAD_BYTES, bytes_of(BT_REGISTRY_MAX));
        registry->entries = NULL;
        registry->fd = bt_close(registry->fd);
}

static struct bt_registry_entry *registry_take(struct bt_registry *registry)
{
        for (uint32_t i = registry->free_from; i < registry->count; i++) {
                struct bt_registry_entry *entry = &registry->entries[i];

                if (atomic_load_explicit(&entry->live, memory_order_relaxed))
                        continue;
                registry->free_from = i; /* it is free until its user sets @live */
                memset((void *)entry, 0, sizeof(*entry));
                entry->link_fd = -1;
                return entry;
        }
        registry->free_from = registry->count;
        return NULL;
}

struct bt_registry_entry *bt_registry_add(struct bt_registry *registry)
{
        struct bt_registry_entry *entry;

        if (!registry->entries)
                return NULL;
        entry = registry_take(registry);
        if (!entry && !registry_grow(registry, registry->count * 2 < BT_REGISTRY_MAX ? registry->count * 2 : BT_REGISTRY_MAX))
                entry = registry_take(registry);
        return entry;
}

void bt_registry_remove(struct bt_registry *registry, struct bt_registry_entry *entry)
{
        if (!entry)
                return;
        atomic_store_explicit(&entry->live, 0, memory_order_release);
        if (entry - registry->entries < (ptrdiff_t)registry->free_from)
                registry->free_from = (uint32_t)(entry - registry->entries);
}
