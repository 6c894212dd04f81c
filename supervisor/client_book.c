/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/client_book.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/proc/proc.h"

int bt_client_book_open(struct bt_client_book *ret_book, const char *path)
{
        BT_CLEANUP(bt_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct bt_client_book_file *file;

        if (fd < 0)
                return -errno;
        /* Blocks now, not at a store: a full file system is an error here and a SIGBUS there. */
        if (posix_fallocate(fd, 0, sizeof(*file)))
                return -ENOSPC;
        file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (file == MAP_FAILED)
                return -errno;
        if (file->magic != BT_CLIENT_BOOK_MAGIC) {
                memset((void *)file, 0, sizeof(*file));
                atomic_store(&file->next, 1);
                file->magic = BT_CLIENT_BOOK_MAGIC;
        }
        ret_book->file = file;
        return 0;
}

void bt_client_book_close(struct bt_client_book *book)
{
        if (book->file)
                (void)munmap(book->file, sizeof(*book->file));
        book->file = NULL;
}

bool bt_client_book_empty(const struct bt_client_book *book)
{
        for (uint32_t i = 0; i < BT_ATTACH_CLIENTS_MAX; i++) {
                if (atomic_load(&book->file->entries[i].client))
                        return false;
        }
        return true;
}

uint32_t bt_client_book_number(struct bt_client_book *book)
{
        uint32_t number = atomic_load(&book->file->next);

        if (number)
                atomic_store(
                        &book->file->next,
                        number + 1); /* gone before it is used: killed in between, we lose one */
        return number;
}

struct bt_client_book_entry *bt_client_book_add(struct bt_client_book *book, pid_t pid)
{
        for (uint32_t i = 0; i < BT_ATTACH_CLIENTS_MAX; i++) {
                struct bt_client_book_entry *entry = &book->file->entries[i];
                uint32_t number;

                if (atomic_load(&entry->client))
                        continue;
                number = bt_client_book_number(book);
                if (!number)
                        return NULL; /* four thousand million: the file has to go, with all who know a number */
                entry->pid = pid;
                entry->seg_fd = entry->bell = -1;
                entry->started_ticks = bt_proc_started(pid);
                atomic_store(&entry->client, number);
                return entry;
        }
        return NULL;
}

struct bt_client_book_entry *bt_client_book_find(struct bt_client_book *book, uint32_t client)
{
        for (uint32_t i = 0; client && i < BT_ATTACH_CLIENTS_MAX; i++) {
                if (atomic_load(&book->file->entries[i].client) == client)
                        return &book->file->entries[i];
        }
        return NULL;
}

void bt_client_book_remove(struct bt_client_book_entry *entry)
{
        if (entry)
                atomic_store(&entry->client, 0);
}
