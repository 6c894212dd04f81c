/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/configs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

void parsed_read(struct parsed *ret, const char *text, bool fragment)
{
        static char *const environ_of_nobody[] = {(char *)"PATH=/bin", NULL};
        struct bt_config_world world = {.dir = "/etc/shop",
                                        .environ = environ_of_nobody,
                                        .offline = true,
                                        .fragment = fragment};
        struct bt_diag *diag = calloc(1, sizeof(*diag));
        FILE *out;

        assert_non_null(diag);
        *ret = (struct parsed){.config = BT_CONFIG_NULL};
        ret->config.text =
                bt_mem_copy(&ret->config.mem, text,
                            strlen(text)); /* borrowed for as long as there is a configuration */
        bt_diag_init(diag, "app.yaml");
        ret->result = bt_config_parse(&ret->config, diag, ret->config.text, strlen(text), &world);
        if (ret->config.child_count)
                ret->spec = ret->config.children[0].spec;
        out = fmemopen(ret->said, sizeof(ret->said) - 1, "w");
        assert_non_null(out);
        bt_diag_print(diag, out);
        (void)fclose(out);
        free(diag);
}

void parsed_child(struct parsed *ret, const char *top, const char *keys)
{
        char text[2048];

        (void)snprintf(text, sizeof(text), "hub: h\n%schildren:\n  web: {exec: [/bin/web], %s}\n",
                       top, keys);
        parsed_read(ret, text, false);
}

/* ---- a folder ---- */

char *const folder_environ[] = {(char *)"PATH=/usr/bin:/bin", (char *)"HOME=/nowhere",
                                (char *)"LISTEN_PID=1", (char *)"LANG=C", NULL};

void folder_put(const struct folder *f, const char *name, const char *text, mode_t mode)
{
        char path[256];
        int fd;

        assert_true(snprintf(path, sizeof(path), "%s/%s", f->dir, name) < (int)sizeof(path));
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        assert_true(fd >= 0);
        assert_int_equal(bt_write_all(fd, text, strlen(text)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
        (void)bt_close(fd);
}

int folder_setup(void **state)
{
        struct folder *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void)snprintf(f->dir, sizeof(f->dir), "/tmp/baton-config-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        folder_put(f, "web", "#!/bin/sh\n", 0755);
        folder_put(f, "plain.txt", "text\n", 0644);
        *state = f;
        return 0;
}

int folder_teardown(void **state)
{
        static const char *const names[] = {"web", "plain.txt", "app.yaml"};
        struct folder *f = *state;
        char path[256];

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
                (void)unlink(path);
        }
        assert_int_equal(rmdir(f->dir), 0);
        bt_config_free(&f->config);
        free(f->text);
        free(f);
        return 0;
}

int parse(struct folder *f, const char *text)
{
        struct bt_config_world world = {.dir = f->dir, .environ = folder_environ};

        bt_config_free(&f->config);
        free(f->text);
        f->text = strdup(text);
        bt_diag_init(&f->diag, "app.yaml");
        return bt_config_parse(&f->config, &f->diag, f->text, strlen(text), &world);
}

const char *printed(struct folder *f)
{
        static char text[65536];
        FILE *out = fmemopen(text, sizeof(text) - 1, "w");

        assert_non_null(out);
        bt_diag_print(&f->diag, out);
        (void)fclose(out);
        return text;
}

void assert_says(struct folder *f, const char *line)
{
        if (!strstr(printed(f), line))
                fail_msg("expected: %s\nin: %s", line, printed(f));
}

int parse_child(struct folder *f, const char *keys)
{
        char text[8192];
        size_t used = (size_t)snprintf(
                text, sizeof(text),
                "hub: shop\nsockets: {http: 'tcp://127.0.0.1:8080'}\nchildren:\n  web:\n");

        for (const char *end; *keys; keys = *end ? end + 1 : end) {
                end = strchrnul(keys, '\n');
                used += (size_t)snprintf(text + used, sizeof(text) - used, "    %.*s\n",
                                         (int)(end - keys), keys);
                assert_true(used < sizeof(text));
        }
        return parse(f, text);
}

const struct bt_config_child *good_child(struct folder *f, const char *keys)
{
        if (parse_child(f, keys))
                fail_msg("refused: %s", printed(f));
        return &f->config.children[0];
}
