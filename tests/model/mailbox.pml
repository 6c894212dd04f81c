/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of the mailbox (shm/mailbox.h): claims, holes, sleeping and waiting for room, with producers that die at any step. For spin
 * (tests/model/run.cmake runs it; the test is model_mailbox).
 *
 * Watching before sleeping is not modelled: the consumer looks at the slot before it sleeps, whatever it has seen at the tail. The tail is where producers may
 * begin to look, and can be taken back: who publishes moves it by a store, always, where the code does so only while it knows of no other producer; who claims
 * begins there, or behind its own last one.
 *
 * What is modelled: each load, store and compare-and-swap of claim, publish, must_ring, wait_room, take, free and sleep is a step; the kernel kills up to CRASHES
 * producers; the hub sees each death at some later time, repairs, rings. Time passes as it likes: the millisecond of tell_of_room() may be over or not.
 *
 * What must hold:
 *      once     no message is handled twice, and none in two places
 *      sent     when all is quiet every message that was published is handled, and every producer that lives has sent all of its own: nobody sleeps beside
 *               something to do, waits beside room, or behind a dead one
 *      order    the messages of one producer are handled in the order in which it sent them
 *
 * -DPLANT_... plants a bug; the tests model_mailbox_finds_... show that the properties see it.
 *
 * Not modelled: the death of the consumer (every instruction of it is in tests/crash/test_message_steps.c), withdrawal, lies, weak memory (all accesses
 * to these words are sequentially consistent), laps that wrap around, a tail that is laps behind (unit/mailbox).
 */

#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#define PRODUCERS 2
#define EACH 2 /* numbers for the messages of a producer */
#define IDS (PRODUCERS * EACH)
#ifdef MORE
#define COUNT EACH
#else
#define COUNT (EACH - me) /* three messages through two slots: a full mailbox, a second lap */
#endif

mtype = { FREE, CLAIMED, READY, HOLE };

/* ---- shared memory ---- */

mtype state[SLOTS] = FREE;
byte lap[SLOTS];
byte owner[SLOTS];
byte letter[SLOTS];
byte tail;
bool asleep;
bool bell;
bool waiting;
byte room;

/* ---- processes, and what they did ---- */

bool dying[PRODUCERS];
bool dead[PRODUCERS];
bool finished[PRODUCERS];
bool sent[IDS];
bool handled[IDS];
byte next_of[PRODUCERS];
byte crashes = CRASHES;

#define S (pos % SLOTS)
#define LAP (pos / SLOTS)

/* Forward only: bt_mailbox_tail_past(). */
inline tail_past(to)
{
        if
        :: d_step { tail < to -> tail = to }
        :: else
        fi
}

proctype Producer(byte me)
{
        byte n, pos, seen, its_lap, own;
        mtype its;

        {
                do
                :: n == COUNT -> break
                :: n < COUNT ->
claim:
                        if
                        :: pos = tail
                        :: own > 0 -> pos = own
                        fi;
look:
                        atomic { its = state[S]; its_lap = lap[S] }
                        if
                        :: its_lap == LAP && its == FREE ->
                                if
                                :: d_step { lap[S] == LAP && state[S] == FREE -> state[S] = CLAIMED; owner[S] = me; own = pos + 1; its = FREE; its_lap = 0 }
                                :: else -> goto look
                                fi
                        :: its_lap == LAP && its != FREE || its_lap > LAP ->
#ifdef PLANT_OWN_TAIL
                                tail > pos; /* left to the one that claimed it */
                                pos = tail;
#else
                                if
                                :: tail > pos -> pos = tail
                                :: else -> pos++
                                fi;
#endif
                                goto look
                        :: its_lap + 1 == LAP ->
                                /* full: bt_mailbox_wait_room() */
                                tail_past(pos);
                                seen = room;
                                waiting = true;
#ifndef PLANT_BLIND_WAIT
                                pos = tail;
                                if
                                :: lap[S] + 1 == LAP
                                :: else -> goto claim
                                fi;
#endif
                                room != seen;
                                goto claim
                        fi;
                        d_step {
                                state[S] == CLAIMED && lap[S] == LAP && owner[S] == me ->
                                letter[S] = me * EACH + n; /* nobody reads it before */
                                state[S] = READY;
                                sent[me * EACH + n] = true
                        };
                        tail = pos + 1; /* a store: it may be back behind somebody else's */
                        if
                        :: asleep ->
                                if
                                :: d_step { asleep -> asleep = false }; bell = true
                                :: else
                                fi
                        :: else
                        fi;
                        d_step { n++; pos = 0; seen = 0 }
                od;
                finished[me] = true
        } unless {
                dying[me];
                d_step { dead[me] = true; n = 0; pos = 0; seen = 0; own = 0; its = FREE; its_lap = 0 }
        }
}

active proctype Consumer()
{
        byte pos, id;
        mtype its;

        do
        :: its = state[S];
                if
                :: its == READY || its == HOLE ->
                        if
                        :: its == READY ->
                                d_step {
                                        id = letter[S];
                                        assert(!handled[id]);                    /* once */
                                        assert(next_of[id / EACH] == id % EACH); /* order */
                                        handled[id] = true;
                                        next_of[id / EACH] = id % EACH + 1;
                                        id = 0
                                }
                        :: else
                        fi;
                        d_step { state[S] = FREE; owner[S] = 0; letter[S] = 0; lap[S] = LAP + 1; pos++; its = FREE };
                        /* tell_of_room(): half of it is free, or a while has gone by */
                        if
                        :: waiting ->
                                if
                                :: waiting = false; room++
                                :: tail > pos + SLOTS / 2
                                fi
                        :: else
                        fi
                :: else ->
                        asleep = true;
#ifndef PLANT_BLIND_SLEEP
                        its = state[S];
#endif
                        if
                        :: its == READY || its == HOLE -> asleep = false
                        :: else ->
                                bell;
                                bell = false;
                                d_step { asleep = false; its = FREE }
                        fi
                fi
        od
}

active proctype Kernel()
{
        byte p;

        do
        :: crashes > 0 ->
                if
                :: p = 0
                :: p = 1
                fi;
                d_step { crashes--; dying[p] = true; p = 0 }
        :: break
        od
}

/* Sees each death once, at any later time. */
active proctype Hub()
{
        byte p, i;
        bool buried[PRODUCERS];

        do
        :: dead[0] && !buried[0] -> p = 0; goto bury
        :: dead[1] && !buried[1] -> p = 1;
bury:
                buried[p] = true;
                for (i : 0 .. SLOTS - 1) {
                        if
                        :: d_step { state[i] == CLAIMED && owner[i] == p -> state[i] = HOLE }
                        :: else
                        fi
                }
#ifndef PLANT_SILENT_REPAIR
                bell = true
#endif
        od
}

/* Nothing can happen any more. */
active proctype Quiet()
{
        byte i;

        timeout;
        for (i : 0 .. IDS - 1) {
                assert(!sent[i] || handled[i]) /* sent */
        }
        for (i : 0 .. PRODUCERS - 1) {
                assert(dead[i] || finished[i]) /* sent */
        }
}

init
{
        atomic {
                run Producer(0);
                run Producer(1)
        }
}
