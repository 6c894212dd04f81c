/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All interleavings of predecessor, successor and hub over the real functions of the holder word, with a death possible before every step.
 *
 * A state of the model is the word, the processes, and what the hub knows. Each actor's program is cut into the steps of
 * docs/architecture.md, one shared access a step; the model tries every step of every actor from every state it finds (breadth first, each state
 * once), and with it every delay: a process that is not chosen for a while is a process that was stopped for a while.
 *
 *      hub       start a successor, offer, withdraw (its deadline passed), kill, see an exit, and then reclaim, give back or grant
 *      process   parked -> restoring -> (confirm) holding -> captured -> (pass) passed -> RESUME or RETIRE; refusing; dying
 *
 * In every state:
 *
 *      I1   never two alive that serve, restore or could go on writing without asking the word again
 *      I1'  who serves is the word's holder, unless it has been fenced: then its next move of the word fails
 *           (a holder loses the word only by its own hand or after its exit was seen)
 *      fence   when no swap is under way, one whose exit was seen can move nothing, were it to wake up after all (a wrong pid, a stale handle)
 *      valid   the word is one that bt_word_valid() takes
 *
 * From every state:
 *
 *      I4   without another death or another deadline, somebody comes to serve again, or the word is vacant and the hub may start the next
 *
 * The state machine of the hub here is the smallest one that follows the protocol; the real one has tests of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/baton.h"

#define INCS 6 /* incarnations 1 .. 6: swaps in a row, and restarts, overlap */
#define MAIL 15
#define STATES_MAX (1u << 22)

enum life { UNBORN, ALIVE, KILLED_UNSEEN, GONE }; /* unseen: dead, and the hub does not know */

enum stage {
        PARKED,
        RESTORING, /* has seen PASSED; may write what belongs to it */
        HOLDING,   /* serves, without looking at the word before each item */
        LEAVING,   /* the same, and was told of an heir */
        CAPTURED,  /* has answered its last request; next: pass */
        PASSED,    /* waits for RESUME or RETIRE */
        ENDING,    /* refused, or retired: touches nothing any more */
};

struct proc {
        uint8_t life;
        uint8_t stage;
        uint8_t heir;       /* LEAVING and later: whom it passes to */
        uint8_t mail[MAIL]; /* its ring, oldest first: what the hub says arrives in order */
};

enum letter { NOTHING = 0, RESUME = 0x10, RETIRE = 0x20 }; /* others: HANDOVER to the heir of that number */

enum hub_phase { IDLE, STARTING, OFFERED, UNDOING };

struct model {
        uint64_t word;
        struct proc procs[INCS + 1];
        uint8_t hub;
        uint8_t cur;  /* whom the hub believes to hold, 0 none */
        uint8_t succ; /* of the swap under way */
        uint8_t next; /* next number */
        uint8_t pad[6];
};

static_assert(sizeof(struct model) == 144, "compared as bytes: no holes");

static struct bt_baton baton; /* the functions work on this one; the word is copied in and out */

/* ---- steps of a process ---- */

/* Each returns true when it could be taken; @m is changed then. */
typedef bool (*step_fn)(struct model *m, uint8_t who);

static bool alive(const struct model *m, uint8_t who, enum stage stage)
{
        return m->procs[who].life == ALIVE && m->procs[who].stage == stage;
}

static bool see_passed(struct model *m, uint8_t who)
{
        struct bt_word w = bt_word_unpack(m->word);

        if (!alive(m, who, PARKED) || w.phase != BT_WORD_PASSED || w.holder != who)
                return false;
        m->procs[who].stage = RESTORING;
        return true;
}

static bool confirm(struct model *m, uint8_t who)
{
        if (!alive(m, who, RESTORING))
                return false;
        m->procs[who].stage = bt_baton_confirm(&baton, who) ? ENDING : HOLDING;
        return true;
}

static bool refuse(struct model *m, uint8_t who)
{
        struct bt_word w = bt_word_unpack(m->word);

        if (!alive(m, who, RESTORING))
                return false;
        m->procs[who].stage = ENDING;
        if (w.heir)
                (void)bt_baton_give_back(&baton, who, w.heir);
        return true;
}

static bool capture(struct model *m, uint8_t who)
{
        if (!alive(m, who, LEAVING))
                return false;
        m->procs[who].stage = CAPTURED;
        return true;
}

/* An offer that was withdrawn fails the compare; the process then goes on, as child-api/child.c does. */
static bool pass(struct model *m, uint8_t who)
{
        if (!alive(m, who, CAPTURED))
                return false;
        m->procs[who].stage = bt_baton_pass(&baton, who, m->procs[who].heir) ? HOLDING : PASSED;
        return true;
}

static void on_letter(struct proc *p, uint8_t letter)
{
        if (letter == RETIRE) {
                p->stage = ENDING;
        } else if (letter == RESUME) {
                if (p->stage == PASSED || p->stage == LEAVING)
                        p->stage = HOLDING;
        } else if (p->stage == HOLDING) {
                p->stage = LEAVING;
                p->heir = letter;
        }
}

static bool read_mail(struct model *m, uint8_t who)
{
        struct proc *p = &m->procs[who];
        uint8_t letter = p->mail[0];

        /* Capture and pass are one turn: mail is read before and after it. */
        if (p->life != ALIVE || !letter || p->stage == CAPTURED || p->stage == ENDING)
                return false;
        memmove(p->mail, p->mail + 1, MAIL - 1);
        p->mail[MAIL - 1] = NOTHING;
        on_letter(p, letter);
        return true;
}

/* By itself, by the kernel, by an operator. */
static bool die(struct model *m, uint8_t who)
{
        if (m->procs[who].life != ALIVE)
                return false;
        /* What it was about to do is of no interest any more: fewer states. */
        m->procs[who] = (struct proc){.life = KILLED_UNSEEN};
        return true;
}

/* One that has nothing left to do exits; that is no failure. */
static bool end(struct model *m, uint8_t who)
{
        return alive(m, who, ENDING) && die(m, who);
}

/* ---- steps of the hub ---- */

static void say(struct model *m, uint8_t who, uint8_t letter)
{
        struct proc *p = &m->procs[who];
        size_t at = 0;

        if (p->life != ALIVE || p->stage == ENDING)
                return;
        while (at < MAIL && p->mail[at])
                at++;
        assert_true(at < MAIL); /* the real ring has 16 */
        p->mail[at] = letter;
}

static uint8_t born(struct model *m)
{
        uint8_t who = m->next;

        if (who > INCS)
                return 0;
        m->next++;
        m->procs[who] = (struct proc){.life = ALIVE, .stage = PARKED};
        return who;
}

/* First start, and restart after a crash. */
static bool hub_start(struct model *m, uint8_t who)
{
        (void)who;
        if (m->hub != IDLE || m->cur || bt_word_unpack(m->word).phase != BT_WORD_VACANT || m->next > INCS)
                return false;
        m->cur = born(m);
        assert_int_equal(bt_baton_grant(&baton, m->cur), 0);
        return true;
}

static bool hub_begin_swap(struct model *m, uint8_t who)
{
        (void)who;
        if (m->hub != IDLE || !m->cur || m->procs[m->cur].life == GONE || m->next > INCS ||
            bt_word_unpack(m->word).phase != BT_WORD_HELD)
                return false;
        m->succ = born(m);
        m->hub = STARTING;
        return true;
}

static bool hub_offer(struct model *m, uint8_t who)
{
        (void)who;
        if (m->hub != STARTING || !m->cur)
                return false;
        m->hub = OFFERED;
        if (bt_baton_offer(&baton, m->cur, m->succ) == 0)
                say(m, m->cur, m->succ);
        return true;
}

/* The deadline of the swap passed: withdraw, and kill the successor whatever came of that. */
static bool hub_timeout(struct model *m, uint8_t who)
{
        (void)who;
        if (m->hub != OFFERED && m->hub != STARTING)
                return false;
        if (m->cur && bt_baton_withdraw(&baton, m->cur, m->succ) == 0)
                say(m, m->cur, RESUME);
        m->hub = UNDOING;
        (void)die(m, m->succ);
        return true;
}

/* The successor said RESTORED (the hub looks at the word, not at what was said). */
static bool hub_commit(struct model *m, uint8_t who)
{
        struct bt_word w = bt_word_unpack(m->word);

        (void)who;
        if ((m->hub != OFFERED && m->hub != UNDOING) || w.phase != BT_WORD_HELD || w.holder != m->succ)
                return false;
        if (m->cur)
                say(m, m->cur, RETIRE);
        m->cur = m->succ;
        m->succ = 0;
        m->hub = IDLE;
        return true;
}

/*
 * Both are dead, and seen to be. The word may name either: a successor that refused gave it back to a predecessor that had died meanwhile. So
 * whoever it names is fenced, and no number that the hub remembers is asked.
 */
static void vacate(void)
{
        assert_int_equal(bt_baton_reclaim(&baton, bt_baton_word(&baton).holder), 0);
}

/* Its successor is dead. Whoever is left gets the word. */
static void succ_gone(struct model *m)
{
        struct bt_word w = bt_word_unpack(m->word);
        uint8_t succ = m->succ;

        m->succ = 0;
        m->hub = IDLE;
        if (m->cur && (bt_baton_withdraw(&baton, m->cur, succ) == 0 || bt_baton_give_back(&baton, succ, m->cur) == 0 ||
                       (w.phase == BT_WORD_HELD && w.holder == m->cur)))
                say(m, m->cur, RESUME);
        else if (!m->cur)
                vacate();
}

/* The predecessor, or the only one, is dead. What it held is vacant; a successor that is there gets it. */
static void cur_gone(struct model *m)
{
        uint8_t cur = m->cur;
        bool held = bt_baton_reclaim(&baton, cur) == 0;

        m->cur = 0;
        if (m->hub == IDLE || m->hub == UNDOING || !held)
                return;
        assert_int_equal(bt_baton_grant(&baton, m->succ), 0);
        m->hub = OFFERED;
}

static bool hub_see_exit(struct model *m, uint8_t who)
{
        struct bt_word w = bt_word_unpack(m->word);

        if (m->procs[who].life != KILLED_UNSEEN)
                return false;
        m->procs[who].life = GONE;
        if (who == m->succ && w.holder == who && w.phase == BT_WORD_HELD) {
                (void)hub_commit(m, 0); /* confirmed before it died: a crash of the new holder */
                cur_gone(m);
        } else if (who == m->succ) {
                succ_gone(m);
        } else if (who == m->cur) {
                cur_gone(m);
        }
        return true;
}

/* ---- the search ---- */

static const struct {
        step_fn fn;
        const char *name;
        bool failure; /* not to be counted on when the service is to come back */
} steps[] = {
        {see_passed, "see_passed", false}, {confirm, "confirm", false},         {refuse, "refuse", true},
        {capture, "capture", false},       {pass, "pass", false},               {read_mail, "read_mail", false},
        {die, "die", true},                {end, "end", false},                 {hub_see_exit, "hub_see_exit", false},
        {hub_start, "hub_start", false},   {hub_begin_swap, "hub_begin_swap", true}, {hub_offer, "hub_offer", false},
        {hub_timeout, "hub_timeout", true}, {hub_commit, "hub_commit", false},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))
#define HUB_STEPS 9 /* from here on it does not matter who */

static uint8_t last_who(size_t step)
{
        return step < HUB_STEPS ? INCS : 1;
}

static struct model *found;     /* in order of discovery */
static uint32_t *parent;        /* how each was found, to tell the story of a failure */
static uint8_t *parent_step, *parent_who;
static uint32_t *table;         /* hash of found: index + 1 */
static uint32_t found_count;

static uint64_t hash(const struct model *m)
{
        const uint8_t *at = (const uint8_t *)m;
        uint64_t h = UINT64_C(1469598103934665603);

        for (size_t i = 0; i < sizeof(*m); i++)
                h = (h ^ at[i]) /* NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult): models begin zeroed, padding included */
                    * UINT64_C(1099511628211);
        return h ^ h >> 29;
}

/* The index of @m; a new one is added, found by @step of @who from @from. */
static uint32_t index_of(const struct model *m, uint32_t from, size_t step, uint8_t who)
{
        uint64_t slot = hash(m);

        for (;; slot++) {
                uint32_t *at = &table[slot % (2 * STATES_MAX)];

                if (*at && memcmp(&found[*at - 1], m, sizeof(*m)) != 0)
                        continue;
                if (!*at) {
                        assert_true(found_count < STATES_MAX);
                        found[found_count] = *m;
                        parent[found_count] = from;
                        parent_step[found_count] = (uint8_t)step;
                        parent_who[found_count] = who;
                        *at = ++found_count;
                }
                return *at - 1;
        }
}

static bool try_step(const struct model *from, size_t step, uint8_t who, struct model *ret_to)
{
        *ret_to = *from;
        atomic_store(&baton.word, from->word);
        if (!steps[step].fn(ret_to, who))
                return false;
        ret_to->word = atomic_load(&baton.word);
        return true;
}

static void tell_story(uint32_t idx)
{
        uint32_t path[256], count = 0;

        for (uint32_t i = idx; i && count < 256; i = parent[i])
                path[count++] = i;
        while (count) {
                uint32_t i = path[--count];
                struct bt_word w = bt_word_unpack(found[i].word);

                print_message("%-15s %u   phase %u holder %u heir %u\n", steps[parent_step[i]].name, parent_who[i], w.phase,
                              (unsigned)w.holder, (unsigned)w.heir);
        }
}

static void expect(bool ok, uint32_t idx, const char *what)
{
        if (ok)
                return;
        tell_story(idx);
        fail_msg("%s", what);
}

/* True when @who cannot move the word by anything that is a process's to do. */
static bool fenced(uint64_t word, uint8_t who)
{
        int moved = 0;

        atomic_store(&baton.word, word);
        moved += bt_baton_serves(&baton, who);
        moved += bt_baton_confirm(&baton, who) == 0;
        moved += bt_baton_release(&baton, who) == 0;
        for (uint8_t other = 0; other <= INCS; other++) {
                moved += bt_baton_pass(&baton, who, other) == 0;
                moved += bt_baton_give_back(&baton, who, other) == 0;
        }
        return !moved && atomic_load(&baton.word) == word;
}

static void check_state(uint32_t idx)
{
        const struct model *m = &found[idx];
        struct bt_word w = bt_word_unpack(m->word);
        int writers = 0;

        expect(bt_word_valid(m->word), idx, "the word is not valid");
        for (uint8_t i = 1; i <= INCS; i++) {
                const struct proc *p = &m->procs[i];

                if (p->life == GONE && m->hub == IDLE)
                        expect(fenced(m->word, i), idx, "a dead one could move the word");
                if (p->life != ALIVE || (p->stage != HOLDING && p->stage != LEAVING && p->stage != CAPTURED && p->stage != RESTORING))
                        continue;
                writers++;
                expect(w.holder == i, idx, "one that does not hold the word serves or restores");
                expect(p->stage == RESTORING ? w.phase == BT_WORD_PASSED : w.phase == BT_WORD_HELD || w.phase == BT_WORD_OFFERED, idx,
                       "it serves while the word says that nobody does");
        }
        expect(writers <= 1, idx, "two serve");
}

/* Service, or the right to start it. Where the model has run out of numbers, a vacant word is the same. */
static bool is_goal(const struct model *m)
{
        struct bt_word w = bt_word_unpack(m->word);

        if (w.phase == BT_WORD_VACANT)
                return !m->cur && m->hub == IDLE;
        return (w.phase == BT_WORD_HELD || w.phase == BT_WORD_OFFERED) && m->procs[w.holder].life == ALIVE &&
               (m->procs[w.holder].stage == HOLDING || m->procs[w.holder].stage == LEAVING);
}

static void explore(void)
{
        const struct model first = {.next = 1};

        (void)index_of(&first, 0, 0, 0);
        for (uint32_t i = 0; i < found_count; i++) {
                check_state(i);
                for (size_t step = 0; step < STEPS; step++)
                        for (uint8_t who = 1; who <= last_who(step); who++) {
                                struct model from = found[i], to;

                                if (try_step(&from, step, who, &to))
                                        (void)index_of(&to, i, step, who);
                        }
        }
}

/* Marks all states from which a goal is reached without failures; to a fixed point, backwards over the order of discovery. */
static void check_recovery(void)
{
        uint8_t *good = calloc(found_count, 1);
        bool more = true;

        assert_non_null(good);
        for (uint32_t i = 0; i < found_count; i++)
                good[i] = is_goal(&found[i]);
        while (more) {
                more = false;
                for (uint32_t i = found_count; i-- > 0;)
                        for (size_t step = 0; step < STEPS && !good[i]; step++)
                                for (uint8_t who = 1; who <= last_who(step) && !good[i]; who++) {
                                        struct model to;

                                        if (steps[step].failure || !try_step(&found[i], step, who, &to))
                                                continue;
                                        good[i] = good[index_of(&to, i, step, who)];
                                        more |= good[i];
                                }
        }
        for (uint32_t i = 0; i < found_count; i++)
                expect(good[i], i, "nobody will serve again");
        free(good);
}

static void no_interleaving_has_two_holders_or_none_for_ever(void **state)
{
        uint32_t served[INCS + 1] = {0}, given_back = 0;

        (void)state;
        found = calloc(STATES_MAX, sizeof(*found));
        parent = calloc(STATES_MAX, sizeof(*parent));
        parent_step = calloc(STATES_MAX, 1);
        parent_who = calloc(STATES_MAX, 1);
        table = calloc(2 * STATES_MAX, sizeof(*table));
        assert_true(found && parent && parent_step && parent_who && table);

        explore();
        check_recovery();
        for (uint32_t i = 0; i < found_count; i++) {
                struct bt_word w = bt_word_unpack(found[i].word);

                if (w.phase == BT_WORD_HELD && found[i].procs[w.holder].life == ALIVE)
                        served[w.holder]++;
                given_back += w.phase == BT_WORD_HELD && found[i].next > w.holder + 1 && !found[i].succ;
        }
        print_message("%u states\n", found_count);
        for (int i = 1; i <= INCS; i++)
                assert_true(served[i]); /* the model gets everywhere */
        assert_true(given_back);
        free(found);
        free(parent);
        free(parent_step);
        free(parent_who);
        free(table);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_interleaving_has_two_holders_or_none_for_ever),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
