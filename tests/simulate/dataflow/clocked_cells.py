"""Cells with registers, clocked one cycle after the other: :mod:`.clocked` is built of them.

In each cycle all cells drive their valid, front to back, then all accept, back to front, then all
see the clock's edge.
"""

from __future__ import annotations

import math


class Wire:
    """A stream in the current cycle."""

    def __init__(self, lanes, raw=False):
        self.lanes, self.raw = lanes, raw
        self.interval = 0  # cycles from word to word on average, if a serial Rescale may use them
        self.spacing = 0  # the same, if known
        self.in_turns = False  # whether that is so on average alone
        self.tensor = None  # the first of those whose words it has
        self.registered = False  # whether its words leave a register behind a pipeline
        self.rescaled_by = None  # what the cell before does as well
        self.valid = self.ready = False

    @property
    def moves(self):
        return self.valid and self.ready


class Source:
    def __init__(self, out, words, pauses):
        self.out, self.words, self.pauses = out, words, pauses
        self.cycles, self.held, self.now = [], False, 0

    def drive(self):
        paused = self.now < len(self.pauses) and self.pauses[self.now]
        self.out.valid = len(self.cycles) < self.words and (self.held or not paused)

    def accept(self):
        pass

    def edge(self):
        if self.out.moves:
            self.cycles.append(self.now)
        self.held = self.out.valid and not self.out.ready
        self.now += 1


class Sink:
    def __init__(self, origin, pauses=()):
        self.origin, self.pauses, self.cycles, self.now = origin, pauses, [], 0

    def drive(self):
        pass

    def accept(self):
        self.origin.ready = not (self.now < len(self.pauses) and self.pauses[self.now])

    def edge(self):
        if self.origin.moves:
            self.cycles.append(self.now)
        self.now += 1


class Fork:
    def __init__(self, origin, outs):
        self.origin, self.outs, self.done = origin, outs, [False] * len(outs)

    def drive(self):
        for out, done in zip(self.outs, self.done, strict=True):
            out.valid = self.origin.valid and not done

    def accept(self):
        ready = [done or out.ready for out, done in zip(self.outs, self.done, strict=True)]
        self.origin.ready = all(ready)

    def edge(self):
        if self.origin.valid:
            moved = [d or out.moves for out, d in zip(self.outs, self.done, strict=True)]
            self.done = [False] * len(moved) if self.origin.ready else moved


class Link:
    def __init__(self, origin, out, depth):
        self.origin, self.out, self.count = origin, out, 0
        group = math.gcd(origin.lanes, out.lanes)
        self.come, self.go = origin.lanes // group, out.lanes // group
        self.capacity = self.come + self.go + min(self.come, self.go) - 1
        if depth is not None and depth * self.come > self.capacity:
            self.capacity = depth * self.come

    def drive(self):
        self.out.valid = self.count >= self.go

    def accept(self):
        self.origin.ready = self.count + self.come <= self.capacity

    def edge(self):
        self.count += self.come * self.origin.moves - self.go * self.out.moves


class End:
    """Where the last stage of a pipeline offers its word: itself, or in a register of ``room``.

    A pipeline moves unless the word of its last stage stays there.
    """

    def __init__(self, out, depth, room):
        self.out, self.stages, self.room, self.held = out, [False] * depth, room, 0
        out.registered = room > 0

    def drive(self):
        self.out.valid = self.held > 0 if self.room else self.stages[-1]

    @property
    def moves(self):
        place = self.held < self.room if self.room else self.out.ready
        return not self.stages[-1] or place

    def edge(self, first):
        """``first`` is what comes into the first stage."""
        moves = self.moves
        if self.room:
            self.held += (moves and self.stages[-1]) - self.out.moves
        if moves:
            self.stages = [first, *self.stages[:-1]]


class Pipe:
    """Word by word; ``turns`` says which streams the next word takes from.

    Of every ``period`` words the last gives one.  The first turn waits for a word of ``lead``.
    """

    def __init__(self, turns, out, depth, period=1, lead=None, room=0):
        self.period, self.word, self.lead = period, 0, lead
        self.turns, self.end, self.turn = turns, End(out, depth, room), 0

    def drive(self):
        self.end.drive()

    def accept(self):
        self.moves = self.end.moves
        wanted = self.turns[self.turn]
        self.step = self.moves and all(origin.valid for origin in wanted)
        if self.turn == 0 and self.lead:
            self.step = self.step and self.lead.valid
        for origin in {id(o): o for turn in self.turns for o in turn}.values():
            origin.ready = self.step and any(origin is o for o in wanted)

    def edge(self):
        gives = self.step and (self.word + 1) % self.period == 0
        self.end.edge(gives)
        if self.moves:
            self.word += self.step
            self.turn = (self.turn + self.step) % len(self.turns)


class Unit:
    """Reads word ``reads[i]`` in step i (all of them there, the last being the latest).

    Before step i, and in frames after the first as many more, ``room[i]`` words may have come in.
    """

    def __init__(self, periods, origin, out, reads, gives, words, room, depth, end=0):
        # Windows of padding alone would go on without end.
        self.periods = periods
        self.origin, self.end, self.reads, self.gives = origin, End(out, depth, end), reads, gives
        self.words, self.room = words, room
        self.come = self.base = self.step = 0

    def drive(self):
        self.end.drive()

    def accept(self):
        self.origin.ready = self.come < self.base + self.room[self.step]

    def edge(self):
        read = self.reads[self.step]
        there = self.periods > 0 and (read is None or self.base + read < self.come)
        moves = self.end.moves
        self.come += self.origin.moves
        self.end.edge(there and self.gives[self.step])
        if moves and there:
            self.step += 1
            if self.step == len(self.reads):
                self.step = 0
                self.periods -= 1
                self.base += self.words


class Ranking:
    """Takes words; the last of a position only while no number is left of the one before."""

    def __init__(self, source, out, period, count):
        self.source, self.out, self.period, self.count = source, out, period, count
        self.place, self.left = 0, 0

    def drive(self):
        self.out.valid = self.left > 0

    def accept(self):
        self.source.ready = self.place < self.period - 1 or self.left == 0

    def edge(self):
        if self.out.moves:
            self.left -= 1
        if self.source.moves:
            self.place += 1
            if self.place == self.period:
                self.place, self.left = 0, self.count


class Memory:
    """The words of a constant: a register in front, empty before the first clock edge."""

    def __init__(self, out):
        self.out, self.filled = out, False

    def drive(self):
        self.out.valid = self.filled

    def accept(self):
        pass

    def edge(self):
        self.filled = True


class Table:
    """Keeps two indices; of the older one a row goes out, in ``folds`` words."""

    def __init__(self, origin, out, folds):
        self.origin, self.out, self.folds = origin, out, folds
        self.indices, self.fold, self.filled = 0, 0, False

    def drive(self):
        self.out.valid = self.filled

    def accept(self):
        self.origin.ready = self.indices < 2

    def edge(self):
        if not self.filled or self.out.ready:
            self.filled = self.indices > 0
            if self.filled:
                self.fold += 1
        if self.fold == self.folds:
            self.fold = 0
            self.indices -= 1
        self.indices += self.origin.moves


class KeptProduct:
    """A pipeline that multiplies words by those of a frame that is kept for all positions.

    There are places for two frames of ``words`` words; one is free once its word was used at the
    last position.
    """

    def __init__(self, left, kept, out, words, positions, depth):
        self.left, self.kept, self.out, self.stages = left, kept, out, [False] * depth
        self.words, self.positions = words, positions
        self.stored = self.unused = self.word = self.position = 0

    def drive(self):
        self.out.valid = self.stages[-1]

    def accept(self):
        self.moves = not self.out.valid or self.out.ready
        self.step = self.moves and self.left.valid and (self.position > 0 or self.unused > 0)
        self.left.ready = self.step
        self.kept.ready = self.stored < 2 * self.words

    def edge(self):
        self.stored += self.kept.moves
        self.unused += self.kept.moves
        if self.moves:
            self.stages = [self.step, *self.stages[:-1]]
        if self.step:
            self.unused -= self.position == 0
            self.stored -= self.position == self.positions - 1
            self.word += 1
            if self.word == self.words:
                self.word = 0
                self.position = (self.position + 1) % self.positions


class Recurrence:
    """Takes the sums of gates over the input and multiplies the state itself, step by step.

    A step begins once the first of its words is there.  The product steps through ``folds`` words
    of the state for each of ``words`` words of ``pe`` sums, no faster than these are taken, and
    stands still while a sum waits for its word.  A gate is taken a cycle; from the last gate of an
    element on it takes ``depth`` cycles to its state, and after the last one of all the next step.
    ``length`` is None where the state of each step goes out, else only that of the last of them.
    """

    def __init__(self, origin, out, *, words, folds, pe, latency, gates, depth, length, stages):
        self.origin, self.out, self.length = origin, out, length
        self.words, self.folds, self.pe, self.gates, self.depth = words, folds, pe, gates, depth
        self.sums, self.states = [False] * latency, [False] * stages
        self.stored = self.left = self.gate = self.rest = self.number = 0
        self.busy = False
        self.place = None  # word and cycle of it, while the product of a step goes on

    def drive(self):
        self.out.valid = self.states[-1]

    def accept(self):
        self.origin.ready = self.stored < 2

    def edge(self):
        moves = not self.out.valid or self.out.ready
        if moves:
            self.advance()
        self.stored += self.origin.moves

    def advance(self):
        there, pending = self.stored > 0, self.left > 0
        takes, begins = pending and there, not self.busy and self.rest == 0 and there
        multiplies = there or not pending
        self.states = [takes and self.gives(), *self.states[:-1]]
        self.rest = max(self.rest - 1, 0)
        if takes:
            self.stored -= 1
            self.left -= 1
            self.gate += 1
            if self.gate == self.words * self.pe:
                self.gate, self.busy, self.rest = 0, False, self.depth - 1
        if multiplies:
            if self.sums[-1]:
                assert self.left == 0
                self.left = self.pe
            self.sums = [self.ends_word(), *self.sums[:-1]]
            self.walk()
        if begins:
            self.busy, self.place = True, (0, 0)
            self.number += 1

    def gives(self):
        """Whether the gate that is taken completes a state that goes out."""
        shown = self.length is None or self.number % self.length == 0
        return shown and self.gate % self.gates == self.gates - 1

    def ends_word(self):
        return self.place is not None and self.place[1] == self.folds - 1

    def walk(self):
        if self.place is not None:
            word, cycle = self.place
            cycle += 1
            if cycle == max(self.folds, self.pe):
                word, cycle = word + 1, 0
            self.place = (word, cycle) if word < self.words else None
