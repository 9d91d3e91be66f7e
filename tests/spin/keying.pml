/*
 * keying.pml - the epoch rules of controller keying (doc/keying.md), for Spin.
 *
 * Two members and the policy server between them, which passes on keys and acknowledgements
 * whenever it likes, one decision at a time for each CE.  Sessions break, taking along what is on its
 * way; the server restarts; one agent restarts (its private keys are lost, its SAs stay) and one
 * CE boots (its SAs are lost too).  Members rekey when they like.  A packet may be on its way in
 * each direction.
 *
 * What must hold, in every state:
 *   - the SA that a member sends under is in its peer's kernel (a peer that booted excepted, until
 *     its members hear of it), and so is that of a packet that arrives;
 *   - no key is installed twice, in either direction.
 * And in the end, when nobody rekeys or fails any more: both send under the newest epochs of both.
 *
 * Time is not modelled, but for two things that timers are for: an epoch is not withdrawn while
 * a packet under it is on its way (grace), nor are the SAs of a withdrawn one deleted (linger).
 * Numbers are small, so no two epochs share a slot; the private key of an epoch is a bit.
 *
 * It begins with both talking, or (SCRATCH) with neither knowing of the other.
 *
 * Sizes: REKEYS of the members (the first: REKEYS_FIRST), CUTS of sessions, PDPS restarts of the server, RESTARTS and BOOTS
 * of the first CE (the other is its mirror), LIVE epochs at once.  PACKETS 0 leaves packets out.  One rule each is switched off by:
 *   PUBLISH_FIRST   a key is published before the inbound SAs are in
 *   ACK_FIRST       success is reported before the inbound SAs are in
 *   NO_ACK          the newest own epoch is used without the peer's acknowledgement
 *   NO_GRACE        withdrawn as soon as acknowledged, packets or not
 *   NO_LINGER       SAs go with the withdrawal
 *   NO_WAIT         lingering ends although the peer may be bound to an older epoch of its own
 *   REINSTALL       keys outlive a boot and are installed again
 *   FORCE           room for a restarted agent's epoch is made by withdrawing one it may need
 *   NO_RESYNC       a server does not ask what a CE that comes back holds
 */
#ifndef REKEYS
#define REKEYS 1
#endif
#ifndef CUTS
#define CUTS 1
#endif
#ifndef PDPS
#define PDPS 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#ifndef BOOTS
#define BOOTS 0
#endif
#ifndef LIVE
#define LIVE 4
#endif
#ifndef PACKETS
#define PACKETS 1
#endif

#ifndef REKEYS_FIRST
#define REKEYS_FIRST REKEYS
#endif
#define REKEYS_OF(i) (i == 0 -> REKEYS_FIRST : REKEYS)

#define MAX 4 /* epochs of a member, numbered from 1 */
#define B(e)	    (1 << (e))
#define HAS(set, e) ((set) & B(e))
#define SA(s, r)    (1 << (((s) - 1) * MAX + (r) - 1)) /* sender's epoch, receiver's */
#define NEWEST(set) \
	(HAS(set, 4) -> 4 : (HAS(set, 3) -> 3 : (HAS(set, 2) -> 2 : (HAS(set, 1) -> 1 : 0))))
#define COUNT(set) ((HAS(set, 1) != 0) + (HAS(set, 2) != 0) + (HAS(set, 3) != 0) + (HAS(set, 4) != 0))
#define PEER	   (1 - i)

typedef ce_t {
	/* on disk */
	byte last; /* epoch number */
	byte live; /* published */
	byte keys; /* rows: the peer's live epochs */
	byte ack;  /* row: the own epoch that the peer acknowledged */
	/* in the process */
	byte fresh;    /* made, not yet published */
	byte linger;   /* withdrawn, SAs stay */
	byte ended;    /* withdrawn and lingered, but SAs that the peer may be bound to stay */
	byte priv;     /* epochs whose private key is there */
	unsigned used : 16; /* inbound SAs planned with them */
	bit want;      /* a new epoch is needed */
	bit dirty;     /* to be published */
	bit late;      /* ACK_FIRST, PUBLISH_FIRST: SAs still to be installed */
	/* in the kernel */
	unsigned in : 16;
	byte out_s, out_r;
	/* what was ever installed, and epochs whose SAs a boot took */
	unsigned ever_in : 16;
	unsigned ever_out : 16;
	byte lost;
	byte rekeys;
	/* a packet on its way from here */
	byte packet_s, packet_r;
}
ce_t ce[2];

typedef pdp_t {
	byte keys; /* live epochs of this member */
	byte floor;
	byte ack; /* newest of them that the other member holds */
	/* of the session with it */
	bit up;
	bit busy;
	byte has_keys, has_ack; /* rows it is known to hold */
}
pdp_t pdp[2];

bit linked[2]; /* the CE has a connection */
byte cuts, pdps, restarts, boots;

mtype = {REQ, RPT};
chan to_ce[2] = [1] of {byte, byte};		/* DEC: keys, ack */
chan to_pdp[2] = [2] of {mtype, byte, byte, byte}; /* own keys; rows held */

hidden byte n, s, r, held;
hidden byte chosen;
hidden mtype what;
hidden int sa;

/* ------------------------------------------------------------------ what must hold */

inline look()
{
	assert(ce[0].out_s == 0 || (ce[1].in & SA(ce[0].out_s, ce[0].out_r)) ||
	       ce[0].out_r <= ce[1].lost);
	assert(ce[1].out_s == 0 || (ce[0].in & SA(ce[1].out_s, ce[1].out_r)) ||
	       ce[1].out_r <= ce[0].lost);
}

#define NEW_ONLY(a, b) \
	(ce[a].live == B(ce[a].last) && ce[a].out_s == ce[a].last && ce[a].out_r == ce[b].last && \
	    ce[a].in == SA(ce[b].last, ce[a].last))
#define settled (NEW_ONLY(0, 1) && NEW_ONLY(1, 0))

/* ------------------------------------------------------------------ a member (pep/keying_plan.c, keying_life.c) */

/* keying_plan(): SAs from rows, own epochs and what is in the kernel. */
inline plan_in(i)
{
	held = ce[i].live | ce[i].fresh;
	for (r : 1 .. MAX) {
		for (s : 1 .. MAX) {
			sa = SA(s, r);
			if
			:: !HAS(held, r) || !HAS(ce[i].priv, r) || !HAS(ce[i].keys, s) ||
				    (ce[i].used & sa) ->
				ce[i].want = ce[i].want ||
					     (HAS(held & ce[i].priv, r) && HAS(ce[i].keys, s) &&
						 !(ce[i].in & sa))
			:: else ->
				assert(!(ce[i].ever_in & sa));
				ce[i].used = ce[i].used | sa;
				ce[i].in = ce[i].in | sa;
				ce[i].ever_in = ce[i].ever_in | sa
			fi
		}
	}
}

inline plan_out(i)
{
	n = NEWEST(ce[i].keys);
#ifdef NO_ACK
	s = NEWEST(ce[i].live);
#else
	s = ce[i].ack;
#endif
	chosen = n != 0 && s != 0 && HAS(ce[i].live & ce[i].priv, s);
	if
	:: chosen && !(ce[i].out_s == s && ce[i].out_r == n) ->
		if
		:: (ce[i].ever_out & SA(s, n)) && HAS(ce[i].priv, s) && ce[i].out_s != 0 ->
			ce[i].want = 1; /* spent: it was there before */
			chosen = 0
		:: else ->
			assert(!(ce[i].ever_out & SA(s, n)));
			ce[i].ever_out = ce[i].ever_out | SA(s, n);
			ce[i].out_s = s;
			ce[i].out_r = n
		fi
	:: else
	fi
}

/* What is not of the desired ones stays while both still hold its epochs. */
inline plan_delete(i)
{
	held = ce[i].live | ce[i].fresh | ce[i].linger;
	if
	:: !chosen && ce[i].out_s != 0 &&
		    !(HAS(ce[i].keys, ce[i].out_r) && HAS(held, ce[i].out_s)) ->
		ce[i].out_s = 0;
		ce[i].out_r = 0
	:: else
	fi;
	n = NEWEST(ce[i].keys);
	for (r : 1 .. MAX) {
		chosen = 0;
		for (s : 1 .. MAX) {
			if
			:: !(ce[i].in & SA(s, r))
			:: else ->
				if
				:: HAS(ce[i].keys, s) && HAS(held, r)
#ifndef NO_WAIT
				:: HAS(ce[i].keys, s) && HAS(ce[i].ended, r) && s != n ->
					chosen = 1
#endif
				:: else -> ce[i].in = ce[i].in & ~SA(s, r)
				fi
			fi
		}
		if
		:: chosen
		:: else -> ce[i].ended = ce[i].ended & ~B(r)
		fi
	}
	n = 0;
	s = 0;
	r = 0;
	sa = 0;
	held = 0;
	chosen = 0
}

inline plan(i)
{
	plan_in(i);
	plan_out(i);
	plan_delete(i)
}

inline make(i)
{
	ce[i].last++;
	ce[i].fresh = B(ce[i].last);
	ce[i].priv = ce[i].priv | ce[i].fresh;
	ce[i].want = 0
}

inline publish(i)
{
	ce[i].live = ce[i].live | ce[i].fresh;
	ce[i].fresh = 0;
	ce[i].dirty = 1
}

inline withdraw(i, e)
{
	ce[i].live = ce[i].live & ~B(e);
	ce[i].priv = ce[i].priv & ~B(e);
	ce[i].linger = ce[i].linger | B(e);
	ce[i].dirty = 1
}

/* A session is over, with what was on its way. */
inline cut(i)
{
	linked[i] = 0;
	pdp[i].up = 0;
	pdp[i].busy = 0;
	do
	:: nempty(to_ce[i]) -> to_ce[i] ? _, _
	:: nempty(to_pdp[i]) -> to_pdp[i] ? _, _, _, _
	:: empty(to_ce[i]) && empty(to_pdp[i]) -> break
	od;
	skip
}

/* Nothing of the process is left; what is on disk is. */
inline process_ends(i)
{
	ce[i].fresh = 0;
	ce[i].linger = 0;
	ce[i].ended = 0;
	ce[i].priv = 0;
	ce[i].used = 0;
	ce[i].want = 0;
	ce[i].late = 0;
	cut(i)
}

#ifdef NO_GRACE
#define GRACE(i, e) true
#else
#define GRACE(i, e) (ce[i].packet_s != (e))
#endif
#define UNUSED(i, e) (ce[i].out_s != (e))
#define RETIRES(i, e) \
	(HAS(ce[i].live, e) && NEWEST(ce[i].live | ce[i].fresh) != (e) && ce[i].ack > (e) && \
	    UNUSED(i, e) && GRACE(i, e))
#define LINGERED(i, e) (HAS(ce[i].linger, e) && ce[PEER].packet_r != (e))

#ifdef NO_LINGER
#define LINGER_NOT(i, e) \
	ce[i].linger = ce[i].linger & ~B(e); \
	ce[i].ended = ce[i].ended | B(e); \
	plan(i);
#else
#define LINGER_NOT(i, e)
#endif

/* An agent starts: its kernel is as it was, its rows are; a new epoch before any decision. */
inline starts(i)
{
#ifdef FORCE
	if
	:: COUNT(ce[i].live) >= LIVE && NEWEST(ce[i].live) > ce[i].ack ->
		ce[i].live = ce[i].live & ~B(NEWEST(ce[i].live))
	:: else
	fi;
#endif
	make(i);
	plan(i);
	publish(i)
}

proctype member(byte i)
{
end:
	do
	:: d_step { !linked[i] ->
		linked[i] = 1;
		ce[i].dirty = 0;
		to_pdp[i] ! REQ, ce[i].live, ce[i].keys, ce[i].ack }
	:: d_step { linked[i] && pdp[i].up && ce[i].dirty && nfull(to_pdp[i]) ->
		ce[i].dirty = 0;
		to_pdp[i] ! REQ, ce[i].live, 0, 0 }
#ifdef ACK_FIRST
	:: d_step { nempty(to_ce[i]) && nfull(to_pdp[i]) && !ce[i].late ->
		to_ce[i] ? ce[i].keys, ce[i].ack;
		ce[i].late = 1;
		to_pdp[i] ! RPT, 0, ce[i].keys, ce[i].ack }
	:: d_step { ce[i].late -> ce[i].late = 0; plan(i); look() }
#else
	:: d_step { nempty(to_ce[i]) && nfull(to_pdp[i]) ->
		to_ce[i] ? ce[i].keys, ce[i].ack;
		plan(i);
		to_pdp[i] ! RPT, 0, ce[i].keys, ce[i].ack;
		look() }
#endif
	/* a new epoch: inbound SAs first, then it is published */
	:: d_step { ce[i].fresh == 0 && (ce[i].rekeys < REKEYS_OF(i) || ce[i].want) &&
			    COUNT(ce[i].live) < LIVE && ce[i].last < MAX ->
		if
		:: ce[i].rekeys < REKEYS_OF(i) -> ce[i].rekeys++
		:: else
		fi;
		make(i);
#ifdef PUBLISH_FIRST
		publish(i);
		ce[i].late = 1
#endif
	}
#ifdef PUBLISH_FIRST
	:: d_step { ce[i].late -> ce[i].late = 0; plan(i); look() }
#else
	:: d_step { ce[i].fresh != 0 -> plan(i); publish(i); look() }
#endif
	:: d_step { RETIRES(i, 1) -> withdraw(i, 1); LINGER_NOT(i, 1) look() }
	:: d_step { RETIRES(i, 2) -> withdraw(i, 2); LINGER_NOT(i, 2) look() }
	:: d_step { RETIRES(i, 3) -> withdraw(i, 3); LINGER_NOT(i, 3) look() }
	:: d_step { (LINGERED(i, 1) || LINGERED(i, 2) || LINGERED(i, 3)) ->
		if
		:: LINGERED(i, 1) -> r = 1
		:: !LINGERED(i, 1) && LINGERED(i, 2) -> r = 2
		:: else -> r = 3
		fi;
		ce[i].linger = ce[i].linger & ~B(r);
		ce[i].ended = ce[i].ended | B(r);
		plan(i);
		look() }
	:: d_step { i == 0 && restarts < RESTARTS && ce[PEER].packet_r == 0 ->
		restarts++;
		process_ends(i);
		plan(i);
		starts(i);
		look() }
	:: d_step { i == 0 && boots < BOOTS ->
		boots++;
		s = ce[i].priv;
		process_ends(i);
		ce[i].in = 0;
		ce[i].out_s = 0;
		ce[i].out_r = 0;
		ce[i].lost = ce[i].last;
#ifdef REINSTALL
		ce[i].priv = s;
		plan(i);
		ce[i].dirty = 1;
#else
		ce[i].live = 0;
		starts(i);
#endif
		look() }
#if PACKETS
	:: d_step { ce[i].out_s != 0 && ce[i].packet_s == 0 ->
		ce[i].packet_s = ce[i].out_s;
		ce[i].packet_r = ce[i].out_r }
	:: d_step { ce[i].packet_s != 0 ->
		assert((ce[PEER].in & SA(ce[i].packet_s, ce[i].packet_r)) ||
		       ce[i].packet_r <= ce[PEER].lost);
		ce[i].packet_s = 0;
		ce[i].packet_r = 0 }
#endif
	od
}

/* ------------------------------------------------------------------ the server (pdp/keyring.c) */

/* i holds these of its peer's keys: the newest is acknowledged. */
inline confirm(i)
{
	n = NEWEST(pdp[PEER].keys);
	if
	:: n != 0 && HAS(pdp[i].has_keys, n) && pdp[PEER].ack != n -> pdp[PEER].ack = n
	:: else
	fi;
	n = 0
}

inline take(i)
{
	to_pdp[i] ? what, s, held, r;
	if
	:: what == REQ ->
		n = s & ~pdp[i].keys;
		if
		:: n != 0 ->
			assert(n >= B(pdp[i].floor + 1)); /* they only grow */
			pdp[i].floor = NEWEST(n)
		:: else
		fi;
		pdp[i].keys = s;
		if
		:: !pdp[i].up ->
			pdp[i].up = 1;
#ifdef NO_RESYNC
			pdp[i].has_keys = pdp[PEER].keys;
			pdp[i].has_ack = pdp[i].ack;
#else
			pdp[i].has_keys = held;
			pdp[i].has_ack = r;
#endif
			confirm(i)
		:: else
		fi
	:: else ->
		pdp[i].has_keys = held;
		pdp[i].has_ack = r;
		pdp[i].busy = 0;
		confirm(i)
	fi;
	s = 0;
	held = 0;
	r = 0;
	n = 0
}

#define BEHIND(i) (pdp[PEER].keys != pdp[i].has_keys || pdp[i].ack != pdp[i].has_ack)

proctype server(byte i)
{
end:
	do
	:: d_step { nempty(to_pdp[i]) -> take(i) }
	:: d_step { pdp[i].up && !pdp[i].busy && BEHIND(i) ->
		pdp[i].busy = 1;
		to_ce[i] ! pdp[PEER].keys, pdp[i].ack }
	:: d_step { cuts < CUTS && linked[i] -> cuts++; cut(i) }
	od
}

init
{
	d_step {
		for (r : 0 .. 1) {
			ce[r].last = 1;
			ce[r].live = B(1);
			ce[r].priv = B(1);
#ifndef SCRATCH
			ce[r].keys = B(1);
			ce[r].ack = 1;
			ce[r].in = SA(1, 1);
			ce[r].used = SA(1, 1);
			ce[r].ever_in = SA(1, 1);
			ce[r].ever_out = SA(1, 1);
			ce[r].out_s = 1;
			ce[r].out_r = 1;
			linked[r] = 1;
			pdp[r].keys = B(1);
			pdp[r].floor = 1;
			pdp[r].ack = 1;
			pdp[r].up = 1;
			pdp[r].has_keys = B(1);
			pdp[r].has_ack = 1
#endif
		}
		r = 0
	}
	atomic {
		run member(0);
		run member(1);
		run server(0);
		run server(1)
	}
end:
	do
	:: d_step { pdps < PDPS ->
		pdps++;
		cut(0);
		cut(1) }
	:: timeout -> assert(settled); break
	od
}

ltl renewed { <>[] settled }
