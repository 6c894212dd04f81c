/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each key alone cannot tell: limits inside limits.
 *
 * An outer limit that is shorter than an inner one wins; the inner one is then a number that does nothing. That is legal, and a surprise
 * at the worst moment, so `check` and `run` warn. The nesting:
 *
 *      hot    child_migration_timeout ( start, ready, handover_data_wait ( capture ) , restored )      then retention
 *      cold   child_migration_timeout ( state_query_timeout ( capture ), shutdown ( exit ), start, restored )
 *      stop   shutdown_timeout ( handover_data_wait ( capture ), shutdown ( exit ) )      the hub's, over all children
 *      move   consent_limit ( consent_timeout ( answer ), consent_retry ( .. ) )      from the first "later" of a child on
 *      state_ttl runs from the capture: through the rest of a cold swap
 *      max_restarts within max_seconds, with the back-off between restarts
 *
 * On a node that has `defaults` a child is another one: it is looked at with those of each node, too.
 *
 * A warning needs at least one of its limits to be written down by the user: defaults do not warn about defaults.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <baton/types.h>

#include "base/clock.h"
#include "supervisor/baton/reader.h"
#include "supervisor/baton/text.h"

#define BACKOFF_STEPS_MAX 1000 /* the back-off has long reached its maximum */

/*
 * The place of the first of @keys that was written: in the child, or in the defaults of the node that the child is looked at with. NULL: in neither. The
 * child's own keys count on every node, and were warned about when it was looked at by itself.
 */
static const struct bt_mark *blame(const struct bt_reader *reader,
                                   const struct bt_config_child *child, const char *const *keys)
{
        for (; *keys; keys++) {
                const struct bt_yaml *own = bt_yaml_get(child->node, *keys);
                const struct bt_yaml *node =
                        reader->on ? bt_yaml_get(reader->on->defaults, *keys) : NULL;

                if (own && !reader->on)
                        return &own->mark;
                if (node && !own)
                        return &node->mark;
        }
        return reader->on ? NULL : &child->mark;
}

__attribute__((format(printf, 4, 5))) static void warn(struct bt_reader *reader,
                                                       const struct bt_config_child *child,
                                                       const char *const *keys, const char *format,
                                                       ...)
{
        const struct bt_mark *mark = blame(reader, child, keys);
        char text[512];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (!mark)
                return;
        if (reader->on)
                bt_diag_warning(reader->diag, *mark, "'%s' on the node '%s': %s", child->name,
                                reader->on->name, text);
        else
                bt_diag_warning(reader->diag, *mark, "%s", text);
}

static void check_hot(struct bt_reader *reader, const struct bt_config_child *child)
{
        static const char *const keys[] = {"handover_data_wait", "child_migration_timeout", NULL};
        const struct bt_plan_child *spec = &child->spec;
        char inner[BT_TEXT_NUMBER_BYTES], outer[BT_TEXT_NUMBER_BYTES];

        if (spec->handover_data_wait_ns <= spec->child_migration_timeout_ns)
                return;
        bt_text_duration(inner, spec->handover_data_wait_ns);
        bt_text_duration(outer, spec->child_migration_timeout_ns);
        warn(reader, child, keys,
             "handover_data_wait (%s) is never reached: child_migration_timeout (%s) "
             "ends the swap before",
             inner, outer);
}

static void check_cold(struct bt_reader *reader, const struct bt_config_child *child)
{
        static const char *const keys[] = {"child_migration_timeout", "shutdown",
                                           "state_query_timeout", NULL};
        const struct bt_plan_child *spec = &child->spec;
        uint64_t query_ns = spec->handover ? spec->state_query_timeout_ns : 0;
        char query[BT_TEXT_NUMBER_BYTES], end[BT_TEXT_NUMBER_BYTES], outer[BT_TEXT_NUMBER_BYTES];

        /* `infinity` is a decision, and one limit that ends it is what it asks for. */
        if (spec->shutdown_ns == BT_NS_INFINITE ||
            bt_ns_add(query_ns, spec->shutdown_ns) <= spec->child_migration_timeout_ns)
                return;
        bt_text_duration(query, query_ns);
        bt_text_duration(end, spec->shutdown_ns);
        bt_text_duration(outer, spec->child_migration_timeout_ns);
        warn(reader, child, keys,
             "child_migration_timeout (%s) ends a cold swap before state_query_timeout "
             "(%s) and shutdown (%s) "
             "can pass",
             outer, query, end);
}

static void check_ttl(struct bt_reader *reader, const struct bt_config_child *child)
{
        static const char *const keys[] = {"state_ttl", "shutdown", NULL};
        const struct bt_plan_child *spec = &child->spec;
        char ttl[BT_TEXT_NUMBER_BYTES], end[BT_TEXT_NUMBER_BYTES];

        if (!spec->handover || spec->shutdown_ns == BT_NS_INFINITE ||
            spec->state_ttl_ns > spec->shutdown_ns)
                return;
        bt_text_duration(ttl, spec->state_ttl_ns);
        bt_text_duration(end, spec->shutdown_ns);
        warn(reader, child, keys,
             "state_ttl (%s) is not longer than shutdown (%s): the state of a child "
             "that takes its time to end is "
             "too old to be handed over",
             ttl, end);
}

/* The shortest time in which max_restarts + 1 restarts can happen: the sum of the back-offs between them. */
static uint64_t restarts_ns_min(const struct bt_plan_child *spec)
{
        uint64_t sum = 0, step = spec->backoff_min_ns;

        for (uint32_t i = 0; i < spec->max_restarts && i < BACKOFF_STEPS_MAX; i++) {
                step = step > spec->backoff_max_ns / 2 ? spec->backoff_max_ns : step * 2;
                sum = bt_ns_add(sum, step);
        }
        return sum;
}

static void check_restarts(struct bt_reader *reader, const struct bt_config_child *child)
{
        static const char *const keys[] = {"max_restarts", "max_seconds", "backoff", NULL};
        const struct bt_plan_child *spec = &child->spec;
        char window[BT_TEXT_NUMBER_BYTES], least[BT_TEXT_NUMBER_BYTES];
        uint64_t least_ns = restarts_ns_min(spec);

        if (spec->restart == BT_RESTART_TEMPORARY || spec->max_restarts == UINT32_MAX ||
            least_ns <= spec->max_seconds_ns)
                return;
        bt_text_duration(window, spec->max_seconds_ns);
        bt_text_duration(least, least_ns);
        warn(reader, child, keys,
             "max_restarts (%" PRIu32
             ") in max_seconds (%s) is never reached: with this back-off so many restarts "
             "take at least %s, so the child is restarted for ever",
             spec->max_restarts, window, least);
}

static void check_backoff(struct bt_reader *reader, const struct bt_config_child *child)
{
        static const char *const keys[] = {"healthy", NULL};
        char healthy[BT_TEXT_NUMBER_BYTES];

        if (!bt_yaml_get(child->node, "healthy") || child->spec.restart != BT_RESTART_TEMPORARY)
                return;
        bt_text_duration(healthy, child->spec.healthy_ns);
        warn(reader, child, keys, "healthy (%s) does nothing: a temporary child is never restarted",
             healthy);
}

/* As for a cold swap: `infinity` is a decision, and this is the limit that ends it. */
static void check_stop(struct bt_reader *reader, const struct bt_config_child *child)
{
        static const char *const keys[] = {"shutdown", "handover_data_wait", NULL};
        const struct bt_plan_child *spec = &child->spec;
        uint64_t outer_ns = reader->config->shutdown_timeout_ns;
        bool keeps = spec->handover && spec->state_form != BATON_STATE_NONE;
        uint64_t wait_ns = keeps ? spec->handover_data_wait_ns : 0;
        char wait[BT_TEXT_NUMBER_BYTES], end[BT_TEXT_NUMBER_BYTES], outer[BT_TEXT_NUMBER_BYTES];

        if (!outer_ns || spec->shutdown_ns == BT_NS_INFINITE ||
            bt_ns_add(wait_ns, spec->shutdown_ns) <= outer_ns)
                return;
        bt_text_duration(wait, wait_ns);
        bt_text_duration(end, spec->shutdown_ns);
        bt_text_duration(outer, outer_ns);
        if (spec->shutdown_ns > outer_ns)
                warn(reader, child, keys,
                     "shutdown (%s) is never reached when the hub stops: shutdown_timeout (%s) "
                     "ends it before",
                     end, outer);
        else
                warn(reader, child, keys,
                     "shutdown_timeout (%s) ends a stop of the hub before handover_data_wait (%s) "
                     "and shutdown (%s) can pass",
                     outer, wait, end);
}

/* The last failed attempt is followed by one more start: without the state. */
static void check_attempts(struct bt_reader *reader, const struct bt_config_child *child)
{
        static const char *const keys[] = {"restore_attempts", NULL};
        const struct bt_plan_child *spec = &child->spec;

        if (!bt_yaml_get(child->node, "restore_attempts") ||
            spec->on_bad_state != BT_BAD_STATE_FRESH || spec->restart == BT_RESTART_TEMPORARY ||
            spec->restore_attempts <= spec->max_restarts)
                return;
        warn(reader, child, keys,
             "restore_attempts (%" PRIu32 ") is more than max_restarts (%" PRIu32
             "): a child that cannot restore its state is given up before it is started "
             "without it",
             spec->restore_attempts, spec->max_restarts);
}

/* A move that was put off is made in the end: what is longer than that limit is never reached. */
static void check_consent(struct bt_reader *reader, const struct bt_config_child *child)
{
        static const char *const keys[] = {"consent_retry", "consent_timeout", "consent_limit",
                                           NULL};
        const struct bt_plan_child *spec = &child->spec;
        bool retry = spec->consent_retry_ns > spec->consent_limit_ns;
        char inner[BT_TEXT_NUMBER_BYTES], outer[BT_TEXT_NUMBER_BYTES];

        if (!retry && spec->consent_timeout_ns <= spec->consent_limit_ns)
                return;
        bt_text_duration(inner, retry ? spec->consent_retry_ns : spec->consent_timeout_ns);
        bt_text_duration(outer, spec->consent_limit_ns);
        warn(reader, child, keys,
             "%s (%s) is never reached: after consent_limit (%s) the child is moved without being "
             "asked",
             retry ? "consent_retry" : "consent_timeout", inner, outer);
}

void bt_check_child(struct bt_reader *reader, const struct bt_config_child *child)
{
        if (child->spec.strategy == BT_STRATEGY_HOT)
                check_hot(reader, child);
        else
                check_cold(reader, child);
        if (child->spec.strategy == BT_STRATEGY_COLD)
                check_ttl(reader, child);
        check_stop(reader, child);
        if (!child->grouped) /* else it is up to the group how many there may be */
                check_restarts(reader, child);
        check_attempts(reader, child);
        check_backoff(reader, child);
        check_consent(reader, child);
}

/* The defaults of a node are defaults, too (COLD-10). */
static void check_replicated(struct bt_reader *reader, const struct bt_config_child *child,
                             const struct bt_config_node *node)
{
        const struct bt_yaml *own = bt_yaml_get(node->defaults, "handover");

        if (own && bt_plan_refused_on(&child->spec, &node->spec))
                bt_diag_error(reader->diag, own->mark,
                              BT_PLAN_REFUSED ": '%s' is replicated: write handover: false there",
                              child->name);
}

/* Each child with the defaults of each node: what is said then names the node. */
void bt_check_on_nodes(struct bt_reader *reader)
{
        const struct bt_config *config = reader->config;

        for (uint32_t i = 0; i < config->node_count; i++) {
                const struct bt_config_node *node = &config->nodes[i];

                for (uint32_t k = 0; node->defaults && k < config->child_count; k++) {
                        struct bt_config_child there = config->children[k];

                        check_replicated(reader, &config->children[k], node);
                        if (!bt_plan_child_on(&there.spec, &config->children[k].spec, &node->spec))
                                continue;
                        reader->on = node;
                        bt_check_child(reader, &there);
                        reader->on = NULL;
                }
        }
}

/* ---- sockets ---- */

static bool same_address(const struct bt_config_socket *a, const struct bt_config_socket *b)
{
        return a->spec.addr_bytes && a->spec.addr_bytes == b->spec.addr_bytes &&
               a->spec.type == b->spec.type &&
               !memcmp(a->spec.addr, b->spec.addr, a->spec.addr_bytes) &&
               !(a->spec.flags & b->spec.flags & BT_PLAN_SOCKET_REUSEPORT);
}

void bt_check_sockets(struct bt_reader *reader)
{
        const struct bt_config *config = reader->config;

        for (uint32_t i = 0; i < config->socket_count; i++) {
                const struct bt_config_socket *socket = &config->sockets[i];

                for (uint32_t j = 0; j < i; j++)
                        if (same_address(socket, &config->sockets[j])) {
                                bt_diag_error(
                                        reader->diag, socket->mark,
                                        "the socket '%s' has the address of '%s' (line %" PRIu32
                                        "): one socket can "
                                        "serve several children",
                                        socket->name, config->sockets[j].name,
                                        config->sockets[j].mark.line);
                                break;
                        }
                if (!socket->used && !bt_diag_count(reader->diag, BT_SEVERITY_ERROR))
                        bt_diag_warning(reader->diag, socket->name_mark,
                                        "no child uses the socket '%s'", socket->name);
        }
}
