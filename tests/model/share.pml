/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of a queue that a pool shares (shm/share.h): takes, the way of next, sleeping, and members that die at any step and are settled by the hub. For spin (tests/model/run.cmake runs it; the test is model_share).
 *
 * What is modelled: each load, store and compare-and-swap of take, done, settle, sleep and of a producer is a step; the kernel kills up to CRASHES members; the
 * hub sees each death at some later time, settles, rings, and starts the member's next process, with another number.
 *
 * What must hold:
 *      once     no message is done twice
 *      sent     when all is quiet every message is done, and the producer has sent all of its own: nobody sleeps beside a message, and none lies where no member looks
 *
 * -DPLANT_... plants a bug; the tests model_share_finds_... show that the properties see it.
 *
 * Not modelled: a ring that comes round, and slots that are carried over (tests/unit/test_share.c), the death of producers (mailbox.pml) and of the hub (every instruction of settling is in tests/crash/test_share_steps.c), withdrawal, lies, weak
 * memory, laps and generations that wrap around.
 */

#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef COUNT
#define COUNT 2 /* not more than SLOTS */
#endif
#define MEMBERS 2
#define NOBODY 99

mtype = { FREE, READY, TAKEN };

/* ---- shared memory ---- */

mtype state[SLOTS] = FREE;
byte lap[SLOTS];
byte taker[SLOTS];
byte letter[SLOTS];
byte tail;
byte next_pos;
byte next_gen;
bool asleep[MEMBERS];
bool bell[MEMBERS]; /* the one bell, as each of them hears it */

/* the desks */
byte claim[MEMBERS]; /* 1 + position */
byte claim_for[MEMBERS];
byte claim_owner[MEMBERS];
byte cursor[MEMBERS];

/* ---- processes, and what they did ---- */

byte number[MEMBERS]; /* of the member's process: never given twice */
byte number_next = MEMBERS;
bool dying[MEMBERS];
bool dead[MEMBERS];
bool finished;
bool done[COUNT];
byte crashes = CRASHES;

#define S (pos % SLOTS)
#define LAP (pos / SLOTS)
#define C ((claim[m] - 1) % SLOTS)

inline ring_all() { d_step { bell[0] = true; bell[1] = true } }

/* The load of the one word in next, and its compare-and-swap. */
inline next_past()
{
        if
        :: d_step { next_pos == pos && next_gen == gen -> next_pos = pos + 1 }
        :: else
        fi
}

/* Claim and publish are one here: the only producer, and it does not die. */
active proctype Producer()
{
        byte pos;

        do
        :: tail == COUNT -> break
        :: tail < COUNT ->
                pos = tail;
                d_step { assert(state[S] == FREE && lap[S] == LAP); state[S] = READY; letter[S] = pos }
                tail = pos + 1;
                if
                :: asleep[0] || asleep[1] -> ring_all()
                :: else
                fi;
                pos = 0
        od;
        finished = true
}

proctype Member(byte m)
{
        byte pos, gen, id;
        mtype its;
        byte its_lap;

start:
        {
                do
                :: d_step { pos = next_pos; gen = next_gen }
                        d_step { its = state[S]; its_lap = lap[S] }
                        if
                        :: its_lap == LAP && its == READY ->
#ifndef PLANT_LATE_CLAIM
                                d_step { claim_for[m] = cursor[m]; claim_owner[m] = number[m]; claim[m] = pos + 1 }
#endif
                                if
                                :: d_step { state[S] == READY && lap[S] == LAP -> state[S] = TAKEN; taker[S] = number[m] }
#ifdef PLANT_LATE_CLAIM
                                        d_step { claim_for[m] = cursor[m]; claim_owner[m] = number[m]; claim[m] = pos + 1 }
#endif
                                        next_past();
                                        /* The commit: what it did and the cursor's move are one (shm/desk.h). */
                                        d_step {
                                                id = letter[S];
                                                assert(!done[id]); /* once */
                                                done[id] = true;
                                                cursor[m]++;
                                                id = 0
                                        }
                                        /* Nobody but a producer changes the word meanwhile, and only its lap. */
                                        d_step { assert(state[S] == TAKEN && taker[S] == number[m]); state[S] = FREE; lap[S]++; taker[S] = 0 }
                                        claim[m] = 0
                                :: else
                                fi
                        :: its_lap > LAP || its_lap == LAP && its == TAKEN ->
                                next_past()
                        :: its_lap < LAP || its_lap == LAP && its == FREE ->
                                claim[m] = 0;
                                asleep[m] = true;
                                d_step { pos = next_pos; its = state[S]; its_lap = lap[S] }
#ifdef PLANT_BLIND_SLEEP
                                its_lap = LAP; its = FREE;
#endif
                                if
                                :: its_lap > LAP || its_lap == LAP && its != FREE -> asleep[m] = false
                                :: else ->
                                        bell[m];
                                        d_step { bell[m] = false; asleep[m] = false }
                                fi
                        fi;
                        d_step { pos = 0; gen = 0; its = FREE; its_lap = 0 }
                od
        } unless {
                dying[m];
                d_step { dying[m] = false; dead[m] = true; pos = 0; gen = 0; id = 0; its = FREE; its_lap = 0 }
        };
        /* Its next process. */
        !dead[m];
        goto start
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
                !dying[p] && !dead[p];
                d_step { crashes--; dying[p] = true; p = 0 }
        :: break
        od
}

/* Sees each death at any later time. */
active proctype Hub()
{
        byte m, pos;

        do
        :: dead[0] -> m = 0; goto settle
        :: dead[1] -> m = 1;
settle:
                asleep[m] = false;
                if
                :: claim[m] && cursor[m] != claim_for[m] -> /* done */
                        if
                        :: d_step { state[C] == TAKEN && taker[C] == claim_owner[m] -> state[C] = FREE; lap[C]++; taker[C] = 0 }
                        :: else
                        fi
                :: claim[m] && cursor[m] == claim_for[m] ->
                        if
                        :: d_step { state[C] == TAKEN && taker[C] == claim_owner[m] -> state[C] = READY; taker[C] = 0 }
                        :: else
                        fi;
                        pos = lap[C] * SLOTS + C;
#ifndef PLANT_LOST
                        if
                        :: state[C] == READY ->
#ifdef PLANT_NO_GENERATION
                                d_step { next_pos = (next_pos < pos -> next_pos : pos) }
#else
                                d_step { next_pos = (next_pos < pos -> next_pos : pos); next_gen++ }
#endif
                        :: else
                        fi
#endif
                :: else
                fi;
                claim[m] = 0;
                ring_all();
                d_step { number[m] = number_next; number_next++; bell[m] = true; dead[m] = false; m = 0; pos = 0 }
        od
}

/* Nothing can happen any more. */
active proctype Quiet()
{
        byte i;

        timeout;
        for (i : 0 .. COUNT - 1) {
                assert(done[i]) /* sent */
        }
        assert(finished)
}

init
{
        atomic {
                number[0] = 0;
                number[1] = 1;
                run Member(0);
                run Member(1)
        }
}
