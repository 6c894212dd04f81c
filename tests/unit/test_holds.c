/* SPDX-License-Identifier: Apache-2.0 */
/* The note by which a hub knows that a program can be held, in programs that have it and in files that only look like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "shm/layout.h"
#include "supervisor/proc/holds.h"

static int holds(const char *name)
{
        char path[640];
        int fd, r;

        (void)snprintf(path, sizeof(path), "%s%s", name[0] == '/' ? "" : BATON_BIN_DIR "/", name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        r = bt_holds(fd);
        (void)close(fd);
        return r;
}

static void programs_with_the_library_in_them_say_so_and_others_do_not(void **state)
{
        (void)state;
        assert_int_equal(holds("child_held"), 1);
        assert_int_equal(holds("child_held_shared"), 1);
        assert_int_equal(holds("kv-v1"), 1);
        assert_int_equal(holds("hello"), 1);
        assert_int_equal(holds("child_held_unmarked"), 0);
        assert_int_equal(holds("batond"), 0);
        assert_int_equal(holds("/bin/true"), 0);
        assert_int_equal(holds("/dev/null"), 0);
}

/* A file of our own: the heads, one note segment. */
struct image {
        ElfW(Ehdr) head;
        ElfW(Phdr) segment;
        ElfW(Nhdr) note;
        char name[8];
        uint32_t version;
        uint32_t flags;
        int32_t entry;
        int32_t begin;
};

#define ENTRY 0x4000

static struct image image_of(int before, uint32_t flags)
{
        const uint64_t entry_at = offsetof(struct image, entry), begin_at = offsetof(struct image, begin);
        struct image image = {
                .head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32,
                                     __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB},
                         .e_type = ET_DYN, .e_phoff = offsetof(struct image, segment), .e_phentsize = sizeof(ElfW(Phdr)), .e_phnum = 1},
                .segment = {.p_type = PT_NOTE, .p_offset = offsetof(struct image, note), .p_vaddr = offsetof(struct image, note),
                            .p_filesz = sizeof(struct image) - offsetof(struct image, note), .p_align = 4},
                .note = {.n_namesz = sizeof(BT_HOLD_NOTE_NAME), .n_descsz = 16, .n_type = BT_HOLD_NOTE_TYPE},
                .name = BT_HOLD_NOTE_NAME,
                .version = BT_HOLD_NOTE_VERSION,
                .flags = flags,
                .entry = (int32_t)(ENTRY + before * (int)sizeof(void *) - (int64_t)entry_at),
                .begin = (int32_t)(ENTRY - (int64_t)begin_at),
        };

        return image;
}

static int image_holds(const void *image, size_t bytes)
{
        int fd = memfd_create("image", MFD_CLOEXEC);
        int r;

        assert_true(fd >= 0);
        assert_int_equal(write(fd, image, bytes), bytes);
        r = bt_holds(fd);
        (void)close(fd);
        return r;
}

static void an_entry_that_is_not_the_first_does_not_count(void **state)
{
        static const struct {
                int before;
                uint32_t flags;
                int expected;
        } rows[] = {{0, 0, 1}, {1, 0, 0}, {1, BT_HOLD_NOTE_F_SANITIZER, 1}, {2, BT_HOLD_NOTE_F_SANITIZER, 0}, {-1, 0, 0}, {1000, 0, 0}};

        (void)state;
        for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
                struct image image = image_of(rows[i].before, rows[i].flags);

                assert_int_equal(image_holds(&image, sizeof(image)), rows[i].expected);
        }
}

static void a_file_that_ends_early_or_has_other_heads_is_not_one(void **state)
{
        struct image image = image_of(0, 0);

        (void)state;
        for (size_t bytes = 0; bytes < offsetof(struct image, begin) + sizeof(image.begin); bytes++)
                assert_int_equal(image_holds(&image, bytes), 0);
        image.version = 2;
        assert_int_equal(image_holds(&image, sizeof(image)), 0);
        image = image_of(0, 0);
        image.head.e_ident[EI_CLASS] = 0;
        assert_int_equal(image_holds(&image, sizeof(image)), 0);
        image = image_of(0, 0);
        image.head.e_type = ET_REL;
        assert_int_equal(image_holds(&image, sizeof(image)), 0);
        image = image_of(0, 0);
        image.note.n_namesz = UINT32_MAX;
        assert_int_equal(image_holds(&image, sizeof(image)), 0);
        image = image_of(0, 0);
        image.note.n_descsz = UINT32_MAX - 3;
        assert_int_equal(image_holds(&image, sizeof(image)), 0);
        image = image_of(0, 0);
        image.segment.p_offset = UINT64_MAX - 8;
        assert_int_equal(image_holds(&image, sizeof(image)), 0);
}

/* Whatever is changed in any one byte, the answer is an answer (the sanitizers' builds look for more). */
static void any_byte_may_be_anything(void **state)
{
        (void)state;
        for (size_t at = 0; at < sizeof(struct image); at++) {
                for (unsigned value = 0; value < 256; value += 15) {
                        struct image image = image_of(0, 0);

                        ((unsigned char *)&image)[at] = (unsigned char)value;
                        assert_in_range(image_holds(&image, sizeof(image)), 0, 1);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(programs_with_the_library_in_them_say_so_and_others_do_not),
                cmocka_unit_test(an_entry_that_is_not_the_first_does_not_count),
                cmocka_unit_test(a_file_that_ends_early_or_has_other_heads_is_not_one),
                cmocka_unit_test(any_byte_may_be_anything),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
