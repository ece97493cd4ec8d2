/// Which sequences take which step when: a pure function of the prompts and of what was generated so far, so that every stage of a pipeline
/// keeps a copy of its own and all agree.
///
/// Sequences are taken in their order. Each has a slot of the cache while it grows; slots come in groups of as many as take a step together.
/// A group's turn reads the prompts of new sequences and gives each of the others its next token; the group's next turn begins when the
/// tokens that were chosen are known. With several groups a pipeline's stages work on one each.
///
/// A prompt that begins as another one whose keys and values are still in a slot takes them over, in whole stretches: these are the same bits.
package struct GenerationSchedule {
    /// A new sequence's prompt, to be read from token `first` on.
    package struct Reading: Equatable {
        package var sequence: Int
        package var slot: Int
        package var first: Int
        /// The slot from which the tokens before come; nil: none are needed, or they are in place.
        package var source: Int?
    }

    /// What a group does together. A token is chosen for each reading, then for each row.
    package struct Turn: Equatable {
        package var readings: [Reading] = []
        package var rows: [GenerationStage.Row] = []
        /// Of the readings, then of the rows.
        package var sequences: [Int] = []

        package var isEmpty: Bool { sequences.isEmpty }
    }

    private struct Slot {
        /// The prompt in the cache.
        var prompt: [Int32] = []
        var sequence: Int?
        /// Tokens in the cache, and the one that is to come next; nil while it is being chosen.
        var position = 0
        var token: Int32?
    }

    private let prompts: [[Int32]]
    private var slots: [Slot]
    private let groupSize: Int
    private var nextSequence = 0
    /// Tokens of prompts that were taken over instead of computed.
    package private(set) var reusedCount = 0

    /// - Parameters:
    ///   - prompts: one a sequence; not empty.
    ///   - slotCount: sequences at once.
    ///   - groupSize: of them that take a step together, at most.
    package init(prompts: [[Int32]], slotCount: Int, groupSize: Int = GenerationStage.rowsTogether) {
        self.prompts = prompts
        self.groupSize = groupSize
        slots = Array(repeating: Slot(), count: slotCount)
    }

    package var groupCount: Int { (slots.count + groupSize - 1) / groupSize }

    private func slots(of group: Int) -> Range<Int> { group * groupSize..<min((group + 1) * groupSize, slots.count) }

    /// The group's next turn; empty when it has nothing left to do. The tokens of its last one must have been accepted.
    package mutating func begin(_ group: Int) -> Turn {
        var turn = Turn()
        for index in slots(of: group) where slots[index].sequence != nil {
            let slot = slots[index]
            turn.rows.append(GenerationStage.Row(slot: index, position: slot.position, tokenID: slot.token!))
            slots[index].position += 1
            slots[index].token = nil
        }
        let advanced = turn.rows.map { slots[$0.slot].sequence! }
        while nextSequence < prompts.count, let reading = admit(nextSequence, group) {
            turn.readings.append(reading)
            nextSequence += 1
        }
        turn.sequences = turn.readings.map(\.sequence) + advanced
        return turn
    }

    /// The tokens that were chosen in the group's turn, in the order of its `sequences`; nil for a sequence that ended.
    package mutating func accept(_ turn: Turn, _ tokens: [Int32?]) {
        for (index, token) in zip(turn.readings.map(\.slot) + turn.rows.map(\.slot), tokens) {
            slots[index].token = token
            if token == nil { slots[index].sequence = nil }
        }
    }

    private mutating func admit(_ sequence: Int, _ group: Int) -> Reading? {
        let prompt = prompts[sequence], free = slots(of: group).filter { slots[$0].sequence == nil }
        guard let any = free.first else { return nil }
        func common(_ index: Int) -> Int {
            // The last token is computed in any case: what follows it is asked for.
            let count = zip(slots[index].prompt, prompt.dropLast()).prefix { $0 == $1 }.count
            return count / GenerationStage.promptChunk * GenerationStage.promptChunk
        }
        // A free slot keeps what it has where no other has more.
        let source = (free + slots.indices).map { (slot: $0, count: common($0)) }.reduce((slot: any, count: 0)) { $1.count > $0.count ? $1 : $0 }
        let isInPlace = slots[source.slot].sequence == nil && free.contains(source.slot)
        let target = isInPlace ? source.slot : any
        slots[target] = Slot(prompt: prompt, sequence: sequence, position: prompt.count, token: nil)
        reusedCount += source.count
        return Reading(sequence: sequence, slot: target, first: source.count, source: isInPlace || source.count == 0 ? nil : source.slot)
    }
}
