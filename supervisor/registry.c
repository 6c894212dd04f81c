/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/registry.h"

#include <errno.h>
#include <fcntl.h>
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

int bt_registry_open(struct bt_registry *ret_registry, const char *path, uint32_t count)
{
        struct bt_registry registry = BT_REGISTRY_NULL;
        BT_CLEANUP(bt_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct head *head;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        registry.bytes = HEAD_BYTES + (uint64_t)count * sizeof(struct bt_registry_entry);
        if ((uint64_t)st.st_size > registry.bytes)
                registry.bytes = (uint64_t)st.st_size; /* of a configuration with more children */
        /* Blocks now, not at a store: a full file system is an error here and a SIGBUS there. */
        if (posix_fallocate(fd, 0, (off_t)registry.bytes))
                return -ENOSPC;
        head = mmap(NULL, registry.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (head == MAP_FAILED)
                return -errno;
        if (head->magic != BT_REGISTRY_MAGIC || head->entry_bytes != sizeof(struct bt_registry_entry)) {
                memset(head, 0, registry.bytes);
                head->magic = BT_REGISTRY_MAGIC;
                head->entry_bytes = sizeof(struct bt_registry_entry);
        }
        registry.entries = (struct bt_registry_entry *)(void *)((char *)head + HEAD_BYTES);
        registry.count = (uint32_t)((registry.bytes - HEAD_BYTES) / sizeof(struct bt_registry_entry));
        registry.fd = BT_STEAL_FD(fd);
        *ret_registry = registry;
        return 0;
}

void bt_registry_close(struct bt_registry *registry)
{
        if (registry->entries)
                (void)munmap((char *)registry->entries - HEAD_BYTES, registry->bytes);
        registry->entries = NULL;
        registry->fd = bt_close(registry->fd);
}

struct bt_registry_entry *bt_registry_add(struct bt_registry *registry)
{
        for (uint32_t i = 0; registry->entries && i < registry->count; i++) {
                struct bt_registry_entry *entry = &registry->entries[i];

                if (atomic_load_explicit(&entry->live, memory_order_relaxed))
                        continue;
                memset((void *)entry, 0, sizeof(*entry));
                entry->link_fd = -1;
                return entry;
        }
        return NULL;
}

void bt_registry_remove(struct bt_registry_entry *entry)
{
        if (entry)
                atomic_store_explicit(&entry->live, 0, memory_order_release);
}
