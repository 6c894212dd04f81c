/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of the holder word, with a death at every step. For spin (tests/model/run.cmake runs it; the test is model_holder).
 *
 * What is modelled: the word and its compare-and-swaps (shm/baton.h), what a process does between them (child-api/passage.c, child.c), and the hub's part
 * (supervisor/swap/hot.c, cold.c for the decisions, migrate_act.c for the actions, child.c for exits). Each piece names the function it stands for.
 * The kernel kills whom the hub has sent SIGKILL, at any later time, and up to CRASHES others, at any time until it calms down. A process that is
 * stopped and continued is a process that takes no step for a while: that is in every interleaving. Deadlines may be over at any moment. A new
 * binary may refuse, exit or hang wherever it can; any holder may fail to capture, or be mute.
 *
 *      default   hot swaps, up to MIGRATIONS of them one after the other, and the restart policy after them
 *      -DCOLD    the same with cold swaps
 *
 * What must hold:
 *      I1   never two processes serve; nobody serves while another one restores, which may touch the state
 *      I1b  the word is moved only by an actor that its table allows to (no stale actor)
 *      I2   cold: nothing is started while another process lives
 *      I4   when all is quiet one process serves, and the word says so: failures and deaths included
 *      I5   whoever starts from nothing finds the word VACANT: else the hub has to give it a fresh baton, and the state is lost
 *      I7   there is no infinite run (searched for as a non-progress cycle with no progress label anywhere)
 *
 * -DPLANT_... plants a bug; the tests model_holder_finds_... show that the properties see it.
 *
 * Not modelled: the death of the hub (nobody adopts yet), lying processes (tests/property/test_swap_property.c has them), the rings' bounds,
 * weak memory (all moves of the word are sequentially consistent).
 */

#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef MIGRATIONS
#define MIGRATIONS 1
#endif
#define INCS 9 /* incarnation numbers 1 .. 8; 0 is nobody */

mtype = { VACANT, HELD, OFFERED, PASSED };                                    /* the word; PASSED is also the message */
mtype = { NONE, RESTORING, REFUSING, HOLDING, GIVEN, RELEASED };      /* stages of a process */
mtype = { HANDOVER, RESUME, RETIRE, CAPTURE, TERMINATE };                     /* hub to process */
mtype = { READY, RESTORED, REFUSED, NOT_PASSED, CAPTURED };                   /* process to hub; NOT_CAPTURED is as CAPTURED */
mtype = { SUCC_EXIT, PRED_DIED, PRED_GONE, TIMEOUT, CANCEL, NOTHING };        /* what else happens to a migration */
mtype = { STARTING, OFFERING, PASSING, ALONE_STARTING, ALONE, UNDOING, UNDOING_ALONE }; /* hot; STARTING: cold, too */
mtype = { QUERYING, STOPPING, COLD_RESTORING, DROPPING, BACK_STARTING, BACK_RESTORING };
mtype = { SUCCEEDED, FAILED, DOWN };

/* ---- shared memory, processes, the kernel ---- */

mtype phase = HELD;
byte holder = 1;
byte heir = 0;

bool alive[INCS];
bool doomed[INCS]; /* SIGKILL was sent */
mtype stage[INCS] = NONE;
chan to[INCS] = [8] of { mtype, byte };
chan from[INCS] = [4] of { mtype, byte };

bool gone[INCS];   /* dead, and at rest */
byte crashes = CRASHES;

#define SERVES(i) (alive[i] && stage[i] == HOLDING)
#define TOUCHES(i) (alive[i] && stage[i] == RESTORING)
#define SERVING (SERVES(1) + SERVES(2) + SERVES(3) + SERVES(4) + SERVES(5) + SERVES(6) + SERVES(7) + SERVES(8))
#define TOUCHING (TOUCHES(1) + TOUCHES(2) + TOUCHES(3) + TOUCHES(4) + TOUCHES(5) + TOUCHES(6) + TOUCHES(7) + TOUCHES(8))
#define LIVING (alive[1] + alive[2] + alive[3] + alive[4] + alive[5] + alive[6] + alive[7] + alive[8])

inline become(i, what)
{
        d_step {
                stage[i] = what;
                assert(SERVING <= 1);                  /* I1 */
                assert(!(SERVING > 0 && TOUCHING > 0)) /* I1 */
        }
}

inline word(p, h, e)
{
        phase = p;
        holder = h;
        heir = e
}

#define MAY_KILL(i) \
        :: atomic { alive[i] && doomed[i] -> alive[i] = false } \
        :: atomic { alive[i] && !doomed[i] && crashes > 0 -> crashes--; alive[i] = false }

active proctype Kernel()
{
        do
        :: crashes > 0 -> crashes = 0                         /* it calms down: so that there can be an end to look at */
        MAY_KILL(1)
        MAY_KILL(2)
        MAY_KILL(3)
        MAY_KILL(4)
        MAY_KILL(5)
        MAY_KILL(6)
        MAY_KILL(7)
        MAY_KILL(8)
        od
}

/* ---- a process: child-api/child.c ---- */

/* Everything in the braces stops for good when the process is dead: at any step, that is. */
proctype Proc(byte me; bool holds; bool newbin)
{
        byte other = 0;
        byte due = 0; /* LEAVING: the heir that it will pass to; it serves on until then */

{

        if
        :: holds -> become(me, HOLDING); goto serving
        :: else
        fi;

        /* main() of the program, then baton_child_ready() */
        atomic {
                if
                :: newbin -> goto ended                       /* exits at its start */
                :: newbin -> goto hang                        /* hangs at its start */
                :: newbin -> from[me]!REFUSED(me); goto ended /* bt_child_could_read() */
                :: from[me]!READY(me)
                fi
        }
        atomic {
                (phase == PASSED && holder == me);            /* bt_baton_park() */
                other = heir;                                 /* bt_child_take_over() */
                become(me, RESTORING)
        }
        atomic {
                if
                :: newbin -> become(me, REFUSING)             /* bt_child_restore() fails: it touches nothing from here on */
                :: newbin -> goto hang
                :: goto confirm
                fi
        }
        d_step {                                              /* bt_baton_give_back(m, n) */
                if
                :: other != 0 && phase == PASSED && holder == me && heir == other -> word(HELD, other, 0)
                :: else
                fi
        }
        from[me]!REFUSED(me);
        goto ended;

confirm:
        atomic {                                              /* bt_baton_confirm(m): the point of no return */
                if
                :: phase == PASSED && holder == me -> word(HELD, me, 0)
                :: else -> goto ended                         /* stale: fenced */
                fi
        }
        become(me, HOLDING);
        from[me]!RESTORED(me);

serving:
        atomic {
                other = 0;
                if
                :: to[me]?RETIRE(_) -> goto ended             /* on_retire(); draining is not serving */
                :: to[me]?TERMINATE(_) -> goto ended          /* on_terminate() */
                :: to[me]?RESUME(_) ->                        /* bt_child_on_resume() */
                        due = 0;
                        if
                        :: stage[me] == GIVEN -> become(me, HOLDING)
                        :: else
                        fi;
                        goto serving
                :: to[me]?HANDOVER(other) ->                  /* bt_child_on_handover() */
                        if
                        :: stage[me] == HOLDING && due == 0 && phase == OFFERED && holder == me && heir == other ->
                                if
                                :: due = other                /* and serves on, until the heir is seen to run, or not for too long */
                                :: goto hang                  /* mute */
                                fi
                        :: else
                        fi;
                        goto serving
                :: due != 0 ->                                /* bt_child_leave_when_due(), become_passed() */
                        other = due;
                        due = 0;
                        if
                        :: from[me]!NOT_PASSED(other); goto serving /* capture() fails: go_on() */
                        :: become(me, GIVEN); goto pass
                        fi
                :: to[me]?CAPTURE(_) ->                       /* on_capture() */
                        due = 0;
                        if
                        :: goto hang
                        :: become(me, RELEASED)
                        fi
                fi
        }
        atomic {
                if
                :: goto captured                              /* capture() fails: the word stays, but it serves no more */
                :: true
                fi
        }
        d_step {                                              /* bt_baton_release(n) */
                if
                :: phase == HELD && holder == me -> word(VACANT, me, 0)
                :: else
                fi
        }
captured:
        atomic {                                              /* also when it failed: the hub does the same */
                from[me]!CAPTURED(me);
                goto serving
        }

pass:
        atomic {                                              /* bt_baton_pass(n, m) */
                if
#ifdef PLANT_BLIND_PASS
                :: true -> word(PASSED, other, me)
#else
                :: phase == OFFERED && holder == me && heir == other -> word(PASSED, other, me)
                :: else -> goto withdrawn
#endif
                fi
        }
        atomic {
                if
                :: from[me]!PASSED(other)
                :: true                                       /* the hub is not rung for it when the heir is quick: it may never hear it */
                fi;
                goto serving
        }
withdrawn:
        atomic {
                become(me, HOLDING);                          /* go_on() */
                goto serving
        }

hang:
        false;                                           /* until it is killed */
ended:
        alive[me] = false;
        false
} unless {
        atomic { !alive[me] -> stage[me] = NONE; other = 0; due = 0; holds = false; newbin = false; gone[me] = true; false }
}
}

/* ---- the hub: supervisor/ ---- */

byte cur = 1;       /* child->current; 0: down */
byte next_inc = 2;  /* child->number_next */

inline start_process(i, newbin)                          /* bt_inc_spawn() */
{
        d_step {
                i = next_inc;
                next_inc++;
                assert(i < INCS);
                alive[i] = true;
#ifdef COLD
                assert(LIVING == 1)                      /* I2 */
#endif
        }
        run Proc(i, false, newbin)
}

inline reclaim(i)                                        /* bt_baton_reclaim(n): n's exit was seen */
{
        d_step {
                if
                :: holder == i -> assert(!alive[i]); word(VACANT, i, 0) /* I1b */
                :: else
                fi
        }
}

inline grant(i)                                          /* do_grant(): bt_baton_grant(m) */
{
        d_step {
                if
                :: phase == VACANT -> assert(!SERVING); word(PASSED, i, 0)
                :: else
                fi
        }
}

inline withdraw()                                        /* do_withdraw() */
{
        d_step {
                done = (phase == OFFERED && holder == n && heir == m);
                if
                :: done -> word(HELD, n, 0)
                :: else
                fi
        }
        if
        :: done && !pred_seen -> to[n]!RESUME(m)
        :: else
        fi
}

inline take_back()                                       /* do_take_back() */
{
        d_step {
                if
                :: phase == OFFERED && holder == n && heir == m -> word(HELD, n, 0)
                :: phase == PASSED && holder == m && heir == n ->
#if !defined(PLANT_EARLY_GIVE_BACK)
                        assert(!alive[m]);               /* I1b: the hub gives back for the dead only */
#endif
                        word(HELD, n, 0)
                :: else
                fi
        }
        if
        :: !pred_seen -> to[n]!RESUME(m)
        :: else
        fi
}

inline offer()                                           /* do_offer() */
{
        d_step {
                done = (phase == HELD && holder == n);
                if
                :: done -> word(OFFERED, n, m)
                :: else
                fi
        }
        if
        :: done -> to[n]!HANDOVER(m)
        :: else
        fi
}

inline commit()                                          /* do_commit(), do_retire() */
{
        if
        :: !pred_seen -> to[n]!RETIRE(m)
        :: else
        fi;
        cur = m;
        result = SUCCEEDED
}

/* bt_inc_free(): what was said to a dead process, nobody reads. */
inline forget(i)
{
        d_step {
                do
                :: nempty(to[i]) -> to[i]?_,_
                :: empty(to[i]) -> break
                od;
                doomed[i] = false
        }
}

/* bt_child_on_exit(), the predecessor's part */
inline pred_exited()
{
        done = (holder == n);
        if
        :: done -> reclaim(n); event = PRED_DIED
        :: else -> event = PRED_GONE
        fi;
        forget(n);
        pred_seen = true
}

/* succ_exited() */
inline succ_exited()
{
        if
        :: (phase == HELD || phase == OFFERED) && holder == m -> event = RESTORED
        :: else ->
#ifdef PLANT_DEAD_HEIR
                if
                :: phase == PASSED && holder == m && heir == 0 -> reclaim(m)
                :: else
                fi;
#else
                if
                :: phase == PASSED && holder == m && (heir == 0 || pred_seen) -> reclaim(m)
                :: pred_seen && holder == n -> reclaim(n)        /* given back to a predecessor that was dead by then */
                :: else
                fi;
#endif
                event = SUCC_EXIT
        fi;
        forget(m);
        succ_seen = true
}

/* migrating_on_message(), bt_child_on_exit(), on_timer(), bt_migration_cancel(): what happens next to a migration */
inline next_event()
{
        if
        :: !pred_seen && nempty(from[n]) -> from[n]?event(token);
                if
                :: (event == PASSED || event == NOT_PASSED) && token == m
                :: event == CAPTURED
                :: else -> event = NOTHING
                fi
        :: !pred_seen && gone[n] && empty(from[n]) -> pred_exited()
        :: m != 0 && !succ_seen && nempty(from[m]) -> from[m]?event(token);
                if
                :: event == RESTORED && !((phase == HELD || phase == OFFERED) && holder == m) -> event = NOTHING
                :: else
                fi
        :: m != 0 && !succ_seen && gone[m] && empty(from[m]) -> succ_exited()
        :: armed -> armed = false; event = TIMEOUT
#ifndef COLD
        :: may_cancel -> may_cancel = false; event = CANCEL
#endif
        fi
}

#ifndef COLD

/* supervisor/swap/hot.c, with hand-over: the rows of docs/swap.md that do something */
inline hot_step()
{
        if
        :: state == STARTING && event == READY -> state = OFFERING; armed = true; offer()
        :: state == STARTING && event == REFUSED -> take_back(); doomed[m] = true; state = UNDOING
        :: state == STARTING && event == SUCC_EXIT -> result = FAILED
        :: state == STARTING && (event == PRED_DIED || event == PRED_GONE) -> state = ALONE_STARTING
        :: state == STARTING && event == TIMEOUT -> doomed[m] = true; state = UNDOING
        :: (state == STARTING || state == OFFERING) && event == CANCEL -> withdraw(); doomed[m] = true; state = UNDOING
        :: state == OFFERING && event == PASSED -> state = PASSING
        :: state == OFFERING && event == NOT_PASSED -> withdraw(); doomed[m] = true; state = UNDOING
        :: state == OFFERING && event == PRED_DIED -> state = ALONE; grant(m)
        :: state == OFFERING && event == PRED_GONE -> state = ALONE
        :: state == OFFERING && event == TIMEOUT ->
#ifdef PLANT_GRANT_OFFERED
                word(PASSED, m, 0); state = ALONE; armed = true
#else
                withdraw(); doomed[m] = true; state = UNDOING
#endif
        :: (state == OFFERING || state == PASSING) && event == RESTORED -> commit()
        :: (state == OFFERING || state == PASSING) && event == REFUSED -> take_back(); doomed[m] = true; state = UNDOING
        :: (state == OFFERING || state == PASSING) && event == SUCC_EXIT -> take_back(); result = FAILED
        :: state == PASSING && (event == PRED_DIED || event == PRED_GONE) -> state = ALONE
        :: state == PASSING && event == TIMEOUT ->
#ifdef PLANT_EARLY_GIVE_BACK
                take_back();
#endif
                doomed[m] = true; state = UNDOING
        :: state == ALONE_STARTING && event == READY -> state = ALONE; armed = true; grant(m)
        :: (state == ALONE_STARTING || state == ALONE) && (event == REFUSED || event == TIMEOUT) -> doomed[m] = true; state = UNDOING_ALONE
        :: (state == ALONE_STARTING || state == ALONE || state == UNDOING_ALONE) && event == SUCC_EXIT -> result = DOWN
        :: (state == ALONE || state == UNDOING_ALONE || state == UNDOING) && event == RESTORED -> commit()
        :: state == UNDOING && event == SUCC_EXIT -> take_back(); result = FAILED
        :: state == UNDOING && (event == PRED_DIED || event == PRED_GONE) -> state = UNDOING_ALONE
        :: else /* nothing to do, or out of place */
        fi
}

inline migration_begin()                                 /* bt_hot_begin() */
{
        start_process(m, true);
        armed = true;
        state = STARTING
}

#define STEP() hot_step()

#else

inline start_succ()
{
        start_process(m, true);
        armed = true;
        state = STARTING
}

inline start_back()                                      /* SPAWN_BACK: the previous binary, the same state */
{
        start_process(m, false);
        succ_seen = false;
        armed = true;
        state = BACK_STARTING
}

/* supervisor/swap/cold.c */
inline cold_step()
{
        if
        :: state == QUERYING && (event == CAPTURED || event == TIMEOUT) ->
                state = STOPPING; armed = true; to[n]!TERMINATE(0)
        :: (state == QUERYING || state == STOPPING) && (event == PRED_DIED || event == PRED_GONE) -> start_succ()
        :: state == STOPPING && event == TIMEOUT -> doomed[n] = true;
#ifdef PLANT_START_EARLY
                start_succ()
#endif
        :: state == STARTING && event == READY -> state = COLD_RESTORING; grant(m)
        :: (state == STARTING || state == COLD_RESTORING) && (event == REFUSED || event == TIMEOUT) -> doomed[m] = true; state = DROPPING
        :: (state == STARTING || state == COLD_RESTORING || state == DROPPING) && event == SUCC_EXIT -> start_back()
        :: (state == COLD_RESTORING || state == DROPPING) && event == RESTORED -> commit()
        :: state == BACK_STARTING && event == READY -> state = BACK_RESTORING; grant(m)
        :: (state == BACK_STARTING || state == BACK_RESTORING) && (event == TIMEOUT || event == REFUSED) -> doomed[m] = true
        :: (state == BACK_STARTING || state == BACK_RESTORING) && event == SUCC_EXIT -> result = DOWN
        :: state == BACK_RESTORING && event == RESTORED -> commit(); result = FAILED
        :: else
        fi
}

inline migration_begin()                                 /* bt_cold_begin() */
{
        m = 0;
        armed = true;
        state = QUERYING;
        to[n]!CAPTURE(0)
}

#define STEP() cold_step()

#endif

/* bt_child_start(), current_on_message(): whoever starts from nothing */
inline restart()
{
        start_process(cur, false)
}

active proctype Hub()
{
        byte n, m, token;
        mtype event, state, result;
        bool pred_seen, succ_seen, armed, may_cancel, done;
        byte migrations = MIGRATIONS;

        atomic { alive[1] = true; run Proc(1, true, false) }

migrate:
        skip;
        d_step {
                n = cur;
                m = 0;
                pred_seen = false;
                succ_seen = false;
                result = NOTHING;
                migrations--
        }
#ifndef COLD                                             /* a cold swap does not listen to it */
        if
        :: may_cancel = true
        :: may_cancel = false
        fi;
#endif
        migration_begin();
        do
        :: result == NOTHING -> atomic { next_event() }; atomic { STEP(); event = NOTHING; token = 0; done = false }
        :: else -> break
        od;
        if
        :: result == DOWN -> cur = 0
        :: else
        fi;
        skip;
        d_step { n = 0; m = 0; armed = false; may_cancel = false; state = NOTHING; event = NOTHING; token = 0; pred_seen = false; succ_seen = false };
        if
        :: cur == 0 -> goto down
        :: else
        fi;

running:
        do
        :: atomic { nempty(from[cur]) -> from[cur]?event(token);  /* current_on_message() */
                if
                :: event == READY -> grant(cur)
                :: else
                fi;
                event = NOTHING; token = 0 }
        :: atomic { gone[cur] && empty(from[cur]) -> reclaim(cur); forget(cur); goto down } /* current_exited() */
        :: migrations > 0 && alive[cur] && stage[cur] == HOLDING && phase == HELD && holder == cur -> goto migrate
        od;

down:
        atomic {
                assert(phase == VACANT);                 /* I5 */
                restart();
                goto running
        }
}

/* When nothing can happen any more. */
active proctype Quiet()
{
        timeout;
        assert(SERVING == 1);                            /* I4 */
        assert(phase == HELD && SERVES(holder))          /* I4 */
}
