/* SPDX-License-Identifier: Apache-2.0 */
/* What a hub carries over into its next program, read: as it was written, and as nobody would have written it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "supervisor/carry.h"
#include "supervisor/groups.h"
#include "supervisor/keeper.h"

#define PUT(out, kind, item, more)                                                                 \
        bt_carry_put(out, kind, &(item), sizeof(item), more, sizeof(more))

/* One of each kind. The descriptors are not looked at, but there are so many. */
static struct bt_carry_out written(void)
{
        static const int32_t fds[] = {10, 11, 12};
        struct bt_carry_hub hub = {.registry_magic = BT_REGISTRY_MAGIC,
                                   .layout = BT_LAYOUT_VERSION,
                                   .keeper_magic = BT_KEEPER_MAGIC,
                                   .plan_version = BT_PLAN_VERSION,
                                   .asker = BT_CARRY_NONE,
                                   .keeper_sock = 1,
                                   .keeper_pidfd = 2,
                                   .event_next = 7};
        struct bt_carry_socket socket = {.idx = 3, .fd = 1};
        struct bt_carry_binary binary = {.fd = 2};
        struct bt_carry_node node = {.name = "blue"};
        struct bt_carry_child child = {.id = "web/1",
                                       .number_next = 4,
                                       .binary = 0,
                                       .own = 0,
                                       .previous = BT_CARRY_NONE,
                                       .holding = 1,
                                       .mail = {0, 1, 2}};
        struct bt_carry_child other = {
                .id = "db", .number_next = 1, .previous = BT_CARRY_NONE, .holding = BT_CARRY_NONE};
        struct bt_carry_kept kept = {.name = "stored", .fd = 1};
        struct bt_carry_parcel parcel = {.message = {.count = 2}};
        struct bt_carry_process process = {.entry = 5,
                                           .pid = 77,
                                           .number = 3,
                                           .pidfd = 1,
                                           .link = 2,
                                           .holding = 1,
                                           .bell = 1,
                                           .channel = 2,
                                           .out = BT_CARRY_NONE,
                                           .err = 1};
        struct bt_carry_log log = {.which = 2, .line_bytes = 5, .tail_bytes = 4};
        struct bt_carry_notify notify = {
                .fd = 1, .launcher = BT_CARRY_NONE, .path = "/run/notify.1"};
        struct bt_carry_group group = {
                .name = "g", .count = 2, .state = BT_GROUP_S_UP, .culprit = 2};
        struct bt_carry_member members[2] = {{.state = BT_GROUP_M_UP},
                                             {.state = BT_GROUP_M_WAITING, .due_ns = 5}};
        struct bt_carry_event event = {
                .sequence = 6, .name = "child_running", .child = "web/1", .text = "fresh"};
        struct bt_carry_client client = {.fd = 2};
        struct bt_carry_caller caller = {
                .number = 1, .pid = 1, .fd = 0, .seg = 1, .bell = 2, .targets = {"web"}};
        struct bt_carry_out out;

        assert_int_equal(bt_carry_out_init(&out), 0);
        bt_carry_put(&out, BT_CARRY_HUB, &hub, sizeof(hub), NULL, 0);
        bt_carry_put(&out, BT_CARRY_SOCKET, &socket, sizeof(socket), NULL, 0);
        PUT(&out, BT_CARRY_BINARY, binary, "/bin/web");
        bt_carry_put(&out, BT_CARRY_NODE, &node, sizeof(node), NULL, 0);
        bt_carry_put(&out, BT_CARRY_CHILD, &child, sizeof(child), NULL, 0);
        bt_carry_put(&out, BT_CARRY_KEPT, &kept, sizeof(kept), NULL, 0);
        bt_carry_put(&out, BT_CARRY_PARCEL, &parcel, sizeof(parcel), NULL, 0);
        bt_carry_put(&out, BT_CARRY_PROCESS, &process, sizeof(process), NULL, 0);
        bt_carry_put(&out, BT_CARRY_LOG, &log, sizeof(log), "begunlast", 9);
        bt_carry_put(&out, BT_CARRY_NOTIFY, &notify, sizeof(notify), NULL, 0);
        bt_carry_put(&out, BT_CARRY_CHILD, &other, sizeof(other), NULL, 0);
        PUT(&out, BT_CARRY_GROUP, group, members);
        bt_carry_put(&out, BT_CARRY_EVENT, &event, sizeof(event), NULL, 0);
        bt_carry_put(&out, BT_CARRY_CLIENT, &client, sizeof(client), NULL, 0);
        bt_carry_put(&out, BT_CARRY_CALLER, &caller, sizeof(caller), NULL, 0);
        bt_carry_put(&out, BT_CARRY_FDS, fds, sizeof(fds), NULL, 0);
        assert_false(out.failed);
        return out;
}

/* With a sum that is right. */
static int reading(struct bt_carry **ret_carry, const struct bt_carry_out *out, char *why)
{
        uint64_t xxh3 = 0;
        int fd = -1, r;

        assert_int_equal(bt_carry_seal(out, &fd, &xxh3), 0);
        r = bt_carry_open(ret_carry, fd, why);
        (void)close(fd);
        return r;
}

static void it_is_read_as_it_was_written(void **state)
{
        struct bt_carry_out out = written();
        char why[BT_CARRY_WHY_BYTES] = "";
        const struct bt_carry_item *const *item;
        const struct bt_carry_child *child;
        const struct bt_carry_log *log;
        struct bt_carry *carry = NULL;

        (void)state;
        assert_int_equal(reading(&carry, &out, why), 0);
        assert_int_equal(carry->child_count, 2);
        assert_int_equal(carry->fd_count, 3);
        assert_null(bt_carry_child(carry, "web"));
        item = bt_carry_child(carry, "web/1");
        assert_non_null(item);
        child = bt_carry_at(*item);
        assert_string_equal(child->id, "web/1");
        assert_int_equal((*++item)->kind, BT_CARRY_KEPT);
        assert_int_equal((*++item)->kind, BT_CARRY_PARCEL);
        assert_int_equal((*++item)->kind, BT_CARRY_PROCESS);
        assert_ptr_equal(item, carry->processes[5]);
        log = bt_carry_at(*++item);
        assert_memory_equal(log + 1, "begunlast", 9);
        assert_true(bt_carry_of_process(*++item));
        assert_false(bt_carry_of_child(*++item));
        assert_int_equal(bt_carry_take(carry, 1), -1); /* nothing is its own yet */
        carry = bt_carry_free(carry);
        bt_carry_out_deinit(&out);
}

/* As far as it opens, all of it can be walked over; an address sanitizer watches. */
static void walk(const struct bt_carry *carry)
{
        volatile uint8_t sum = 0;

        for (size_t i = 0; carry->items[i]; i++) {
                const uint8_t *at = bt_carry_at(carry->items[i]);

                for (uint32_t k = 0; k < carry->items[i]->bytes; k++)
                        sum = (uint8_t)(sum + at[k]);
        }
        (void)bt_carry_child(carry, "web/1");
        (void)sum;
}

static void words_that_nobody_writes_are_refused_or_harmless(void **state)
{
        static const uint32_t values[] = {UINT32_MAX, 0x41414141};
        struct bt_carry_out out = written();
        char why[BT_CARRY_WHY_BYTES] = "";
        unsigned refused = 0;

        (void)state;
        for (size_t off = sizeof(struct bt_carry_head); off < out.bytes; off += 4) {
                for (size_t v = 0; v < sizeof(values) / sizeof(*values); v++) {
                        struct bt_carry *carry = NULL;
                        uint32_t was;

                        memcpy(&was, out.at + off, sizeof(was));
                        memcpy(out.at + off, &values[v], sizeof(was));
                        if (reading(&carry, &out, why))
                                refused++;
                        else
                                walk(carry);
                        carry = bt_carry_free(carry);
                        memcpy(out.at + off, &was, sizeof(was));
                }
        }
        assert_true(refused > 100);
        bt_carry_out_deinit(&out);
}

/* The bytes as a file that nothing has sealed or summed. */
static int reading_bytes(const char *bytes, size_t count, char *why)
{
        struct bt_carry *carry = NULL;
        int fd = memfd_create("carry", MFD_CLOEXEC), r;

        assert_true(fd >= 0);
        assert_int_equal(bt_write_all(fd, bytes, count), 0);
        r = bt_carry_open(&carry, fd, why);
        (void)close(fd);
        (void)bt_carry_free(carry);
        return r;
}

static void a_byte_that_is_missing_or_another_is_noticed(void **state)
{
        struct bt_carry_out out = written();
        char why[BT_CARRY_WHY_BYTES] = "";
        uint64_t xxh3 = 0;
        int fd = -1;

        (void)state;
        assert_int_equal(bt_carry_seal(&out, &fd, &xxh3), 0);
        (void)close(fd);
        assert_int_equal(reading_bytes(out.at, out.bytes, why), 0);
        for (size_t bytes = 0; bytes < out.bytes; bytes += 3)
                assert_int_not_equal(reading_bytes(out.at, bytes, why), 0);
        for (size_t off = 0; off < out.bytes; off++) {
                out.at[off] = (char)(out.at[off] ^ 0x40);
                assert_int_not_equal(reading_bytes(out.at, out.bytes, why), 0);
                out.at[off] = (char)(out.at[off] ^ 0x40);
        }
        bt_carry_out_deinit(&out);
}

static void another_version_is_refused_with_its_number(void **state)
{
        struct bt_carry_out out = written();
        char why[BT_CARRY_WHY_BYTES] = "";
        struct bt_carry_head head;
        uint64_t xxh3 = 0;
        int fd = -1;

        (void)state;
        assert_int_equal(bt_carry_seal(&out, &fd, &xxh3), 0);
        (void)close(fd);
        memcpy(&head, out.at, sizeof(head));
        head.version = head.version_oldest = BT_CARRY_VERSION + 1;
        memcpy(out.at, &head, sizeof(head));
        assert_int_not_equal(reading_bytes(out.at, out.bytes, why), 0);
        assert_non_null(strstr(why, "version 2"));
        head.version_oldest = BT_CARRY_VERSION; /* it says that we can */
        memcpy(out.at, &head, sizeof(head));
        head.xxh3 = bt_carry_sum((const struct bt_carry_head *)(const void *)out.at);
        memcpy(out.at, &head, sizeof(head));
        assert_int_equal(reading_bytes(out.at, out.bytes, why), 0);
        bt_carry_out_deinit(&out);
}

static void an_unknown_item_is_refused_with_its_kind(void **state)
{
        struct bt_carry_out out = written();
        char why[BT_CARRY_WHY_BYTES] = "";
        struct bt_carry *carry = NULL;

        (void)state;
        bt_carry_put(&out, (enum bt_carry_kind)99, "new", 4, NULL, 0);
        assert_int_not_equal(reading(&carry, &out, why), 0);
        assert_non_null(strstr(why, "kind 99"));
        bt_carry_out_deinit(&out);
}

static void a_descriptor_is_in_the_list_once(void **state)
{
        struct bt_carry_out out;

        (void)state;
        assert_int_equal(bt_carry_out_init(&out), 0);
        assert_int_equal(bt_carry_put_fd(&out, 7), 0);
        assert_int_equal(bt_carry_put_fd(&out, 100000), 1);
        assert_int_equal(bt_carry_put_fd(&out, 7), 0);
        assert_int_equal(bt_carry_put_fd(&out, -1), BT_CARRY_NONE);
        assert_int_equal(out.fd_count, 2);
        bt_carry_out_deinit(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_is_read_as_it_was_written),
                cmocka_unit_test(words_that_nobody_writes_are_refused_or_harmless),
                cmocka_unit_test(a_byte_that_is_missing_or_another_is_noticed),
                cmocka_unit_test(another_version_is_refused_with_its_number),
                cmocka_unit_test(an_unknown_item_is_refused_with_its_kind),
                cmocka_unit_test(a_descriptor_is_in_the_list_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
