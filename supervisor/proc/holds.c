/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executable is somebody else's file and is read as such: the heads it must have, a bounded number of program headers, of each note segment a bounded
 * piece, every length checked against what was read. What is odd is "no": an ordinary start is always right.
 */
#include "supervisor/proc/holds.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "shm/layout.h"

#define HEADERS_MAX 64
#define NOTES_BYTES_MAX 4096 /* of a segment: those of a usual program have 100 */

struct note_text {
        uint32_t version;
        uint32_t flags;
        int32_t entry; /* both relative to the word itself */
        int32_t begin;
};

/* A piece of a note segment, and where its first byte is in memory. */
struct notes {
        uint64_t addr;
        size_t bytes;
        size_t align;
        unsigned char at[NOTES_BYTES_MAX];
};

static bool first_entry(const struct note_text *text, uint64_t addr)
{
        uint64_t entry = addr + offsetof(struct note_text, entry) + (uint64_t)(int64_t)text->entry;
        uint64_t begin = addr + offsetof(struct note_text, begin) + (uint64_t)(int64_t)text->begin;
        uint64_t before = (entry - begin) / sizeof(void *);

        return text->version == BT_HOLD_NOTE_VERSION && before <= (text->flags & BT_HOLD_NOTE_F_SANITIZER ? 1 : 0);
}

static size_t padded(size_t bytes, size_t align)
{
        return (bytes + align - 1) & ~(align - 1);
}

static bool notes_say(const struct notes *notes)
{
        size_t off = 0;

        while (notes->bytes - off >= sizeof(ElfW(Nhdr))) {
                ElfW(Nhdr) head;
                struct note_text text;
                size_t name = off + sizeof(head), desc;

                memcpy(&head, notes->at + off, sizeof(head));
                if (head.n_namesz > notes->bytes || head.n_descsz > notes->bytes)
                        return false;
                desc = padded(name + head.n_namesz, notes->align);
                off = padded(desc + head.n_descsz, notes->align);
                if (desc + head.n_descsz > notes->bytes)
                        return false;
                if (head.n_type == BT_HOLD_NOTE_TYPE && head.n_namesz == sizeof(BT_HOLD_NOTE_NAME) && head.n_descsz == sizeof(text) &&
                    !memcmp(notes->at + name, BT_HOLD_NOTE_NAME, sizeof(BT_HOLD_NOTE_NAME))) {
                        memcpy(&text, notes->at + desc, sizeof(text));
                        return first_entry(&text, notes->addr + desc);
                }
                if (off > notes->bytes)
                        return false;
        }
        return false;
}

static bool segment_says(int fd, const ElfW(Phdr) * segment)
{
        struct notes notes = {.addr = segment->p_vaddr, .align = segment->p_align == 8 ? 8 : 4};
        size_t want = segment->p_filesz < sizeof(notes.at) ? segment->p_filesz : sizeof(notes.at);
        ssize_t n = segment->p_offset > INT64_MAX / 2 ? -1 : pread(fd, notes.at, want, (off_t)segment->p_offset);

        if (n < 0)
                return false;
        notes.bytes = (size_t)n;
        return notes_say(&notes);
}

static bool head_valid(const ElfW(Ehdr) * head)
{
        const unsigned char class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
        const unsigned char order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;

        return !memcmp(head->e_ident, ELFMAG, SELFMAG) && head->e_ident[EI_CLASS] == class && head->e_ident[EI_DATA] == order &&
               (head->e_type == ET_EXEC || head->e_type == ET_DYN) && head->e_phentsize == sizeof(ElfW(Phdr)) && head->e_phoff <= INT64_MAX / 2;
}

int bt_holds(int fd)
{
        ElfW(Ehdr) head;
        ElfW(Phdr) segments[HEADERS_MAX];
        size_t count;
        ssize_t n;

        if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) || !head_valid(&head))
                return 0;
        count = head.e_phnum < HEADERS_MAX ? head.e_phnum : HEADERS_MAX;
        n = pread(fd, segments, count * sizeof(segments[0]), (off_t)head.e_phoff);
        if (n < 0)
                return 0;
        count = (size_t)n / sizeof(segments[0]);
        for (size_t i = 0; i < count; i++) {
                if (segments[i].p_type == PT_NOTE && segment_says(fd, &segments[i]))
                        return 1;
        }
        return 0;
}
