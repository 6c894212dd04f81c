/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile configurations: text to tree to plan, and the plan through the daemon's check. Nothing outside is asked (no files, no names).
 *
 * With clang's -fsanitize=fuzzer this is a libFuzzer target (compile with -DBT_LIBFUZZER). Without it, main() takes files and folders, runs each
 * file as it is, then changes it in BATON_FUZZ_ROUNDS (200) ways from a fixed seed (BATON_SEED): cut, bytes flipped, a piece of it repeated.
 * Whatever the text, there must be errors or a plan that bt_plan_open() accepts; compile says "our mistake" otherwise, and that aborts.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "supervisor/baton/compile.h"

#define TEXT_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
        static char *const world_environ[] = {(char *)"PATH=/bin", (char *)"HOME=/", NULL};
        static char shown[1 << 20];
        struct bt_config_world world = {.dir = "/etc/app", .environ = world_environ, .offline = true};
        struct bt_config config = BT_CONFIG_NULL;
        struct bt_diag *diag = calloc(1, sizeof(*diag));
        FILE *out = fmemopen(shown, sizeof(shown), "w");
        char *text = malloc(bytes + 1); /* exact, so that a read behind it is seen */
        const char *error = NULL;
        int fd = -1;

        bt_assert(diag && out && text);
        memcpy(text, data, bytes);
        bt_diag_init(diag, "fuzz.yaml");
        if (!bt_config_parse(&config, diag, text, bytes, &world) &&
            bt_compile(&fd, &config, "/run/baton", "/var/lib/baton", &error))
                bt_assert(!strstr(error, "our mistake"));
        bt_diag_print(diag, out);
        bt_diag_print_json(diag, out);
        (void)bt_close(fd);
        (void)fclose(out);
        bt_config_free(&config);
        free(diag);
        free(text);
        return 0;
}

#ifndef BT_LIBFUZZER

static uint64_t seed = 1;

/* xorshift64*: the same sequence on each machine. */
static uint32_t dice(uint32_t sides)
{
        seed ^= seed >> 12;
        seed ^= seed << 25;
        seed ^= seed >> 27;
        return (uint32_t)((seed * UINT64_C(2685821657736338717)) >> 33) % sides;
}

/* Changes @text a little; returns its new length. */
static size_t change(uint8_t *text, size_t bytes)
{
        static const char letters[] = "{}[]:,&*!|>'\"%@`#-? \n\t<x0\\\xff\xc2";
        uint32_t edits = 1 + dice(4);

        for (; edits && bytes > 1; edits--) {
                size_t at = dice((uint32_t)bytes), piece = dice(32);

                switch (dice(4)) {
                case 0:
                        text[at] = (uint8_t)letters[dice(sizeof(letters) - 1)];
                        break;
                case 1:
                        text[at] ^= (uint8_t)(1u << dice(8));
                        break;
                case 2:
                        piece = piece < bytes - at ? piece : bytes - at;
                        memmove(text + at, text + at + piece, bytes - at - piece);
                        bytes -= piece;
                        break;
                default:
                        piece = piece < bytes - at ? piece : bytes - at;
                        if (bytes + piece > TEXT_BYTES_MAX)
                                break;
                        memmove(text + at + piece, text + at, bytes - at);
                        bytes += piece;
                        break;
                }
        }
        return bytes;
}

static size_t run_file(int dir, const char *name, uint32_t rounds)
{
        static uint8_t text[TEXT_BYTES_MAX], changed[TEXT_BYTES_MAX];
        int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        ssize_t bytes;

        if (fd < 0) {
                (void)fprintf(stderr, "%s: cannot be opened\n", name);
                exit(1);
        }
        bytes = read(fd, text, sizeof(text));
        (void)bt_close(fd);
        bt_assert(bytes >= 0);
        (void)LLVMFuzzerTestOneInput(text, (size_t)bytes);
        for (uint32_t i = 0; i < rounds; i++) {
                memcpy(changed, text, (size_t)bytes);
                (void)LLVMFuzzerTestOneInput(changed, change(changed, (size_t)bytes));
        }
        return 1 + rounds;
}

static size_t run_dir(const char *path, uint32_t rounds)
{
        struct dirent **entries = NULL;
        int count = scandir(path, &entries, NULL, alphasort);
        int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        size_t runs = 0;

        for (int i = 0; i < count; i++) {
                if (entries[i]->d_name[0] != '.')
                        runs += run_file(dir, entries[i]->d_name, rounds);
                free(entries[i]);
        }
        free(entries);
        (void)bt_close(dir);
        return runs;
}

static uint32_t number_from(const char *name, uint32_t otherwise)
{
        const char *text = getenv(name);

        return text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
        uint32_t rounds = number_from("BATON_FUZZ_ROUNDS", 200);
        size_t runs = 0;

        seed = number_from("BATON_SEED", 20240501) | 1;
        (void)printf("BATON_SEED=%llu\n", (unsigned long long)seed);
        for (int i = 1; i < argc; i++) {
                int is_dir = open(argv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                runs += is_dir >= 0 ? run_dir(argv[i], rounds) : run_file(AT_FDCWD, argv[i], rounds);
                (void)bt_close(is_dir);
        }
        (void)printf("%zu texts\n", runs);
        return runs ? 0 : 77; /* nothing to run over is a skip */
}

#endif
